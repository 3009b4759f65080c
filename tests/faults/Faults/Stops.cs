namespace Stigmer.Faults;

/// <summary>The stack is stopped and started again and again while runs are under way.</summary>
static class Stops
{
    public static async Task Act(Round round)
    {
        (await round.Run("local")).Exits(0);
        var flights = await Flight.Start(round, round.Random.Next(1, 4));
        for (var left = round.Random.Next(2, 5); left > 0; left--)
        {
            await round.Pause(100);
            round.RunnerEnds++;
            round.Count("stops");
            switch (round.Random.Next(4))
            {
                case 0:
                    (await round.Run("local", "restart")).Exits(0);
                    break;
                case 1:
                    // Not even a millisecond to end in.
                    (await round.Run("local", "stop", "--timeout", "0s")).Exits(0);
                    (await round.Run("local")).Exits(0);
                    break;
                case 2:
                    // `runs` needs a stack, and `run` starts it.
                    (await round.Run("local", "stop")).Exits(0);
                    flights.Add(await Flight.Start(round));
                    break;
                default:
                    (await round.Run("local", "stop")).Exits(0);
                    await Checks.EndsWithin(round, TimeSpan.FromSeconds(2));
                    (await round.Run("local")).Exits(0);
                    break;
            }
        }
        await Checks.Afterwards(round, flights);
    }
}
