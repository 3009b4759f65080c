using Google.Protobuf;
using Microsoft.Data.Sqlite;
using Stigmer.Rpc.Temporal;
using Stigmer.Server.Storage;
using TemporalFailure = Stigmer.Rpc.Temporal.Failure;

namespace Stigmer.Server.Engine;

/// <summary>What anybody may ask of a run that is open or closed.</summary>
sealed record RunRow(
    long Key, string RunId, string WorkflowId, string WorkflowType, string TaskQueue, string FirstRunId, string RequestId, Memo? Memo, long RunTimeout,
    long ExecutionTimeout, long TaskTimeout, long ExpiresAt, long ExecutionExpiresAt, long StartedAt, long ClosedAt, WorkflowExecutionStatus Status,
    long NextEventId, long HistoryBytes, bool CancelRequested)
{
    public bool IsOpen => Status == WorkflowExecutionStatus.Running;
}

/// <summary>The engine's rows: writing what transitions changed, and reading runs back.</summary>
static class Store
{
    const string RowColumns = """
        key, run_id, workflow_id, workflow_type, task_queue, first_run_id, request_id, memo, run_timeout, execution_timeout, task_timeout, expires,
        execution_expires, started, closed, status, next_event, history_bytes, cancel_requested
        """;

    /// <summary>The id of this database's namespace, made the first time.</summary>
    public static string NamespaceId(Connection connection)
    {
        connection.Execute("INSERT INTO engine_namespace (id) SELECT $1 WHERE NOT EXISTS (SELECT 1 FROM engine_namespace)", Guid.NewGuid().ToString());
        return connection.Text("SELECT id FROM engine_namespace")!;
    }

    /// <summary>The last key that was given to a run.</summary>
    public static long LastKey(Connection connection) => connection.Number("SELECT seq FROM sqlite_sequence WHERE name = 'engine_runs'");

    /// <summary>The runs that are open, oldest first.</summary>
    public static List<long> OpenKeys(Connection connection) =>
        connection.Query("SELECT key FROM engine_runs WHERE status = 1 ORDER BY key", row => row.GetInt64(0));

    /// <summary>Forgets some of the runs that closed before a time; how many.</summary>
    public static int Sweep(Connection connection, long closedBefore, int atMost) => connection.Execute(
        "DELETE FROM engine_runs WHERE key IN (SELECT key FROM engine_runs WHERE closed > 0 AND closed <= $1 LIMIT $2)", closedBefore, atMost);

    /// <summary>Notes the request id of a signal; false where it is known.</summary>
    public static bool IsNewRequest(Connection connection, long runKey, string requestId) =>
        connection.Execute("INSERT OR IGNORE INTO engine_requests (run, id) VALUES ($1, $2)", runKey, requestId) == 1;

    /// <summary>The latest run of a workflow, or the one that is named; null where there is none.</summary>
    public static RunRow? Find(Connection connection, string workflowId, string runId) => runId.Length == 0
        ? connection.First($"SELECT {RowColumns} FROM engine_runs WHERE workflow_id = $1 ORDER BY key DESC LIMIT 1", ReadRow, workflowId)
        : connection.First($"SELECT {RowColumns} FROM engine_runs WHERE run_id = $1 AND workflow_id = $2", ReadRow, runId, workflowId);

    /// <summary>A run by its key; null where there is none.</summary>
    public static RunRow? Find(Connection connection, long key) =>
        connection.First($"SELECT {RowColumns} FROM engine_runs WHERE key = $1", ReadRow, key);

    /// <summary>Runs, newest first.</summary>
    /// <param name="beforeKey">Only those with a lower key.</param>
    public static List<RunRow> List(Connection connection, VisibilityQuery query, long beforeKey, int atMost) => connection.Query(
        $"SELECT {RowColumns} FROM engine_runs WHERE {Filter} AND key < $5 ORDER BY key DESC LIMIT $6", ReadRow,
        query.WorkflowType, query.Status, query.WorkflowId, query.RunId, beforeKey, atMost);

    /// <summary>How many runs a query matches.</summary>
    public static long Count(Connection connection, VisibilityQuery query) => connection.Number(
        $"SELECT COUNT(*) FROM engine_runs WHERE {Filter}", query.WorkflowType, query.Status, query.WorkflowId, query.RunId);

    const string Filter = """
        ($1 IS NULL OR workflow_type = $1) AND ($2 IS NULL OR status = $2) AND ($3 IS NULL OR workflow_id = $3) AND ($4 IS NULL OR run_id = $4)
        """;

