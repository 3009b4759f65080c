using Microsoft.Data.Sqlite;
using Stigmer.Rpc;
using Stigmer.Rpc.V1;
using Stigmer.Server.Storage;

namespace Stigmer.Server.Runs;

// Runs and transcripts as they are shown, and as models read them.
sealed partial class RunStore
{
    /// <summary>A part of a transcript is no larger, unless one entry alone is: far below what a message may be.</summary>
    const long MostBytes = 8 * 1024 * 1024;

    /// <summary>In characters.</summary>
    const int LongestListedPrompt = 4096;

    /// <summary>A place in a transcript: everything up to and including it is known.</summary>
    /// <param name="Message">User messages up to this number are known.</param>
    public readonly record struct Place(int Turn, int Step, int Slot, long Message)
    {
        /// <summary>This place once the entry is known, too. A message counts by its number alone: more may come at its place.</summary>
        public Place Past(TranscriptEntry entry) =>
            entry.User is { } user ? this with { Message = Math.Max(Message, user.Number) } : new(entry.Turn, entry.Step, entry.Slot, Message);
    }

    /// <summary>The number of the run that a person names; a status that says why where there is no such one.</summary>
    public Task<long> Named(string name) => database.Read(c => Find(c, name));

    /// <summary>The number of the run with this id; 0 where it is not known.</summary>
    public Task<long> NumberOf(string runId) => database.Read(c => c.Number("SELECT number FROM runs WHERE id = $1", runId));

    /// <summary>A run as it is shown.</summary>
    public Task<Run> Read(long run) => database.Read(c => Show(c, run));

    /// <summary>A run with its transcript, or as much of it as goes into one answer.</summary>
    public Task<GetRunResponse> Get(GetRunRequest request) => database.Read(c =>
    {
        var run = Find(c, request.Run);
        var page = Entries(c, run, new Place(request.AfterTurn, request.AfterStep, request.AfterSlot, request.AfterMessage));
        var response = new GetRunResponse { Run = Show(c, run), Transcript = { page.Entries } };
        if (page.Next is { } next)
        {
            response.Next = new GetRunRequest { Run = response.Run.Id, AfterTurn = next.Turn, AfterStep = next.Step, AfterSlot = next.Slot, AfterMessage = next.Message };
        }
        return response;
    });

    /// <summary>The newest runs first.</summary>
    public Task<List<Run>> List(ListRunsRequest request) => database.Read(c =>
    {
        var runs = new List<Run>();
        var most = request.Limit > 0 ? request.Limit : 20;
        // Whether a run waits is no column: it depends on who is there.
        var stored = request.Status == RunStatus.Waiting ? RunStatus.Running : request.Status;
        c.Each(
            "SELECT r.number FROM runs r JOIN turns t ON t.run = r.number AND t.turn = (SELECT max(turn) FROM turns WHERE run = r.number) "
            + "WHERE ($1 = '' OR r.agent = $1) AND ($2 = 0 OR t.status = $2) ORDER BY r.number DESC",
            r =>
            {
                var run = Show(c, r.GetInt64(0));
                if (request.Status == RunStatus.Unspecified || request.Status == run.Status) runs.Add(InList(run));
                return runs.Count < most;
            },
            request.Agent, stored);
        return runs;
    });

    /// <summary>A run's spec; null: it is not known here.</summary>
    public Task<RunSpec?> SpecOf(string runId) => database.Read(c => c.Number("SELECT number FROM runs WHERE id = $1", runId) is var run and not 0 ? Spec(c, run) : null);

    /// <summary>What a runner needs to go on: every entry past the place, or as many as one page holds.</summary>
    public Task<Page> Transcript(string runId, Place after) => database.Read(c => Entries(c, c.Number("SELECT number FROM runs WHERE id = $1", runId), after));

