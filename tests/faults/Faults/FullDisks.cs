namespace Stigmer.Faults;

/// <summary>There is no room left, and later there is again.</summary>
static class FullDisks
{
    /// <summary>How large the disk is, in megabytes.</summary>
    public const int Size = 48;

    public static async Task Act(Round round)
    {
        (await round.Run("local")).Exits(0);
        List<Flight> flights = [await Flight.Start(round)];
        await flights[0].Lands(round);
        flights.AddRange(await Flight.Start(round, round.Random.Next(1, 3)));
        await round.Pause(100);
        var filler = Path.Combine(round.Top, "filler");
        Fill(filler);
        round.Note("the disk is full");
        round.Count("disks filled");
        // Whatever is asked of it now is answered, if not as one would like.
        Assert.InRange((await round.Run("local", "status")).ExitCode, 0, 1);
        if (round.Random.Next(2) == 0)
        {
            var victims = round.Processes().Where(p => p.Part is Part.Runner or Part.Server).ToArray();
            var (pid, part, _) = victims[round.Random.Next(victims.Length)];
            if (part == Part.Runner) round.RunnerEnds++;
            round.Signal(pid, 9, $"{part}");
        }
        await round.Pause(2000);
        var stopped = round.Random.Next(2) == 0;
        if (stopped)
        {
            round.RunnerEnds++;
            (await round.Run("local", "stop")).Exits(0);
            await Checks.EndsWithin(round, TimeSpan.FromSeconds(5));
            var start = await round.Run("local", "--timeout", "10s");
            var saysWhy = start.Error.Contains("No space left", StringComparison.Ordinal) || start.Error.Contains("is full", StringComparison.Ordinal);
            Assert.True(start.ExitCode == 0 || (start.ExitCode == 1 && saysWhy), $"a start on a full disk ended with {start.ExitCode}:\n{start.Out}{start.Error}");
        }
        File.Delete(filler);
        round.Note("there is room again");
        // What gave up meanwhile begins anew.
        round.RunnerEnds++;
        (await round.Run("local", "restart")).Exits(0);
        await Checks.Afterwards(round, flights);
    }

    static void Fill(string path)
    {
        using var file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0);
        var block = new byte[1024 * 1024];
        for (var size = block.Length; size > 0; size /= 2)
        {
            try
            {
                while (true) file.Write(block.AsSpan(0, size));
            }
            catch (IOException)
            {
                // Smaller pieces may still fit.
            }
        }
    }
}
