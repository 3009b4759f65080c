namespace Stigmer.Faults;

/// <summary>Whoever ordered a start goes away in the middle of it.</summary>
static class Launchers
{
    public static async Task Act(Round round)
    {
        for (var left = round.Random.Next(1, 4); left > 0; left--)
        {
            int[] signals = [2, 9, 15];
            var signal = signals[round.Random.Next(3)];
            var together = round.Random.Next(3) == 0;
            await using var other = together ? round.Begin("local") : null;
            await using var launcher = round.Begin("local");
            await round.Pause(round.Managed ? 800 : 300);
            round.Signal(launcher.Pid, signal, "the launcher");
            round.Count("launchers ended");
            var result = await launcher.End();
            if (other is not null)
            {
                (await other.End()).Exits(0);
                (await round.Run("local", "status")).Exits(0);
            }
            else
            {
                // It was ready before the signal came, or nothing is left.
                var settled = result.ExitCode == 0
                    || await Round.Eventually(() => round.Processes().Count == 0, TimeSpan.FromSeconds(5))
                    || (await round.Run("local", "status")).ExitCode == 0;
                Assert.True(settled, $"a start that nobody waits for goes on: {string.Join(", ", round.Processes())}");
            }
            if (round.Random.Next(2) == 0)
            {
                (await round.Run("local", "stop")).Exits(0);
                Assert.Empty(round.Processes());
            }
        }
        await Checks.Afterwards(round, []);
    }
}
