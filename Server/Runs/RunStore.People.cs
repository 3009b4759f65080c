using Google.Protobuf;
using Stigmer.Config;
using Stigmer.Rpc;
using Stigmer.Rpc.V1;
using Stigmer.Server.Storage;

namespace Stigmer.Server.Runs;

// What people say comes first as a row, committed before they are answered; a repeated request is answered from the row.
sealed partial class RunStore
{
    /// <summary>Begins a run with its first turn. The same id again starts nothing and is answered with the run as it is.</summary>
    public async Task<Run> Start(StartRunRequest request)
    {
        if (!Ids.IsRunId(request.RunId)) throw Refusal.Invalid("A run's id is 32 lower-case hexadecimal digits, made by who starts it");
        if (string.IsNullOrWhiteSpace(request.Prompt)) throw Refusal.Invalid("A run needs a prompt");
        if (request.Provider.Length > 0 && !Providers.Names.Contains(request.Provider))
        {
            throw Refusal.Invalid($"There is no provider '{request.Provider}': {string.Join(", ", Providers.Names)}");
        }
        if (request.Limits is { MaxSteps: < 0 } or { TimeoutMs: < 0 } or { MaxTotalTokens: < 0 }) throw Refusal.Invalid("A limit is not negative; 0 stands for none");
        var run = await database.Write(t =>
        {
            var there = t.Connection.Number("SELECT number FROM runs WHERE id = $1", request.RunId);
            if (there != 0) return there;
            var spec = AgentRules.Spec(Agent(t.Connection, request.Agent), request);
            if (spec.HostId.Length == 0) spec.HostId = HostId;
            t.Execute("INSERT INTO runs (id, agent, created_at, spec) VALUES ($1, $2, $3, $4)", spec.RunId, spec.Agent, Now, spec.ToByteArray());
            var number = t.Connection.Number("SELECT last_insert_rowid()");
            BeginTurn(t, number, turn: 1, key: spec.RunId, request.Prompt);
            t.AfterCommit(() => log.Info("A run begins", ("run", spec.RunId), ("agent", spec.Agent)));
            return number;
        });
        return await Read(run);
    }

    /// <summary>
    /// A message of a person: the open turn's next model call reads it; where the last turn has ended, whichever way, the next one
    /// begins with it.
    /// </summary>
    public async Task<SendMessageResponse> Send(SendMessageRequest request)
    {
        if (string.IsNullOrWhiteSpace(request.Text)) throw Refusal.Invalid("A message needs words");
        var (run, turn, message) = await database.Write(t =>
        {
            var c = t.Connection;
            var number = Find(c, request.Run);
            if (IsSaid(c, number, request.Key))
            {
                return c.First("SELECT turn, number FROM said WHERE run = $1 AND key = $2", r => (number, r.GetInt32(0), r.GetInt64(1)), number, request.Key);
            }
            var last = LastTurn(c, number)!;
            if (!last.Open)
            {
                var said = BeginTurn(t, number, last.Turn + 1, request.Key, request.Text);
                t.AfterCommit(() => log.Info("A run goes on with another turn", ("run", last.RunId), ("turn", last.Turn + 1)));
                return (number, last.Turn + 1, said);
            }
            var row = Say(t, number, last.Turn, "message", request.Key, request.Text);
            if (last.Workflow is { } workflow) Ask(t, last, "bell", workflow, last.Engine!, row);
            t.AfterCommit(() => Events.Look(number));
            return (number, last.Turn, row);
        });
        return new SendMessageResponse { Run = await Read(run), Turn = turn, Message = message };
    }

    /// <summary>
    /// Closes the run's open turn at once and tells runners and engine. A run that was cancelled already is answered as it is; one
    /// that has ended otherwise is refused.
    /// </summary>
    public async Task<Run> Cancel(CancelRunRequest request)
    {
        var run = await database.Write(t =>
        {
            var number = Find(t.Connection, request.Run);
            if (IsSaid(t.Connection, number, request.Key)) return number;
            var turn = LastTurn(t.Connection, number)!;
            if (!turn.Open)
            {
                if (turn.Status == RunStatus.Cancelled) return number;
                throw Refusal.Precondition($"Run {Short(turn)} has ended already: {Word(turn.Status)}");
            }
            var said = Say(t, number, turn.Turn, "cancel", request.Key, null);
            Close(t, turn, RunStatus.Cancelled, null, "");
            if (turn.Workflow is { } workflow) Ask(t, turn, "cancel", workflow, turn.Engine!, said);
            return number;
        });
        return await Read(run);
    }

