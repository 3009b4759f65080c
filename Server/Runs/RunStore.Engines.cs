using Stigmer.Config;
using Stigmer.Rpc;
using Stigmer.Rpc.V1;
using Stigmer.Server.Storage;

namespace Stigmer.Server.Runs;

/// <summary>An engine that has said who it is.</summary>
/// <param name="Id">Its namespace's id: random per database of an engine, whatever its address.</param>
/// <param name="Kind">One of <see cref="EngineName"/>'s. All but external are of this machine.</param>
/// <param name="Address">Where it answered.</param>
sealed record EngineIdentity(string Id, string Kind, string Address);

// Which workflow drives a turn. Each start of one is a life; only the workflow that a turn is bound to gets claims.
sealed partial class RunStore
{
    /// <summary>Written on the writer's thread only; null until the engine has said who it is, and nothing is bound before.</summary>
    EngineIdentity? present;

    /// <summary>The engine that is there.</summary>
    public EngineIdentity? Present => Volatile.Read(ref present);

    /// <summary>
    /// The engine has said who it is. What it still runs of turns that have moved elsewhere is to be terminated; open turns of
    /// another engine of this machine, and those that are bound nowhere, get a life here.
    /// </summary>
    public Task EngineKnown(EngineIdentity engine) => database.Write(t =>
    {
        var before = present;
        present = engine;
        t.OnRollback(() => present = before);
        t.Execute(
            "INSERT INTO engines (id, kind, address, seen_at) VALUES ($1, $2, $3, $4) "
            + "ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, address = excluded.address, seen_at = excluded.seen_at",
            engine.Id, engine.Kind, engine.Address, Now);
        t.Execute(
            "INSERT INTO outbox (run, turn, engine, workflow, kind) SELECT run, turn, engine, workflow, 'terminate' FROM bindings b WHERE engine = $1 AND state = 1 "
            + "AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.workflow = b.workflow AND o.kind = 'terminate')", engine.Id);
        var moving = t.Connection.Query(
            TurnColumns + "LEFT JOIN engines e ON e.id = t.engine WHERE t.ended_at IS NULL AND (t.engine IS NULL OR (t.engine <> $1 AND e.kind <> 'external'))",
            ReadTurn, engine.Id);
        foreach (var turn in moving) NewLife(t, turn, oldState: 1);
        t.AfterCommit(() =>
        {
            if (before?.Id != engine.Id) log.Info("The workflow engine is there", ("kind", engine.Kind), ("id", engine.Id), ("address", engine.Address));
            if (moving.Count > 0) log.Info("Runs go on here", ("count", moving.Count));
            OutboxChanged?.Invoke();
            Events.LookAll();
        });
    });

    /// <summary>Workflows of open turns that the present engine should be running; those whose start it has yet to take are left out.</summary>
    public Task<List<string>> BoundHere() => database.Read(c => c.Query(
        "SELECT workflow FROM turns t WHERE ended_at IS NULL AND engine = $1 "
        + "AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.workflow = t.workflow AND o.kind = 'start')", r => r.GetString(0), Present?.Id));

    /// <summary>Whether the workflow should be running at the present engine: only then there is something to look for.</summary>
    public Task<bool> IsBoundHere(string workflow) => database.Read(c => c.Number(
        "SELECT count(*) FROM turns t WHERE workflow = $1 AND ended_at IS NULL AND engine = $2 "
        + "AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.workflow = t.workflow AND o.kind = 'start')", workflow, Present?.Id) > 0);

    /// <summary>
    /// The engine that should be running the workflow does not: the turn gets a new life, unless that happened twice in a row
    /// without a result between; then the run fails.
    /// </summary>
    public Task Lost(string workflow, string how) => database.Write(t =>
    {
        var turn = t.Connection.First(
            TurnColumns + "WHERE t.workflow = $1 AND t.ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.workflow = t.workflow AND o.kind = 'start')",
            ReadTurn, workflow);
        if (turn is null || present is null || turn.Engine != present.Id) return;
        if (turn.Losses > 0)
        {
            var error = new Error
            {
                What = "The workflow engine ended this run's workflow twice in a row",
                Why = $"{workflow} {how}, as the one before it, with no step between: somebody or something is ending it",
                Remedy = $"`stigmer runs resume {turn.RunId}` once that has stopped",
            };
            Close(t, turn, RunStatus.Failed, error, "");
            t.Execute("UPDATE bindings SET state = 2 WHERE workflow = $1", workflow);
            return;
        }
        t.Execute("UPDATE turns SET losses = losses + 1 WHERE run = $1 AND turn = $2", turn.Run, turn.Turn);
        NewLife(t, turn, oldState: 2);
        t.AfterCommit(() => log.Warn("The engine no longer runs a workflow: the run gets a new one", ("workflow", workflow), ("how", how)));
    });