    /// <summary>The place from which a watcher goes on; who says nothing of messages knows those that stand before the place.</summary>
    public Task<Place> PlaceOf(long run, WatchRunRequest request) => database.Read(c =>
    {
        var place = new Place(request.AfterTurn, request.AfterStep, request.AfterSlot, request.AfterMessage);
        if (request.FromTurn > place.Turn + 1) place = new Place(request.FromTurn - 1, int.MaxValue, int.MaxValue, 0);
        if (place.Message > 0 || place.Turn == 0) return place;
        var known = c.Number(
            "SELECT max(number) FROM said WHERE run = $1 AND kind = 'message' AND ((read_turn, read_step) <= ($2, $3) OR (read_turn IS NULL AND turn < $2) OR number = 1)",
            run, place.Turn, place.Step);
        return place with { Message = known };
    });

    /// <summary>What a watcher has not seen: the run, and its entries in the order of their places, without gaps.</summary>
    public Task<(Run Run, bool Ended, List<TranscriptEntry> Entries, bool More)> Since(long run, Place after) => database.Read(c =>
    {
        var entries = new List<TranscriptEntry>();
        var at = after;
        var page = Entries(c, run, after);
        foreach (var entry in page.Entries)
        {
            // Results are stored as they come; one that waits for an earlier slot is shown after it, so that a place says all.
            if (entry.Slot > 0 && (entry.Turn, entry.Step, entry.Slot) != (at.Turn, at.Step, at.Slot + 1)) break;
            entries.Add(entry);
            at = at.Past(entry);
        }
        return (Show(c, run), page.Next is null && !LastTurn(c, run)!.Open, entries, page.Next is not null);
    });

    /// <summary>A part of a transcript.</summary>
    /// <param name="Next">Where the next part begins; null: this was the last.</param>
    public sealed record Page(List<TranscriptEntry> Entries, Place? Next);

    static Page Entries(Connection c, long run, Place after)
    {
        // Messages stand before the step that read them; those that nobody has read yet stand at the end.
        // No more of them than fill a page, which ends then before it comes to those that were not read.
        var messages = new Queue<TranscriptEntry>();
        var fill = 0L;
        var known = c.Each(
            "SELECT number, text, said_at, read_turn, read_step, turn FROM said WHERE run = $1 AND kind = 'message' AND number > $2 ORDER BY number",
            r =>
            {
                var message = ReadMessage(r);
                messages.Enqueue(message);
                fill += message.User.Text.Length;
                return fill <= MostBytes;
            },
            run, after.Message);
        var entries = new List<TranscriptEntry>();
        var (at, bytes) = (after, 0L);

        bool Add(TranscriptEntry entry, long size)
        {
            if (entries.Count > 0 && bytes + size > MostBytes) return false;
            entries.Add(entry);
            at = at.Past(entry);
            bytes += size;
            return true;
        }

        bool AddMessage()
        {
            var message = messages.Peek();
            if (message.Step == 0) message.Step = 1 + (int)c.Number("SELECT max(step) FROM slots WHERE run = $1 AND turn = $2 AND slot = 0", run, message.Turn);
            if (!Add(message, message.User.Text.Length)) return false;
            messages.Dequeue();
            return true;
        }

        var all = c.Each(
            "SELECT entry FROM slots WHERE run = $1 AND (turn, step, slot) > ($2, $3, $4) ORDER BY turn, step, slot",
            r =>
            {
                var bytesOfEntry = r.GetFieldValue<byte[]>(0);
                var entry = TranscriptEntry.Parser.ParseFrom(bytesOfEntry);
                while (entry.Slot == 0 && messages.TryPeek(out var message) && message.Step > 0 && (message.Turn, message.Step).CompareTo((entry.Turn, entry.Step)) <= 0)
                {
                    if (!AddMessage()) return false;
                }
                return Add(entry, bytesOfEntry.Length);
            },
            run, after.Turn, after.Step, after.Turn == 0 ? -1 : after.Slot);
        while (all && messages.Count > 0) all = AddMessage();
        return new Page(entries, all && known ? null : at);
    }

    static TranscriptEntry ReadMessage(SqliteDataReader r) => new()
    {
        Turn = r.IsDBNull(3) ? r.GetInt32(5) : r.GetInt32(3),
        Step = r.IsDBNull(4) ? 0 : r.GetInt32(4),
        Slot = -1,
        StoredAt = r.GetInt64(2),
        User = new UserMessage { Number = r.GetInt64(0), Text = r.GetString(1) },
    };

