using Stigmer.EndToEnd.Harness;

namespace Stigmer.Faults;

/// <summary>Many commands at the same moment.</summary>
static class Crowds
{
    public static async Task Act(Round round)
    {
        var size = round.Random.Next(4, 13);
        round.Count("commands", size);
        List<Flight> flights = [];
        if (round.Random.Next(2) == 0)
        {
            (await round.Run("local")).Exits(0);
            flights.Add(await Flight.Start(round));
            round.RunnerEnds += size;
        }
        switch (round.Random.Next(3))
        {
            case 0:
                foreach (var result in await AtOnce(round, Enumerable.Repeat("start", size))) result.Exits(0);
                Assert.Single(round.Processes(), p => p.Part == Part.Daemon);
                await Checks.BecomesReady(round);
                break;
            case 1:
                foreach (var result in await AtOnce(round, Enumerable.Repeat("stop", size))) result.Exits(0);
                (await round.Run("local", "status")).Exits(3);
                Assert.Empty(round.Processes());
                break;
            default:
                var words = Enumerable.Range(0, size).Select(i => i % 2 == 0 ? "start" : "stop").ToArray();
                round.Random.Shuffle(words);
                foreach (var result in await AtOnce(round, words)) IsClean(result);
                Assert.InRange(round.Processes().Count(p => p.Part == Part.Daemon), 0, 1);
                var last = round.Random.Next(2) == 0;
                (await round.Run("local", last ? "start" : "stop")).Exits(0);
                (await round.Run("local", "status")).Exits(last ? 0 : 3);
                break;
        }
        await Checks.Afterwards(round, flights);
    }

    static async Task<Result[]> AtOnce(Round round, IEnumerable<string> words)
    {
        var running = words.Select(word => round.Begin("local", word)).ToList();
        try
        {
            return await Task.WhenAll(running.Select(r => r.End()));
        }
        finally
        {
            foreach (var each in running) await each.DisposeAsync();
        }
    }

    /// <summary>It did what it was told, or says in a sentence that somebody else wanted otherwise.</summary>
    static void IsClean(Result result)
    {
        if (result.ExitCode == 0) return;
        Assert.True(result.ExitCode == 1 && result.Error.Contains("The start was stopped", StringComparison.Ordinal), $"`stigmer {result.Command}` ended with {result.ExitCode}:\n{result.Out}{result.Error}");
    }
}
