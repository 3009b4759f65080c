using System.Collections.Concurrent;
using Stigmer.Rpc.V1;

namespace Stigmer.Agents.Activities;

/// <summary>
/// What the server has stored of runs, kept by step: the steps of a run that are complete never change, so that only what came
/// after them is read again. A thousand steps do not read a transcript a thousand times.
/// </summary>
sealed class Transcripts(RunnerServer server)
{
    /// <summary>The runs whose steps are kept; the one that was read longest ago goes first.</summary>
    const int MostRuns = 64;

    /// <summary>What is kept takes no more than this, unless one run alone does: in bytes on the wire.</summary>
    const long MostBytes = 64 * 1024 * 1024;

    readonly ConcurrentDictionary<string, Kept> kept = new(StringComparer.Ordinal);

    /// <summary>A run's spec, the entries before a step, and those of the step itself.</summary>
    /// <param name="Approved">The slots of the step to which a person has said yes, and that have no result yet.</param>
    internal sealed record Transcript(RunSpec Spec, IReadOnlyList<TranscriptEntry> Before, IReadOnlyList<TranscriptEntry> OfStep, IReadOnlySet<int> Approved)
    {
        /// <summary>The model's answer of the step; null: there is none yet.</summary>
        public ModelAnswer? Answer => OfStep.FirstOrDefault(entry => entry.Answer is not null)?.Answer;

        /// <summary>The slots of the step that hold a tool's result.</summary>
        public IEnumerable<int> Done => OfStep.Where(entry => entry.Result is not null).Select(entry => entry.Slot);
    }

    /// <summary>
    /// All that a model call of this step reads: every entry before the step, user messages that no model has read yet
    /// included, and what the step itself holds already.
    /// </summary>
    public async Task<Transcript> Read(string run, int turn, int step, CancellationToken cancel)
    {
        var known = kept.TryGetValue(run, out var before) && before.IsBefore(turn, step) ? before : Kept.Nothing;
        var items = await server.Read(known.After(run), cancel);
        var spec = items.Select(item => item.Spec).FirstOrDefault(spec => spec is not null) ?? known.Spec ?? new RunSpec { RunId = run };
        var entries = items.Where(item => item.Entry is not null).Select(item => item.Entry).ToList();
        bool IsOfStep(TranscriptEntry entry) => entry.User is null && (entry.Turn, entry.Step).CompareTo((turn, step)) >= 0;
        var transcript = new Transcript(spec, [.. known.Entries, .. entries.Where(entry => !IsOfStep(entry))], [.. entries.Where(IsOfStep)], Approved(items, turn, step));
        Keep(run, Kept.Of(spec, transcript.Before, known));
        return transcript;
    }

    /// <summary>A run's spec and what one step holds, for a tool, which needs no more.</summary>
    public async Task<Transcript> ReadStep(string run, int turn, int step, CancellationToken cancel)
    {
        var request = new ReadTranscriptRequest { RunId = run, AfterTurn = turn, AfterStep = step - 1, AfterSlot = int.MaxValue, AfterMessage = long.MaxValue };
        var items = await server.Read(request, cancel);
        var spec = items.Select(item => item.Spec).FirstOrDefault(spec => spec is not null) ?? new RunSpec { RunId = run };
        return new Transcript(
            spec, [], [.. items.Select(item => item.Entry).Where(entry => entry is { User: null } && entry.Turn == turn && entry.Step == step)], Approved(items, turn, step));
    }

    /// <summary>Forgets a run that has ended.</summary>
    public void Forget(string run) => kept.TryRemove(run, out _);

    static HashSet<int> Approved(IEnumerable<ReadTranscriptResponse> items, int turn, int step) =>
        [.. items.Select(item => item.Approved).Where(place => place is not null && place.Turn == turn && place.Step == step).Select(place => place.Slot)];

    void Keep(string run, Kept of)
    {
        kept[run] = of;
        while (kept.Count > MostRuns || (kept.Count > 1 && kept.Sum(each => each.Value.Bytes) > MostBytes))
        {
            if (kept.MinBy(each => each.Value.Read) is not { Key: { } oldest } || oldest == run) return;
            kept.TryRemove(oldest, out _);
        }
    }

    /// <summary>Complete steps of a run, and the user messages that they had read.</summary>
    sealed record Kept(RunSpec? Spec, IReadOnlyList<TranscriptEntry> Entries, (int Turn, int Step) Last, long LastMessage, long Read, long Bytes)
    {
        static long reads;

        public static readonly Kept Nothing = new(null, [], default, 0, 0, 0);

        /// <summary>Leaves out the user messages that no kept answer has read: where they stand is not settled yet.</summary>
        /// <param name="before">What it grew out of: its entries stand at the beginning of <paramref name="entries"/>.</param>
        public static Kept Of(RunSpec spec, IReadOnlyList<TranscriptEntry> entries, Kept before)
        {
            var readUpTo = entries.Where(entry => entry.Answer is not null).Select(entry => entry.Answer.ReadUpTo).DefaultIfEmpty().Max();
            List<TranscriptEntry> settled = [.. entries.Where(entry => entry.User is null || entry.User.Number <= readUpTo)];
            var last = settled.Where(entry => entry.User is null).Select(entry => (entry.Turn, entry.Step)).DefaultIfEmpty().Max();
            var bytes = before.Bytes + settled.Skip(before.Entries.Count).Sum(entry => (long)entry.CalculateSize());
            return new Kept(spec, settled, last, readUpTo, Interlocked.Increment(ref reads), bytes);
        }

        public bool IsBefore(int turn, int step) => Last.CompareTo((turn, step)) < 0;

        public ReadTranscriptRequest After(string run) => new()
        {
            RunId = run, AfterTurn = Last.Turn, AfterStep = Last.Step, AfterSlot = Entries.Count == 0 ? 0 : int.MaxValue, AfterMessage = LastMessage,
        };
    }
}