    /// <summary>Events of a run from an id on, in order, at least one where there is one.</summary>
    /// <param name="to">Exclusive.</param>
    public static List<HistoryEvent> Events(Connection connection, long runKey, long from, long to, int atMost, long atMostBytes)
    {
        var bytes = 0L;
        var events = new List<HistoryEvent>();
        foreach (var blob in connection.Query("SELECT event FROM engine_events WHERE run = $1 AND id >= $2 AND id < $3 ORDER BY id LIMIT $4",
            row => (byte[])row[0], runKey, from, to, atMost))
        {
            bytes += blob.Length;
            if (events.Count > 0 && bytes > atMostBytes) break;
            events.Add(HistoryEvent.Parser.ParseFrom(blob));
        }
        return events;
    }

    /// <summary>Writes what has changed since the run was last stored.</summary>
    public static void Save(Connection connection, RunState run)
    {
        var changes = run.Changes;
        if (changes.IsNew) Insert(connection, run);
        foreach (var happened in changes.Events)
        {
            connection.Execute("INSERT INTO engine_events (run, id, event) VALUES ($1, $2, $3)", run.Key, happened.EventId, happened.ToByteArray());
        }
        if (changes.BufferRewritten)
        {
            connection.Execute("DELETE FROM engine_buffered WHERE run = $1", run.Key);
            changes.BufferedStored = 0;
        }
        for (; changes.BufferedStored < run.Buffered.Count; changes.BufferedStored++)
        {
            connection.Execute("INSERT INTO engine_buffered (run, position, event) VALUES ($1, $2, $3)", run.Key, changes.BufferedStored,
                run.Buffered[changes.BufferedStored].ToByteArray());
        }
        foreach (var activity in changes.EndedActivities)
        {
            connection.Execute("DELETE FROM engine_activities WHERE run = $1 AND scheduled_event = $2", run.Key, activity.ScheduledEventId);
        }
        foreach (var activity in changes.Activities) Save(connection, run.Key, activity);
        foreach (var timer in changes.EndedTimers)
        {
            connection.Execute("DELETE FROM engine_timers WHERE run = $1 AND started_event = $2", run.Key, timer.StartedEventId);
        }
        foreach (var timer in changes.Timers)
        {
            connection.Execute("INSERT INTO engine_timers (run, started_event, name, fires) VALUES ($1, $2, $3, $4)", run.Key, timer.StartedEventId,
                timer.Id, timer.FiresAt);
        }
        if (!changes.IsNew) Update(connection, run);
        if (!run.IsOpen) connection.Execute("DELETE FROM engine_requests WHERE run = $1", run.Key);
        changes.Clear();
    }

    /// <summary>Reads an open run back; null where there is none of this key, or it is closed.</summary>
    public static RunState? Load(Connection connection, long key)
    {
        var run = connection.First($"""
            SELECT {RowColumns}, seen_event, task_attempt, task_event, task_scheduled, task_ready, task_started, task_identity, task_nonce
            FROM engine_runs WHERE key = $1 AND status = 1
            """, ReadState, key);
        if (run is null) return null;
        run.Buffered.AddRange(connection.Query("SELECT event FROM engine_buffered WHERE run = $1 ORDER BY position",
            row => HistoryEvent.Parser.ParseFrom((byte[])row[0]), key));
        run.Changes.BufferedStored = run.Buffered.Count;
        var activities = connection.Query("""
            SELECT scheduled_event, attempt, ready, started, identity, nonce, cancel_event, details, failure, last_identity, last_ended, event
            FROM engine_activities JOIN engine_events ON engine_events.run = engine_activities.run AND id = scheduled_event
            WHERE engine_activities.run = $1 ORDER BY scheduled_event
            """, ReadActivity, key);
        foreach (var activity in activities) run.Activities.Add(activity.ScheduledEventId, activity);
        var timers = connection.Query("SELECT name, started_event, fires FROM engine_timers WHERE run = $1 ORDER BY started_event",
            row => new TimerState(row.GetString(0), row.GetInt64(1), row.GetInt64(2)), key);
        foreach (var timer in timers) run.Timers.Add(timer.Id, timer);
        return run;
    }

    static void Insert(Connection connection, RunState run)
    {
        var task = run.Task;
        connection.Execute("""
            INSERT INTO engine_runs (key, run_id, workflow_id, workflow_type, task_queue, first_run_id, request_id, memo, run_timeout, execution_timeout,
                task_timeout, expires, execution_expires, started, closed, status, next_event, history_bytes, cancel_requested, seen_event, task_attempt,
                task_event, task_scheduled, task_ready, task_started, task_identity, task_nonce)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27)
            """, run.Key, run.RunId, run.WorkflowId, run.WorkflowType, run.TaskQueue, run.FirstRunId, run.StartRequestId, run.Memo?.ToByteArray(),
            run.RunTimeout, run.ExecutionTimeout, run.TaskTimeout, run.ExpiresAt, run.ExecutionExpiresAt, run.StartedAt, run.ClosedAt, run.Status,
            run.NextEventId, run.HistoryBytes, run.CancelRequested, run.SeenEventId, task?.Attempt ?? 0, task?.ScheduledEventId ?? 0,
            task?.ScheduledAt ?? 0, task?.ReadyAt ?? 0, task?.StartedAt ?? 0, task?.Identity ?? "", task?.Nonce ?? 0);
    }

