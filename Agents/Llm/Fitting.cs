using System.Text;
using Stigmer.Rpc.V1;

namespace Stigmer.Agents.Llm;

/// <summary>What a client knows of how much its model can read.</summary>
interface IWindowed
{
    /// <summary>The most that the model can be sent, in tokens, with room left for its answer; null: nobody knows.</summary>
    ValueTask<int?> MostInput(CancellationToken cancel);

    /// <summary>What is said of a conversation that does not fit.</summary>
    ModelFailure TooLong(string why);
}

/// <summary>
/// Makes a conversation fit into a model's window: old results of tools give way to short notes, oldest first. How many tokens
/// a text has is reckoned from its bytes, carefully, and set right by what the provider said of the last call.
/// </summary>
sealed class Fitting
{
    /// <summary>Bytes of a token, fewer than those of ordinary text, so that the sum errs towards too much.</summary>
    const int BytesOfToken = 3;

    /// <summary>What a message, a call or a result has around its text, in tokens.</summary>
    const int Overhead = 8;

    readonly ModelCall call;
    readonly int fixedCost;
    readonly List<(int Cost, bool IsKnown)> costs = [];
    readonly List<Result> results = [];
    readonly double ratio = 1;
    readonly double unknownRatio = 1;

    /// <summary>A result that may be left out.</summary>
    /// <param name="At">The entry's index.</param>
    /// <param name="NoteCost">What the note in its place would have, in reckoned tokens.</param>
    /// <param name="IsFresh">No model has read it yet.</param>
    sealed record Result((int Turn, int Step, int Slot) Place, int At, int NoteCost, bool IsFresh);

    /// <param name="call">The call whose conversation it is.</param>
    public Fitting(ModelCall call)
    {
        this.call = call;
        Shortened = Shortened.Of(call.Transcript);
        fixedCost = Tokens(call.Instructions) + call.Tools.Sum(tool => Tokens(tool.Name) + Tokens(tool.Description) + Tokens(tool.Schema.GetRawText()) + Overhead);

        var last = LastReported();
        var calls = call.Transcript.Where(entry => entry.Answer is not null).SelectMany(entry => entry.Answer.Calls.Select(made => (Key: (entry.Turn, entry.Step, made.Slot), made))).ToDictionary(each => each.Key, each => each.made);
        var newest = call.Transcript.Where(entry => entry.Answer is not null).Select(entry => (entry.Turn, entry.Step)).DefaultIfEmpty().Max();
        foreach (var (index, entry) in call.Transcript.Index())
        {
            var place = (entry.Turn, entry.Step, entry.Slot);
            var noteCost = entry.Result is { } result && calls.TryGetValue(place, out var made) ? Tokens(Shortened.NoteOf(made, result)) + Overhead : 0;
            var cost = Shortened.Holds(place) && noteCost > 0 ? noteCost : CostOf(entry);
            costs.Add((cost, index < last));
            if (noteCost > 0 && !Shortened.Holds(place) && cost > 2 * noteCost) results.Add(new Result(place, index, noteCost, (entry.Turn, entry.Step) == newest));
        }
        if (last < 0) return;
        ratio = Math.Clamp(call.Transcript[last].Answer.Usage.InputTokens / (double)Math.Max(1, CostThen(last, calls)), 0.5, 3);
        // What is new may be of another kind than what was counted.
        unknownRatio = Math.Max(0.85, ratio);
    }

    /// <summary>The results that are left out of this call, those of earlier ones included.</summary>
    public Shortened Shortened { get; }

    /// <summary>Those that this call adds.</summary>
    public List<Place> Added { get; } = [];

    /// <summary>What the call has to send, in tokens: what the last call sent as the provider counted it, and what was added as reckoned.</summary>
    public double Total => fixedCost * ratio + costs.Sum(each => Counted(each.Cost, each.IsKnown));

    /// <summary>
    /// Leaves out as little as needed, and once it must, enough for a while: old results down to three quarters of the limit, so
    /// that not every step changes what the model has read before; one that no model has read only where it is certain not to fit.
    /// </summary>
    /// <param name="most">The most tokens to send.</param>
    /// <returns>Whether anything was left out.</returns>
    public bool LeaveOut(double most)
    {
        var total = Total;
        if (total <= most) return false;
        var before = Added.Count;
        foreach (var result in results.ToList())
        {
            if (total <= (result.IsFresh ? most * 5 / 4 : most * 3 / 4)) break;
            var (cost, isKnown) = costs[result.At];
            costs[result.At] = (result.NoteCost, isKnown);
            total -= Counted(cost, isKnown) - Counted(result.NoteCost, isKnown);
            results.Remove(result);
            Shortened.Add(result.Place);
            Added.Add(new Place { Turn = result.Place.Turn, Step = result.Place.Step, Slot = result.Place.Slot });
        }
        return Added.Count > before;
    }

    double Counted(int cost, bool isKnown) => cost * (isKnown ? ratio : unknownRatio);

    /// <summary>The last answer of this very model whose provider said how much it had read; -1: none.</summary>
    int LastReported()
    {
        for (var i = call.Transcript.Count - 1; i >= 0; i--)
        {
            if (call.Transcript[i].Answer is { Usage.InputTokens: > 0 } answer && call.IsOfModel(answer)) return i;
        }
        return -1;
    }

    /// <summary>What the call of that answer had sent, as reckoned here: with what was left out then.</summary>
    int CostThen(int last, Dictionary<(int, int, int), ToolCall> calls)
    {
        var then = Shortened.Of([.. call.Transcript.Take(last + 1)]);
        var sum = fixedCost;
        for (var i = 0; i < last; i++)
        {
            var entry = call.Transcript[i];
            var place = (entry.Turn, entry.Step, entry.Slot);
            sum += then.Holds(place) && calls.TryGetValue(place, out var made) ? Tokens(Shortened.NoteOf(made, entry.Result)) + Overhead : CostOf(entry);
        }
        return sum;
    }

    int CostOf(TranscriptEntry entry)
    {
        if (entry.User is { } user) return Tokens(user.Text) + Overhead;
        if (entry.Result is { } result) return Tokens(result.Text) + Overhead;
        if (entry.Answer is not { } answer) return 0;
        if (call.IsOfModel(answer) && !answer.Raw.IsEmpty) return (answer.Raw.Length / BytesOfToken) + Overhead;
        return Tokens(answer.Text) + Overhead + answer.Calls.Sum(made => Tokens(made.Name) + Tokens(made.Arguments) + Overhead);
    }

    static int Tokens(string text) => (Encoding.UTF8.GetByteCount(text) / BytesOfToken) + 1;
}