    /// <summary>What the workflow of a turn is started with, from what is stored now; null where the turn is no longer bound to it.</summary>
    public Task<TurnInput?> Input(string workflow) => database.Read(c =>
    {
        var turn = c.First(TurnColumns + "WHERE t.workflow = $1 AND t.ended_at IS NULL", ReadTurn, workflow);
        if (turn is null) return null;
        var spec = Spec(c, turn.Run);
        var first = Math.Max(1, (int)c.Number("SELECT max(step) FROM slots WHERE run = $1 AND turn = $2 AND slot = 0", turn.Run, turn.Turn));
        // What the stored answer of the first step cost, its CallModel reports; the results of its calls report nothing any more.
        var (tokens, worked) = c.First(
            "SELECT sum(CASE WHEN step < $3 THEN input_tokens + output_tokens ELSE 0 END), sum(CASE WHEN step < $3 OR slot > 0 THEN worked_ms ELSE 0 END) "
            + "FROM slots WHERE run = $1 AND turn = $2 AND (step > $4 OR $4 = 0)",
            r => (r.IsDBNull(0) ? 0 : r.GetInt64(0), r.IsDBNull(1) ? 0 : r.GetInt64(1)), turn.Run, turn.Turn, first, turn.BaseStep);
        if (first == turn.BaseStep)
        {
            // Resumed here: what this answer had cost before counts no more, and its CallModel will report it all the same.
            (tokens, worked) = c.First(
                "SELECT input_tokens + output_tokens, worked_ms FROM slots WHERE run = $1 AND turn = $2 AND step = $3 AND slot = 0",
                r => (-r.GetInt64(0), -r.GetInt64(1)), turn.Run, turn.Turn, first);
        }
        return new TurnInput
        {
            Run = turn.RunId,
            Turn = turn.Turn,
            Life = turn.Life,
            Queue = TurnWorkflow.Queue(ServerId),
            EndQueue = TurnWorkflow.EndQueue(ServerId),
            HostQueue = TurnWorkflow.HostQueue(ServerId, spec.HostId),
            FirstStep = first,
            StepsBefore = first - 1 - turn.BaseStep,
            TokensBefore = tokens,
            WorkedMsBefore = worked,
            MaxSteps = spec.Limits?.MaxSteps ?? 0,
            TimeoutMs = spec.Limits?.TimeoutMs ?? 0,
            MaxTotalTokens = spec.Limits?.MaxTotalTokens ?? 0,
            OpensTools = spec.McpServers.Count > 0 && !IsFilled(c, turn, step: 0, slot: 0),
        };
    });

    /// <summary>Binds an open turn to a new workflow on the present engine and asks for its start; without one the turn stays unbound.</summary>
    /// <param name="oldState">What becomes of the old binding: 1 its workflow is to be terminated, 2 it is known to be over.</param>
    void NewLife(Transaction t, TurnRow turn, int oldState)
    {
        if (turn.Workflow is { } old)
        {
            t.Execute("UPDATE bindings SET state = $1 WHERE workflow = $2 AND state < $1", oldState, old);
            // A new life needs no old bells: its activities read the rows.
            t.Execute("DELETE FROM outbox WHERE workflow = $1 AND kind IN ('start', 'bell', 'fail')", old);
        }
        if (present is not { } engine)
        {
            t.Execute("UPDATE turns SET workflow = NULL, engine = NULL WHERE run = $1 AND turn = $2", turn.Run, turn.Turn);
            return;
        }
        var life = turn.Life + 1;
        var workflow = TurnWorkflow.Id(turn.RunId, turn.Turn, life);
        t.Execute("UPDATE turns SET life = $1, workflow = $2, engine = $3 WHERE run = $4 AND turn = $5", life, workflow, engine.Id, turn.Run, turn.Turn);
        t.Execute("INSERT INTO bindings (workflow, run, turn, life, engine) VALUES ($1, $2, $3, $4, $5)", workflow, turn.Run, turn.Turn, life, engine.Id);
        Ask(t, turn, "start", workflow, engine.Id);
        t.AfterCommit(() => Events.Look(turn.Run));
    }
}
