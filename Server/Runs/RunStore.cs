using Microsoft.Data.Sqlite;
using Stigmer.Config;
using Stigmer.Rpc.V1;
using Stigmer.Server.Storage;

namespace Stigmer.Server.Runs;

/// <summary>
/// The record of runs, and what may be done to it: every change is one transaction, in which also stands what it asks of an
/// engine. The parts: Agents, People (start, send, cancel, resume), Approvals, Slots (claims and results), Turns (their ends),
/// Engines (bindings and lives), Reading.
/// </summary>
sealed partial class RunStore
{
    /// <summary>How long lives are known after they were last heard of. A Temporal lists who has polled for some minutes.</summary>
    static readonly TimeSpan LivesKept = TimeSpan.FromDays(1);

    readonly Database database;
    readonly TimeProvider time;
    readonly Log log;

    RunStore(Database database, TimeProvider time, Log log, string serverId, string hostId)
    {
        this.database = database;
        this.time = time;
        this.log = log;
        ServerId = serverId;
        HostId = hostId;
        Runners = new Runners(time) { Away = lives => _ = ClaimsFall(lives) };
    }

    /// <summary>Made once for a database: in the names of the task queues.</summary>
    public string ServerId { get; }

    /// <summary>This host's id.</summary>
    public string HostId { get; }

    /// <summary>What happens to runs, for who watches.</summary>
    public RunEvents Events { get; } = new();

    /// <summary>Which runners live.</summary>
    public Runners Runners { get; }

    /// <summary>Called after a commit that put something into the outbox.</summary>
    public Action? OutboxChanged { get; set; }

    /// <summary>Called with a life whose process has ended, so that the embedded engine takes its tasks back.</summary>
    public Func<string, Task>? WorkerGone { get; set; }

    /// <summary>Reads, or makes, the server's id, and gives every runner that holds claims 15 s from now.</summary>
    public static async Task<RunStore> Open(Database database, string hostId, TimeProvider time, Log log)
    {
        var made = RandomId.New(bytes: 8);
        var (serverId, holders) = await database.Write(t =>
        {
            t.Execute("INSERT INTO meta (key, value) VALUES ('server-id', $1) ON CONFLICT (key) DO NOTHING", made);
            // Until another life was heard of a day later, and not by the clock alone: after a weekend of sleep the last runner may still poll.
            t.Execute(
                "DELETE FROM runners WHERE heard_at < (SELECT max(heard_at) FROM runners) - $1 AND life NOT IN (SELECT runner FROM claims WHERE ended_at IS NULL)",
                (long)LivesKept.TotalMilliseconds);
            return (
                t.Connection.Text("SELECT value FROM meta WHERE key = 'server-id'")!,
                t.Connection.Query("SELECT DISTINCT runner FROM claims WHERE ended_at IS NULL", r => r.GetString(0)));
        });
        var store = new RunStore(database, time, log, serverId, hostId);
        foreach (var life in holders) store.Runners.Heard(life);
        return store;
    }

    long Now => time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>A turn as it stands.</summary>
    sealed record TurnRow(long Run, string RunId, int Turn, RunStatus Status, bool Open, int Life, string? Workflow, string? Engine, int Losses, int BaseStep);

    const string TurnColumns =
        "SELECT t.run, r.id, t.turn, t.status, t.ended_at IS NULL, t.life, t.workflow, t.engine, t.losses, t.base_step FROM turns t JOIN runs r ON r.number = t.run ";

    static TurnRow ReadTurn(SqliteDataReader r) => new(
        r.GetInt64(0), r.GetString(1), r.GetInt32(2), (RunStatus)r.GetInt32(3), r.GetBoolean(4), r.GetInt32(5), r.IsDBNull(6) ? null : r.GetString(6),
        r.IsDBNull(7) ? null : r.GetString(7), r.GetInt32(8), r.GetInt32(9));

    static TurnRow? Turn(Connection c, string runId, int turn) => c.First(TurnColumns + "WHERE r.id = $1 AND t.turn = $2", ReadTurn, runId, turn);

    static TurnRow? LastTurn(Connection c, long run) => c.First(TurnColumns + "WHERE t.run = $1 ORDER BY t.turn DESC LIMIT 1", ReadTurn, run);

    static RunSpec Spec(Connection c, long run) =>
        c.First("SELECT spec FROM runs WHERE number = $1", r => RunSpec.Parser.ParseFrom(r.GetFieldValue<byte[]>(0)), run)!;

    static TranscriptEntry ReadEntry(SqliteDataReader r) => TranscriptEntry.Parser.ParseFrom(r.GetFieldValue<byte[]>(0));

    /// <summary>Writes a row of what a person said; its number in the run.</summary>
    /// <param name="step">For a yes or no: the call's.</param>
    /// <param name="slot">For a yes or no: the call's.</param>
    long Say(Transaction t, long run, int turn, string kind, string key, string? text, int? step = null, int? slot = null)
    {
        var number = 1 + t.Connection.Number("SELECT max(number) FROM said WHERE run = $1", run);
        t.Execute(
            "INSERT INTO said (run, number, key, kind, turn, step, slot, text, said_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            run, number, key, kind, turn, step, slot, text, Now);
        return number;
    }

    void Ask(Transaction t, TurnRow turn, string kind, string workflow, string engine, long? said = null, string? activity = null)
    {
        t.Execute(
            "INSERT INTO outbox (run, turn, engine, workflow, kind, said, activity) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            turn.Run, turn.Turn, engine, workflow, kind, said, activity);
        t.AfterCommit(() => OutboxChanged?.Invoke());
    }
}
