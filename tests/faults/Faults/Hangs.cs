namespace Stigmer.Faults;

/// <summary>A process stops doing anything, without ending.</summary>
static class Hangs
{
    public static async Task Act(Round round)
    {
        (await round.Run("local")).Exits(0);
        await Checks.BecomesReady(round);
        var flights = await Flight.Start(round, round.Random.Next(1, 3));
        await round.Pause(100);
        var all = round.Processes().Where(p => p.Part != Part.Command).OrderBy(p => p.Part).ToArray();
        var (pid, part, _) = all[round.Random.Next(all.Length)];
        if (part is Part.Runner or Part.Daemon) round.RunnerEnds++;
        round.Signal(pid, 19, $"{part}");
        round.Count("processes stopped");
        // Its other threads run on until one of them has taken the signal.
        Assert.True(await Round.Eventually(() => Threads(pid).All(state => state is 'T'), TimeSpan.FromSeconds(10)));
        if (part == Part.Daemon)
        {
            (await round.Run("local", "status")).Exits(1);
            (await round.Run("local", "stop")).Exits(0);
            await Checks.EndsWithin(round, TimeSpan.FromSeconds(5));
        }
        else
        {
            // Found by its health check: some seconds of silence, and the grace of one that does not obey.
            Assert.True(await Round.Eventually(() => round.Processes().All(p => p.Pid != pid), TimeSpan.FromSeconds(60)), $"{part} {pid} hangs, and is left alone");
        }
        await Checks.Afterwards(round, flights);
    }

    static IEnumerable<char> Threads(int pid) => Directory.GetDirectories($"/proc/{pid}/task").Select(task => File.ReadAllText(Path.Combine(task, "stat"))).Select(stat => stat[stat.LastIndexOf(')') + 2]);
}
