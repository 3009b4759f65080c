namespace Stigmer.Faults;

/// <summary>Processes end at any moment, one or several at once, while runs are under way.</summary>
static class Kills
{
    /// <summary>SIGKILL.</summary>
    public static Task Killed(Round round) => Act(round, 9);

    /// <summary>SIGTERM, by somebody who is not the daemon.</summary>
    public static Task Terminated(Round round) => Act(round, 15);

    static async Task Act(Round round, int signal)
    {
        (await round.Run("local")).Exits(0);
        List<Flight> flights = [await Flight.Start(round)];
        await flights[0].Lands(round);
        await Checks.BecomesReady(round);
        var descriptors = Checks.Descriptors(round);
        flights.AddRange(await Flight.Start(round, round.Random.Next(1, 4)));

        var sameDaemon = true;
        for (var left = round.Random.Next(1, 4); left > 0; left--)
        {
            await round.Pause(150);
            var victims = Victims(round);
            // Before the signal: what it cuts short may be seen at once.
            if (victims.Any(v => v.Part is Part.Runner or Part.Daemon)) round.RunnerEnds++;
            foreach (var (pid, part, _) in victims)
            {
                if (round.Signal(pid, signal, $"{part}")) round.Count("processes ended");
            }
            if (victims.All(v => v.Part != Part.Daemon)) continue;
            sameDaemon = false;
            // One second is what is promised; this machine may have other things to do.
            await Checks.EndsWithin(round, TimeSpan.FromSeconds(signal == 9 ? 5 : 30));
            (await round.Run("local")).Exits(0);
        }
        if (sameDaemon)
        {
            foreach (var flight in flights) (await round.Run("runs", "watch", flight.Id)).Exits(0);
            await Checks.BecomesReady(round);
            await Checks.NoDescriptorLeaks(round, descriptors);
        }
        await Checks.Afterwards(round, flights);
    }

    /// <summary>One process, all children, or everything, in a random order.</summary>
    static List<(int Pid, Part Part, string Command)> Victims(Round round)
    {
        var all = round.Processes().Where(p => p.Part != Part.Command).ToArray();
        round.Random.Shuffle(all);
        return round.Random.Next(8) switch
        {
            0 => [.. all],
            1 => [.. all.Where(p => p.Part != Part.Daemon)],
            _ => [.. all.Take(1)],
        };
    }
}