    static void Update(Connection connection, RunState run)
    {
        var task = run.Task;
        connection.Execute("""
            UPDATE engine_runs SET closed = $2, status = $3, next_event = $4, history_bytes = $5, cancel_requested = $6, seen_event = $7,
                task_attempt = $8, task_event = $9, task_scheduled = $10, task_ready = $11, task_started = $12, task_identity = $13, task_nonce = $14
            WHERE key = $1
            """, run.Key, run.ClosedAt, run.Status, run.NextEventId, run.HistoryBytes, run.CancelRequested, run.SeenEventId, task?.Attempt ?? 0,
            task?.ScheduledEventId ?? 0, task?.ScheduledAt ?? 0, task?.ReadyAt ?? 0, task?.StartedAt ?? 0, task?.Identity ?? "", task?.Nonce ?? 0);
    }

    static void Save(Connection connection, long runKey, ActivityState activity) => connection.Execute("""
        INSERT OR REPLACE INTO engine_activities (run, scheduled_event, attempt, ready, started, identity, nonce, cancel_event, details, failure,
            last_identity, last_ended)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        """, runKey, activity.ScheduledEventId, activity.Attempt, activity.ReadyAt, activity.StartedAt, activity.Identity, activity.Nonce,
        activity.CancelRequestedEventId, activity.HeartbeatDetails?.ToByteArray(), activity.LastFailure?.ToByteArray(), activity.LastIdentity,
        activity.LastEndedAt);

    static RunRow ReadRow(SqliteDataReader row) => new(
        row.GetInt64(0), row.GetString(1), row.GetString(2), row.GetString(3), row.GetString(4), row.GetString(5), row.GetString(6),
        row.IsDBNull(7) ? null : Memo.Parser.ParseFrom((byte[])row[7]), row.GetInt64(8), row.GetInt64(9), row.GetInt64(10), row.GetInt64(11),
        row.GetInt64(12), row.GetInt64(13), row.GetInt64(14), (WorkflowExecutionStatus)row.GetInt32(15), row.GetInt64(16), row.GetInt64(17),
        row.GetBoolean(18));

    static RunState ReadState(SqliteDataReader row)
    {
        var stored = ReadRow(row);
        var run = new RunState
        {
            Key = stored.Key, RunId = stored.RunId, WorkflowId = stored.WorkflowId, WorkflowType = stored.WorkflowType, TaskQueue = stored.TaskQueue,
            FirstRunId = stored.FirstRunId, StartRequestId = stored.RequestId, Memo = stored.Memo, RunTimeout = stored.RunTimeout,
            ExecutionTimeout = stored.ExecutionTimeout, TaskTimeout = stored.TaskTimeout, ExpiresAt = stored.ExpiresAt,
            ExecutionExpiresAt = stored.ExecutionExpiresAt, StartedAt = stored.StartedAt, NextEventId = stored.NextEventId,
            HistoryBytes = stored.HistoryBytes, CancelRequested = stored.CancelRequested, SeenEventId = row.GetInt64(19),
        };
        if (row.GetInt32(20) == 0) return run;
        run.Task = new WorkflowTaskState
        {
            Attempt = row.GetInt32(20), ScheduledEventId = row.GetInt64(21), ScheduledAt = row.GetInt64(22), ReadyAt = row.GetInt64(23),
            StartedAt = row.GetInt64(24), Identity = row.GetString(25), Nonce = row.GetInt64(26),
        };
        return run;
    }

    static ActivityState ReadActivity(SqliteDataReader row)
    {
        var scheduled = HistoryEvent.Parser.ParseFrom((byte[])row[11]);
        return new ActivityState
        {
            ScheduledEventId = row.GetInt64(0), Scheduled = scheduled.ActivityTaskScheduledEventAttributes,
            ScheduledAt = scheduled.EventTime.ToDateTimeOffset().ToUnixTimeMilliseconds(), Attempt = row.GetInt32(1), ReadyAt = row.GetInt64(2),
            StartedAt = row.GetInt64(3), Identity = row.GetString(4), Nonce = row.GetInt64(5), CancelRequestedEventId = row.GetInt64(6),
            HeartbeatDetails = row.IsDBNull(7) ? null : Payloads.Parser.ParseFrom((byte[])row[7]),
            LastFailure = row.IsDBNull(8) ? null : TemporalFailure.Parser.ParseFrom((byte[])row[8]), LastIdentity = row.GetString(9),
            LastEndedAt = row.GetInt64(10),
        };
    }
}
