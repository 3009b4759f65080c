using System.Globalization;

namespace Stigmer.Server.Storage;

/// <summary>
/// The database's schema, as the scripts that made it. A release that changes it adds a script; one that has been released is
/// never edited. PRAGMA user_version counts the scripts that a file has seen.
/// </summary>
static partial class Schema
{
    /// <summary>In order. The server's own tables, and those of the embedded engine (prefix engine_).</summary>
    static readonly string[] Scripts = [ServerTables, EngineTables, TurnSums, RunnersHeard, Agents];

    const string ServerTables = """
        -- server-id: in the names of the task queues. version: the release that last changed the schema.
        CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

        -- Every engine that has ever said who it is, by its namespace's id.
        CREATE TABLE engines (
            id TEXT PRIMARY KEY,
            kind TEXT NOT NULL CHECK (kind IN ('managed', 'external', 'embedded')),
            address TEXT NOT NULL,
            seen_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;

        CREATE TABLE runs (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            agent TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            spec BLOB NOT NULL) STRICT;
        CREATE INDEX runs_agent ON runs (agent, number);

        -- workflow, engine: what the turn is bound to. life: how often a workflow was made for it. losses: lives that an engine
        -- lost in a row without a result between. base_step: a resumed turn counts its steps from after this one.
        CREATE TABLE turns (
            run INTEGER NOT NULL REFERENCES runs (number),
            turn INTEGER NOT NULL,
            status INTEGER NOT NULL,
            started_at INTEGER NOT NULL,
            ended_at INTEGER,
            life INTEGER NOT NULL DEFAULT 0,
            workflow TEXT,
            engine TEXT REFERENCES engines (id),
            losses INTEGER NOT NULL DEFAULT 0,
            base_step INTEGER NOT NULL DEFAULT 0,
            error BLOB,
            limit_name TEXT,
            PRIMARY KEY (run, turn)) STRICT, WITHOUT ROWID;
        CREATE INDEX turns_open ON turns (engine) WHERE ended_at IS NULL;

        -- Every workflow that was ever made for a turn. state: 0 may be running, 1 to be terminated when its engine is present,
        -- 2 over.
        CREATE TABLE bindings (
            workflow TEXT PRIMARY KEY,
            run INTEGER NOT NULL,
            turn INTEGER NOT NULL,
            life INTEGER NOT NULL,
            engine TEXT NOT NULL REFERENCES engines (id),
            state INTEGER NOT NULL DEFAULT 0,
            FOREIGN KEY (run, turn) REFERENCES turns (run, turn)) STRICT, WITHOUT ROWID;
        CREATE INDEX bindings_left ON bindings (engine) WHERE state = 1;

        -- What people said, numbered per run; key makes a repeated request find its row. read_turn, read_step: the step whose
        -- model call first read a message. step, slot: the call that a yes or no is about.
        CREATE TABLE said (
            run INTEGER NOT NULL REFERENCES runs (number),
            number INTEGER NOT NULL,
            key TEXT NOT NULL,
            kind TEXT NOT NULL CHECK (kind IN ('message', 'cancel', 'approve', 'deny', 'resume')),
            turn INTEGER NOT NULL,
            step INTEGER,
            slot INTEGER,
            text TEXT,
            said_at INTEGER NOT NULL,
            read_turn INTEGER,
            read_step INTEGER,
            PRIMARY KEY (run, number),
            UNIQUE (run, key)) STRICT, WITHOUT ROWID;

        -- The transcript. entry: a stigmer.v1.TranscriptEntry; beside it what is summed up without reading it.
        CREATE TABLE slots (
            run INTEGER NOT NULL,
            turn INTEGER NOT NULL,
            step INTEGER NOT NULL,
            slot INTEGER NOT NULL,
            stored_at INTEGER NOT NULL,
            input_tokens INTEGER NOT NULL DEFAULT 0,
            output_tokens INTEGER NOT NULL DEFAULT 0,
            worked_ms INTEGER NOT NULL DEFAULT 0,
            entry BLOB NOT NULL,
            PRIMARY KEY (run, turn, step, slot),
            FOREIGN KEY (run, turn) REFERENCES turns (run, turn)) STRICT;

        -- Who asked for a slot. begun: whether its work had begun when it ended without a result.
        CREATE TABLE claims (
            run INTEGER NOT NULL,
            turn INTEGER NOT NULL,
            step INTEGER NOT NULL,
            slot INTEGER NOT NULL,
            number INTEGER NOT NULL,
            key TEXT NOT NULL,
            runner TEXT NOT NULL,
            workflow TEXT NOT NULL,
            activity TEXT NOT NULL,
            claimed_at INTEGER NOT NULL,
            ended_at INTEGER,
            ending TEXT CHECK (ending IN ('result', 'closed', 'given back', 'away', 'replaced')),
            begun INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (run, turn, step, slot, number),
            FOREIGN KEY (run, turn) REFERENCES turns (run, turn)) STRICT, WITHOUT ROWID;
        CREATE UNIQUE INDEX claims_live ON claims (run, turn, step, slot) WHERE ended_at IS NULL;
        CREATE INDEX claims_of_runner ON claims (runner) WHERE ended_at IS NULL;

        -- Lives of runners, kept for a day. replaced_by: the life whose supervisor saw this one end.
        CREATE TABLE runners (
            life TEXT PRIMARY KEY,
            host_id TEXT NOT NULL,
            queues TEXT NOT NULL,
            version TEXT NOT NULL,
            registered_at INTEGER NOT NULL,
            replaced_by TEXT) STRICT, WITHOUT ROWID;

        -- What an engine is to be asked, until it has taken it; in order per run and engine.
        CREATE TABLE outbox (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            run INTEGER NOT NULL REFERENCES runs (number),
            turn INTEGER NOT NULL,
            engine TEXT NOT NULL REFERENCES engines (id),
            workflow TEXT NOT NULL,
            kind TEXT NOT NULL CHECK (kind IN ('start', 'bell', 'cancel', 'terminate', 'fail')),
            said INTEGER,
            activity TEXT) STRICT;
        CREATE INDEX outbox_engine ON outbox (engine, number);
        """;

