namespace Stigmer.Server.Storage;

static partial class Schema
{
    /// <summary>
    /// The embedded engine's: runs of workflows and their histories. Times and durations are milliseconds (since 1970), 0 for
    /// none; event, details, failure and memo are protobuf messages of Temporal's API.
    /// </summary>
    const string EngineTables = """
        CREATE TABLE engine_namespace (id TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;

        CREATE TABLE engine_runs (
            key INTEGER PRIMARY KEY AUTOINCREMENT,
            run_id TEXT NOT NULL UNIQUE,
            workflow_id TEXT NOT NULL,
            workflow_type TEXT NOT NULL,
            task_queue TEXT NOT NULL,
            first_run_id TEXT NOT NULL,
            request_id TEXT NOT NULL,
            memo BLOB,
            run_timeout INTEGER NOT NULL,
            execution_timeout INTEGER NOT NULL,
            task_timeout INTEGER NOT NULL,
            expires INTEGER NOT NULL,
            execution_expires INTEGER NOT NULL,
            started INTEGER NOT NULL,
            closed INTEGER NOT NULL,
            status INTEGER NOT NULL,
            next_event INTEGER NOT NULL,
            history_bytes INTEGER NOT NULL,
            cancel_requested INTEGER NOT NULL,
            seen_event INTEGER NOT NULL,
            task_attempt INTEGER NOT NULL,
            task_event INTEGER NOT NULL,
            task_scheduled INTEGER NOT NULL,
            task_ready INTEGER NOT NULL,
            task_started INTEGER NOT NULL,
            task_identity TEXT NOT NULL,
            task_nonce INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX engine_runs_by_workflow ON engine_runs (workflow_id, key);
        CREATE INDEX engine_runs_open ON engine_runs (key) WHERE status = 1;
        CREATE INDEX engine_runs_closed ON engine_runs (closed) WHERE closed > 0;

        CREATE TABLE engine_events (
            run INTEGER NOT NULL REFERENCES engine_runs (key) ON DELETE CASCADE,
            id INTEGER NOT NULL,
            event BLOB NOT NULL,
            PRIMARY KEY (run, id)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE engine_buffered (
            run INTEGER NOT NULL REFERENCES engine_runs (key) ON DELETE CASCADE,
            position INTEGER NOT NULL,
            event BLOB NOT NULL,
            PRIMARY KEY (run, position)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE engine_activities (
            run INTEGER NOT NULL REFERENCES engine_runs (key) ON DELETE CASCADE,
            scheduled_event INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            ready INTEGER NOT NULL,
            started INTEGER NOT NULL,
            identity TEXT NOT NULL,
            nonce INTEGER NOT NULL,
            cancel_event INTEGER NOT NULL,
            details BLOB,
            failure BLOB,
            last_identity TEXT NOT NULL,
            last_ended INTEGER NOT NULL,
            PRIMARY KEY (run, scheduled_event)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE engine_timers (
            run INTEGER NOT NULL REFERENCES engine_runs (key) ON DELETE CASCADE,
            started_event INTEGER NOT NULL,
            name TEXT NOT NULL,
            fires INTEGER NOT NULL,
            PRIMARY KEY (run, started_event)
        ) STRICT, WITHOUT ROWID;

        -- The request ids of signals: asked twice, done once.
        CREATE TABLE engine_requests (
            run INTEGER NOT NULL REFERENCES engine_runs (key) ON DELETE CASCADE,
            id TEXT NOT NULL,
            PRIMARY KEY (run, id)
        ) STRICT, WITHOUT ROWID;
        """;
}
