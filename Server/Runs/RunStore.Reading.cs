using Microsoft.Data.Sqlite;
using Stigmer.Rpc;
using Stigmer.Rpc.V1;
using Stigmer.Server.Storage;

namespace Stigmer.Server.Runs;

// Runs and transcripts as they are shown, and as models read them.
sealed partial class RunStore
{
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

    /// <summary>A run with its whole transcript.</summary>
    public Task<GetRunResponse> Get(string name) => database.Read(c =>
    {
        var run = Find(c, name);
        return new GetRunResponse { Run = Show(c, run), Transcript = { Entries(c, run, default) } };
    });

    /// <summary>The newest runs first.</summary>
    public Task<List<Run>> List(ListRunsRequest request) => database.Read(c => c.Query(
        "SELECT r.number FROM runs r JOIN turns t ON t.run = r.number AND t.turn = (SELECT max(turn) FROM turns WHERE run = r.number) "
        + "WHERE ($1 = '' OR r.agent = $1) AND ($2 = 0 OR t.status = $2) ORDER BY r.number DESC LIMIT $3",
        r => Show(c, r.GetInt64(0)), request.Agent, request.Status, request.Limit > 0 ? request.Limit : 20));

    /// <summary>What a runner needs to go on: the run's spec, and every entry past the place. A null spec: the run is not known here.</summary>
    public Task<(RunSpec? Spec, List<TranscriptEntry> Entries)> Transcript(string runId, Place after) => database.Read(c =>
    {
        var run = c.Number("SELECT number FROM runs WHERE id = $1", runId);
        return run == 0 ? (null, []) : ((RunSpec?)Spec(c, run), Entries(c, run, after));
    });

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
    public Task<(Run Run, bool Ended, List<TranscriptEntry> Entries)> Since(long run, Place after) => database.Read(c =>
    {
        var entries = new List<TranscriptEntry>();
        var at = after;
        foreach (var entry in Entries(c, run, after))
        {
            // Results are stored as they come; one that waits for an earlier slot is shown after it, so that a place says all.
            if (entry.Slot > 0 && (entry.Turn, entry.Step, entry.Slot) != (at.Turn, at.Step, at.Slot + 1)) break;
            entries.Add(entry);
            at = at.Past(entry);
        }
        return (Show(c, run), !LastTurn(c, run)!.Open, entries);
    });

    static List<TranscriptEntry> Entries(Connection c, long run, Place after)
    {
        // Messages stand before the step that read them; those that nobody has read yet stand at the end.
        var messages = new Queue<TranscriptEntry>(c.Query(
            "SELECT number, text, said_at, read_turn, read_step, turn FROM said WHERE run = $1 AND kind = 'message' AND number > $2 ORDER BY number",
            ReadMessage, run, after.Message));
        var stored = c.Query(
            "SELECT entry FROM slots WHERE run = $1 AND (turn, step, slot) > ($2, $3, $4) ORDER BY turn, step, slot",
            ReadEntry, run, after.Turn, after.Step, after.Turn == 0 ? -1 : after.Slot);
        var entries = new List<TranscriptEntry>(messages.Count + stored.Count);
        foreach (var entry in stored)
        {
            while (entry.Slot == 0 && messages.TryPeek(out var message) && message.Step > 0 && (message.Turn, message.Step).CompareTo((entry.Turn, entry.Step)) <= 0)
            {
                entries.Add(messages.Dequeue());
            }
            entries.Add(entry);
        }
        foreach (var message in messages)
        {
            if (message.Step == 0)
            {
                message.Step = 1 + (int)c.Number("SELECT max(step) FROM slots WHERE run = $1 AND turn = $2 AND slot = 0", run, message.Turn);
            }
            entries.Add(message);
        }
        return entries;
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
        var last = c.First(
            "SELECT entry FROM slots WHERE run = $1 AND turn = $2 AND slot = 0 ORDER BY step DESC LIMIT 1", ReadEntry, run, turn.Turn)?.Answer;
        shown.Output = last?.Text ?? "";
        if (turn.Open) shown.WaitingFor = WaitingFor(c, turn, spec, last);
        return shown;
    }

    string WaitingFor(Connection c, TurnRow turn, RunSpec spec, ModelAnswer? last)
    {
        if (Present is not { } engine) return "the workflow engine";
        if (turn.Engine is { } bound && bound != engine.Id)
        {
            var address = c.Text("SELECT address FROM engines WHERE id = $1", bound);
            return $"the Temporal at {address}, where it was started; `stigmer runs resume {turn.RunId[..8]}` moves it to the present engine";
        }
        if (!Runners.Serves(TurnWorkflow.Queue(ServerId))) return "an agent-runner";
        var hostQueue = TurnWorkflow.HostQueue(ServerId, spec.HostId);
        if (last is null || last.Calls.Count == 0 || Runners.Serves(hostQueue)) return "";
        var open = c.Number(
            "SELECT count(*) FROM slots WHERE run = $1 AND turn = $2 AND slot > 0 AND step = (SELECT max(step) FROM slots WHERE run = $1 AND turn = $2 AND slot = 0)",
            turn.Run, turn.Turn) < last.Calls.Count;
        return open ? $"an agent-runner on host {spec.HostId}, where its workspace is" : "";
    }
}
