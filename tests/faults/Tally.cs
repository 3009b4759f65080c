namespace Stigmer.Faults;

/// <summary>What came of the rounds of one class.</summary>
sealed class Tally(FaultClass what)
{
    readonly Lock gate = new();
    readonly SortedDictionary<string, int> counts = new(StringComparer.Ordinal);
    int played;
    string? skipped;

    public int Failed { get; private set; }

    /// <summary>For a person: the class, its rounds, and what happened in them.</summary>
    public string Line
    {
        get
        {
            var result = Failed > 0 ? $"FAILED {Failed} of {played}" : skipped is not null ? $"skipped: {skipped}" : $"ok {played}";
            return $"{what.Name,-13} {result}{(counts.Count == 0 ? "" : ": ")}{string.Join(", ", counts.Select(c => $"{c.Value} {c.Key}"))}";
        }
    }

    public async Task Play(int number, int seed)
    {
        if (skipped is not null) return;
        Round round;
        try
        {
            // Of a class alone, a number alone, the same as of all.
            round = await Round.Begin(HashCode(what.Name, number, seed), what.AlwaysManaged || number % 2 == 1, what.Disk);
        }
        catch (Skipped e)
        {
            skipped = e.Message;
            return;
        }
        await using (round)
        {
            Exception? failure = null;
            try
            {
                await what.Act(round);
            }
            catch (Exception e)
            {
                // Whatever it is, the other rounds are played, and this one is told of.
                failure = e;
            }
            await round.End(keep: failure is not null);
            lock (gate)
            {
                played++;
                foreach (var (name, times) in round.Counts) counts[name] = counts.GetValueOrDefault(name) + times;
                if (failure is null) return;
                Failed++;
                Console.WriteLine($"""
                    --- {what.Name}, round {number} ({(round.Managed ? "managed" : "embedded")}) failed: repeat it with --seed {seed} --only {what.Name} --at {number}
                    {failure.Message}
                    {failure.StackTrace}
                    {round.Deeds}kept: {round.Kept}

                    """);
            }
        }
    }

    // .NET's own differs from process to process.
    static int HashCode(string name, int number, int seed) => name.Aggregate(unchecked((seed * 31) + number), (hash, c) => unchecked((hash * 31) + c));
}