    /// <summary>
    /// Reopens the last turn of a run that failed, timed out or reached a limit, at the step that failed; or moves an open one from
    /// an engine that is not there to the one that is.
    /// </summary>
    public async Task<Run> Resume(ResumeRunRequest request)
    {
        var run = await database.Write(t =>
        {
            var number = Find(t.Connection, request.Run);
            if (IsSaid(t.Connection, number, request.Key)) return number;
            var turn = LastTurn(t.Connection, number)!;
            if (turn.Open)
            {
                if (present is null) throw Refusal.Precondition($"Run {Short(turn)} cannot be moved yet: the workflow engine has not answered");
                if (turn.Engine == present.Id) throw Refusal.Precondition($"Run {Short(turn)} goes on already: {Word(turn.Status)}");
            }
            else if (turn.Status is not (RunStatus.Failed or RunStatus.TimedOut or RunStatus.LimitReached))
            {
                throw Refusal.Precondition($"Run {Short(turn)} has nothing to resume: {Word(turn.Status)}");
            }
            Say(t, number, turn.Turn, "resume", request.Key, null);
            if (!turn.Open)
            {
                // Steps and work count from here on; what the last stored step had cost counts no more.
                t.Execute(
                    "UPDATE turns SET status = $1, ended_at = NULL, error = NULL, limit_name = NULL, losses = 0, base_step = "
                    + "coalesce((SELECT max(step) FROM slots s WHERE s.run = turns.run AND s.turn = turns.turn AND s.slot = 0), 0) WHERE run = $2 AND turn = $3",
                    RunStatus.Queued, turn.Run, turn.Turn);
            }
            NewLife(t, turn, oldState: turn.Open ? 1 : 2);
            t.AfterCommit(() => log.Info("A run is resumed", ("run", turn.RunId), ("turn", turn.Turn)));
            return number;
        });
        return await Read(run);
    }

    /// <summary>The number of the message with which the turn begins.</summary>
    long BeginTurn(Transaction t, long run, int turn, string key, string prompt)
    {
        t.Execute("INSERT INTO turns (run, turn, status, started_at) VALUES ($1, $2, $3, $4)", run, turn, RunStatus.Queued, Now);
        var said = Say(t, run, turn, "message", key, prompt);
        NewLife(t, LastTurn(t.Connection, run)!, oldState: 2);
        return said;
    }

    static bool IsSaid(Connection c, long run, string key)
    {
        if (key.Length == 0) throw Refusal.Invalid("The request needs a key, so that repeating it does nothing twice");
        return c.Number("SELECT count(*) FROM said WHERE run = $1 AND key = $2", run, key) > 0;
    }

    /// <summary>The run that a person names: by id, by a unique beginning of it, or as the last one.</summary>
    static long Find(Connection c, string name)
    {
        if (name == "last")
        {
            var last = c.Number("SELECT max(number) FROM runs");
            return last != 0 ? last : throw Refusal.NotFound("There is no run yet");
        }
        name = name.ToLowerInvariant();
        if (!Ids.IsPrefix(name)) throw Refusal.Invalid($"'{name}' is no run: give its id, a unique beginning of it, or `last`");
        var found = c.Query(
            "SELECT number, id FROM runs WHERE id >= $1 AND id < $2 ORDER BY id LIMIT 2", r => (Number: r.GetInt64(0), Id: r.GetString(1)), name, name + "g");
        return found switch
        {
            [] => throw Refusal.NotFound($"There is no run {name}"),
            [var only] => only.Number,
            [var first, ..] when first.Id == name => first.Number,
            [var first, var second, ..] => throw Refusal.Precondition($"More than one run begins with {name}: {first.Id} and {second.Id}"),
        };
    }

    static string Short(TurnRow turn) => turn.RunId[..8];

    static string Word(RunStatus status) => status.Name().Replace('_', ' ');
}
