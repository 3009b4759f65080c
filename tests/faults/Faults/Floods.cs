using System.Globalization;

namespace Stigmer.Faults;

/// <summary>
/// A component writes as fast as it can, more than its log may hold: no line is lost of what is kept, nobody else is kept
/// waiting, and who follows the log sees each line once.
/// </summary>
static class Floods
{
    const long FileLimit = 10 * 1024 * 1024;

    public static async Task Act(Round round)
    {
        var follow = round.Random.Next(2) == 0;
        // With a format seq is slow enough to be followed; without it is as fast as can be.
        var lines = round.Random.Next(500_000, follow ? 2_000_000 : 9_000_000);
        var go = Path.Combine(round.Top, "go");
        var binary = round.Environment["STIGMER_TEMPORAL_BIN"];
        var script = await File.ReadAllTextAsync(binary);
        var flood = string.Create(CultureInfo.InvariantCulture, $"[ \"$1\" = --version ] || ( until [ -e '{go}' ]; do sleep 0.1; done; exec seq {(follow ? "-f 'flood %.0f' " : "")}1 {lines} ) &\n");
        await File.WriteAllTextAsync(binary, script.Replace("exec '", flood + "exec '", StringComparison.Ordinal));
        (await round.Run("local")).Exits(0);
        round.Count("lines", lines);
        await using var follower = follow ? round.Begin("local", "logs", "temporal", "-f", "-n", "1") : null;
        if (follower is not null) await follower.Line(line => line.Length > 0);
        await File.WriteAllTextAsync(go, "");
        var flights = await Flight.Start(round, 1);
        if (round.Random.Next(3) == 0)
        {
            var victim = round.Processes().First(p => p.Part == Part.Server);
            round.Signal(victim.Pid, 9, "Server");
        }
        await flights[0].Lands(round);
        var last = lines.ToString(CultureInfo.InvariantCulture);
        Assert.True(await Round.Eventually(async () => Numbers((await round.Run("local", "logs", "temporal", "-n", "20")).Exits(0).Lines).LastOrDefault() == lines, TimeSpan.FromSeconds(60)), $"line {last} does not arrive");

        var files = Enumerable.Range(0, 5).Reverse().Select(age => Path.Combine(round.Home, "logs", age == 0 ? "temporal.log" : $"temporal.log.{age}")).Where(File.Exists).ToList();
        Assert.All(files, file => Assert.InRange(new FileInfo(file).Length, 1, FileLimit));
        Assert.Equal(files.Count, Directory.GetFiles(Path.Combine(round.Home, "logs"), "temporal.log*").Length);
        AreConsecutive(Numbers(files.SelectMany(File.ReadLines)), lines);
        if (follower is not null)
        {
            await follower.Line(line => Numbers([line]).SingleOrDefault() == lines);
            follower.Signal(2);
            var seen = (await follower.End()).Exits(130);
            if (!seen.Error.Contains("left out", StringComparison.Ordinal)) AreConsecutive(Numbers(seen.Lines), lines);
        }
        await Checks.Afterwards(round, flights);
    }

    static IEnumerable<int> Numbers(IEnumerable<string> lines) => lines.Select(line => line.StartsWith("flood ", StringComparison.Ordinal) ? line[6..] : line)
        .Where(line => line.Length > 0 && line.All(char.IsAsciiDigit)).Select(line => int.Parse(line, CultureInfo.InvariantCulture));

    static void AreConsecutive(IEnumerable<int> numbers, int last)
    {
        var expected = -1;
        foreach (var number in numbers)
        {
            Assert.True(expected < 0 || number == expected, $"after line {expected - 1} comes line {number}");
            expected = number + 1;
        }
        Assert.Equal(last + 1, expected);
    }
}
