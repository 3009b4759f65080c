using Stigmer.Rpc.V1;
using Stigmer.Server.Storage;

namespace Stigmer.Server.Runs;

// A call that needs approval waits for a row: a yes lets it be claimed, a no is its result.
sealed partial class RunStore
{
    /// <summary>
    /// Says yes or no to calls that wait for it. A no writes the call's result in the same transaction. Asking again with the same
    /// key is answered with what was decided then; a call that was decided or has ended is refused, in words.
    /// </summary>
    public async Task<DecideCallsResponse> Decide(DecideCallsRequest request)
    {
        var (run, decided) = await database.Write(t =>
        {
            var c = t.Connection;
            var number = Find(c, request.Run);
            if (IsSaid(c, number, request.Key)) return (number, DecidedBy(c, number, request.Key));
            var turn = LastTurn(c, number)!;
            if (!turn.Open) throw Refusal.Precondition($"Run {Short(turn)} has ended ({Word(turn.Status)}): nothing waits for a yes or no");
            var waiting = Waiting(c, turn, Spec(c, number));
            var chosen = request.Call.Length == 0 ? waiting : Named(c, turn, waiting, request.Call);
            if (chosen.Count == 0) throw Refusal.Precondition($"No call of run {Short(turn)} waits for a yes or no now");
            for (var i = 0; i < chosen.Count; i++)
            {
                // One row a call; the first has the request's key.
                var said = Say(
                    t, number, turn.Turn, request.Yes ? "approve" : "deny", i == 0 ? request.Key : $"{request.Key}/{i}", request.Reason.Length > 0 ? request.Reason : null,
                    chosen[i].Step, chosen[i].Call.Slot);
                if (!request.Yes) Store(t, turn, Denied(turn, chosen[i], request.Reason));
                if (turn.Workflow is { } workflow) Ask(t, turn, "bell", workflow, turn.Engine!, said);
            }
            t.AfterCommit(() => Events.Look(number));
            return (number, chosen);
        });
        return new DecideCallsResponse { Run = await Read(run), Decided = { decided } };
    }

    /// <summary>The calls that a person has said yes to and that have no result yet.</summary>
    public Task<List<Rpc.V1.Place>> Approved(string runId) => database.Read(c => c.Query(
        "SELECT s.turn, s.step, s.slot FROM said s JOIN runs r ON r.number = s.run WHERE r.id = $1 AND s.kind = 'approve' "
        + "AND NOT EXISTS (SELECT 1 FROM slots e WHERE e.run = s.run AND e.turn = s.turn AND e.step = s.step AND e.slot = s.slot)",
        r => new Rpc.V1.Place { Turn = r.GetInt32(0), Step = r.GetInt32(1), Slot = r.GetInt32(2) }, runId));

    static bool IsApproved(Connection c, TurnRow turn, int step, int slot) => c.Number(
        "SELECT count(*) FROM said WHERE run = $1 AND kind = 'approve' AND turn = $2 AND step = $3 AND slot = $4", turn.Run, turn.Turn, step, slot) > 0;

    /// <summary>The calls of an open turn that wait for a person, in their order. Only the last step can have any.</summary>
    static List<WaitingCall> Waiting(Connection c, TurnRow turn, RunSpec spec) => spec.Yes ? [] : LastAnswer(c, turn) is { } last
        ? [.. last.Answer.Calls
            .Where(call => call.NeedsApproval && !IsFilled(c, turn, last.Step, call.Slot) && !IsApproved(c, turn, last.Step, call.Slot))
            .Select(call => new WaitingCall { Turn = turn.Turn, Step = last.Step, Call = call })]
        : [];

    static TranscriptEntry? LastAnswer(Connection c, TurnRow turn) => c.First(
        "SELECT entry FROM slots WHERE run = $1 AND turn = $2 AND slot = 0 AND step > 0 ORDER BY step DESC LIMIT 1", ReadEntry, turn.Run, turn.Turn);

    static List<WaitingCall> Named(Connection c, TurnRow turn, List<WaitingCall> waiting, string id)
    {
        if (waiting.Where(w => w.Call.Id == id).ToList() is { Count: > 0 } exact) return exact;
        var beginning = waiting.Where(w => w.Call.Id.StartsWith(id, StringComparison.Ordinal)).ToList();
        if (beginning.Count == 1) return beginning;
        if (beginning.Count > 1) throw Refusal.Precondition($"More than one call begins with {id}: {string.Join(" and ", beginning.Select(w => w.Call.Id))}");
        var known = c.Query(
                "SELECT entry FROM slots WHERE run = $1 AND turn = $2 AND slot = 0 AND step > 0 ORDER BY step DESC", ReadEntry, turn.Run, turn.Turn)
            .SelectMany(entry => entry.Answer.Calls.Select(call => (entry.Step, Call: call)))
            .FirstOrDefault(each => each.Call.Id.StartsWith(id, StringComparison.Ordinal));
        if (known.Call is null)
        {
            var there = waiting.Count > 0 ? string.Join(", ", waiting.Select(w => $"{w.Call.Id} ({w.Call.Name})")) : "none waits now";
            throw Refusal.NotFound($"Run {Short(turn)} has no call {id} that waits for a yes or no: {there}");
        }
        var why = Stored(c, turn, known.Step, known.Call.Slot) switch
        {
            { Result.Kind: ResultKind.Denied } => "was denied already",
            not null => "has ended already",
            null when IsApproved(c, turn, known.Step, known.Call.Slot) => "was approved already",
            null => "needs no yes",
        };
        throw Refusal.Precondition($"The call {known.Call.Id} ({known.Call.Name}) {why}");
    }

    static List<WaitingCall> DecidedBy(Connection c, long run, string key) =>
        // '0' follows '/'.
        c.Query(
            "SELECT turn, step, slot FROM said WHERE run = $1 AND kind IN ('approve', 'deny') AND (key = $2 OR (key > $2 || '/' AND key < $2 || '0')) ORDER BY number",
            r => (Turn: r.GetInt32(0), Step: r.GetInt32(1), Slot: r.GetInt32(2)), run, key)
        .Select(place => new WaitingCall
        {
            Turn = place.Turn, Step = place.Step,
            Call = c.First("SELECT entry FROM slots WHERE run = $1 AND turn = $2 AND step = $3 AND slot = 0", ReadEntry, run, place.Turn, place.Step)?
                .Answer?.Calls.FirstOrDefault(call => call.Slot == place.Slot),
        }).ToList();

    TranscriptEntry Denied(TurnRow turn, WaitingCall waiting, string reason) => new()
    {
        Turn = turn.Turn, Step = waiting.Step, Slot = waiting.Call.Slot, StoredAt = Now,
        Result = new ToolResult
        {
            CallId = waiting.Call.Id, Ok = false, Kind = ResultKind.Denied,
            Text = reason.Length > 0 ? $"denied: the user said no to this call, it was not run. The reason: {reason}" : "denied: the user said no to this call, it was not run",
        },
    };
}