    Run Show(Connection c, long run)
    {
        var spec = Spec(c, run);
        var turn = LastTurn(c, run)!;
        var shown = c.First(
            "SELECT r.created_at, coalesce(t.ended_at, 0), e.kind, t.error, t.limit_name, "
            + "(SELECT text FROM said s WHERE s.run = r.number AND s.kind = 'message' ORDER BY number LIMIT 1) "
            + "FROM runs r JOIN turns t ON t.run = r.number AND t.turn = $2 LEFT JOIN engines e ON e.id = t.engine WHERE r.number = $1",
            r => new Run
            {
                Id = turn.RunId, Agent = spec.Agent, Status = turn.Status, Spec = spec,
                StartedAt = r.GetInt64(0), EndedAt = r.GetInt64(1), Engine = r.IsDBNull(2) ? "" : r.GetString(2),
                Error = r.IsDBNull(3) ? null : Error.Parser.ParseFrom(r.GetFieldValue<byte[]>(3)), Limit = r.IsDBNull(4) ? "" : r.GetString(4),
                Prompt = r.IsDBNull(5) ? "" : r.GetString(5),
            },
            run, turn.Turn)!;
        (shown.Steps, shown.Usage) = c.First(
            "SELECT sum(steps), sum(input_tokens), sum(output_tokens) FROM turns WHERE run = $1",
            r => (r.GetInt32(0), new Usage { InputTokens = r.GetInt64(1), OutputTokens = r.GetInt64(2) }), run);
        shown.Turn = turn.Turn;
        var last = LastAnswer(c, turn);
        shown.Output = last?.Answer.Text ?? "";
        if (!turn.Open) return shown;
        shown.WaitingCalls.AddRange(Waiting(c, turn, spec));
        (shown.WaitingFor, var parked) = WaitingFor(c, turn, spec, last, shown.WaitingCalls);
        if (parked && turn.Status == RunStatus.Running) shown.Status = RunStatus.Waiting;
        return shown;
    }

    /// <summary>As one of many: a list is to be a message, whatever its runs say.</summary>
    static Run InList(Run run)
    {
        run.Spec = null;
        run.Output = "";
        if (run.Prompt.Length > LongestListedPrompt) run.Prompt = $"{run.Prompt[..LongestListedPrompt]}…";
        foreach (var waiting in run.WaitingCalls) waiting.Call.Arguments = "";
        return run;
    }

    /// <summary>What an open turn waits for, as a sentence; and whether that lasts until somebody does something.</summary>
    (string Sentence, bool Parked) WaitingFor(Connection c, TurnRow turn, RunSpec spec, TranscriptEntry? last, IReadOnlyCollection<WaitingCall> waiting)
    {
        if (Present is not { } engine) return ("the workflow engine", false);
        if (turn.Engine is { } bound && bound != engine.Id)
        {
            var address = c.Text("SELECT address FROM engines WHERE id = $1", bound);
            return ($"the Temporal at {address}, where it was started; `stigmer runs resume {turn.RunId[..8]}` moves it to the present engine", true);
        }
        if (waiting.Count > 0)
        {
            // Others of the same step may be under way.
            var open = last!.Answer.Calls.Count(call => !IsFilled(c, turn, last.Step, call.Slot));
            var names = string.Join(", ", waiting.Select(each => each.Call.Name).Distinct());
            return ($"a yes or no to {names}: `stigmer runs approve {turn.RunId[..8]}`, `stigmer runs deny {turn.RunId[..8]}`", open == waiting.Count);
        }
        if (!Runners.Serves(TurnWorkflow.Queue(ServerId))) return ("an agent-runner", false);
        var hostQueue = TurnWorkflow.HostQueue(ServerId, spec.HostId);
        if (Runners.Serves(hostQueue)) return ("", false);
        var tools = last is null ? spec.McpServers.Count > 0 && !IsFilled(c, turn, step: 0, slot: 0) : last.Answer.Calls.Any(call => !IsFilled(c, turn, last.Step, call.Slot));
        return tools ? ($"an agent-runner on host {spec.HostId}, where its workspace is", true) : ("", false);
    }
}