    /// <summary>What a run has cost so far, kept up to date: whoever looks at a long run does not add it up each time.</summary>
    const string TurnSums = """
        ALTER TABLE turns ADD COLUMN steps INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE turns ADD COLUMN input_tokens INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE turns ADD COLUMN output_tokens INTEGER NOT NULL DEFAULT 0;
        UPDATE turns SET (steps, input_tokens, output_tokens) = (
            SELECT count(*), coalesce(sum(s.input_tokens), 0), coalesce(sum(s.output_tokens), 0)
            FROM slots s WHERE s.run = turns.run AND s.turn = turns.turn AND s.slot = 0 AND s.step > 0);
        """;

    /// <summary>When a life was last heard of, to the hour: a runner may live for weeks after its registration.</summary>
    const string RunnersHeard = "ALTER TABLE runners RENAME COLUMN registered_at TO heard_at;";

    /// <summary>What people have defined. agent: a stigmer.v1.Agent; a run keeps in its spec what it needs of one.</summary>
    const string Agents = """
        CREATE TABLE agents (
            name TEXT PRIMARY KEY,
            version INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            agent BLOB NOT NULL) STRICT, WITHOUT ROWID;
        """;

    internal static void Migrate(Connection connection, string file) => Migrate(connection, file, Scripts, Build.Version);

    /// <summary>Brings the file to the last of <paramref name="scripts"/>; refuses one that has seen more.</summary>
    internal static void Migrate(Connection connection, string file, IReadOnlyList<string> scripts, string version)
    {
        var seen = connection.Number("PRAGMA user_version");
        if (seen > scripts.Count)
        {
            var by = connection.Text("SELECT value FROM meta WHERE key = 'version'") ?? "a newer version";
            throw new Failure(
                $"The database {file} was written by stigmer {by}", $"this is stigmer {version}, which is older",
                $"Use stigmer {by} or newer, or give this one another folder (STIGMER_DATA_DIR)");
        }
        for (var next = (int)seen; next < scripts.Count; next++)
        {
            connection.Execute("BEGIN IMMEDIATE");
            using (var script = connection.CreateCommand())
            {
                script.CommandText = scripts[next];
                script.ExecuteNonQuery();
            }
            connection.Execute(string.Create(CultureInfo.InvariantCulture, $"PRAGMA user_version = {next + 1}"));
            connection.Execute("INSERT INTO meta (key, value) VALUES ('version', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value", version);
            connection.Execute("COMMIT");
        }
    }
}
