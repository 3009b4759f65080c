using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Stigmer.Faults;

/// <summary>What must hold after every round, whatever happened in it.</summary>
static partial class Checks
{
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(40);

    /// <summary>
    /// The stack starts, everything becomes ready, every run completes and is listed; it stops, and nothing of it is left:
    /// no process, no socket, no half-written file, no word of a crash in the logs.
    /// </summary>
    public static async Task Afterwards(Round round, IReadOnlyCollection<Flight> flights)
    {
        (await round.Run("local")).Exits(0);
        await BecomesReady(round);
        foreach (var flight in flights) await flight.Lands(round);
        var listed = (await round.Run("runs", "list", "-n", "1000", "--json")).Exits(0).Json.GetProperty("runs").EnumerateArray().ToDictionary(r => r.GetProperty("id").GetString()!);
        Assert.All(flights, flight => Assert.Equal("completed", listed[flight.Id].GetProperty("status").GetString()));
        (await round.Run("local", "stop")).Exits(0);
        (await round.Run("local", "status")).Exits(3);
        NothingIsLeft(round);
        LogsAreInOrder(round);
    }

    /// <summary>Every component is ready, at last.</summary>
    public static async Task BecomesReady(Round round)
    {
        var status = default(JsonElement);
        var ready = await Round.Eventually(async () => (status = await round.Status()).GetProperty("ready").GetBoolean(), Patience);
        Assert.True(ready, $"not ready after {Patience.TotalSeconds} s: {status}");
    }

    /// <summary>No process of the home is alive within the time.</summary>
    public static async Task EndsWithin(Round round, TimeSpan patience)
    {
        var ended = await Round.Eventually(() => round.Processes().Count == 0, patience);
        Assert.True(ended, $"still running after {patience.TotalSeconds} s: {string.Join(", ", round.Processes())}");
    }

    /// <summary>How many files, pipes and sockets the daemon has open.</summary>
    public static int Descriptors(Round round) =>
        round.Processes().Where(p => p.Part == Part.Daemon).Select(p => Directory.GetFileSystemEntries($"/proc/{p.Pid.ToString(CultureInfo.InvariantCulture)}/fd").Length).Single();

    /// <summary>The daemon has as many open again as before, once it is at rest.</summary>
    public static async Task NoDescriptorLeaks(Round round, int before)
    {
        var now = 0;
        Assert.True(
            await Round.Eventually(() => (now = Descriptors(round)) <= before, TimeSpan.FromSeconds(10)), $"the daemon has {now} descriptors open, and had {before} before");
    }

    static void NothingIsLeft(Round round)
    {
        Assert.True(round.Processes().Count == 0, $"still running: {string.Join(", ", round.Processes())}");
        var run = Path.Combine(round.Home, "run");
        string[] stay = ["daemon.lock", "children.json", "stops", "tools.lock", "tools.json", "token"];
        var left = Directory.GetFileSystemEntries(run).Select(Path.GetFileName).Except(stay).ToList();
        Assert.True(left.Count == 0, $"left in run/: {string.Join(", ", left)}");
        Assert.False(File.Exists(Path.Combine(round.Home, "temporal.pid")), "temporal.pid is left");
    }

    static void LogsAreInOrder(Round round)
    {
        var logs = Path.Combine(round.Home, "logs");
        foreach (var file in Directory.GetFiles(logs))
        {
            var text = File.ReadAllText(file);
            Assert.False(text.Contains("Unhandled exception", StringComparison.Ordinal) || text.Contains("the daemon failed", StringComparison.Ordinal), $"{file} tells of a crash");
            if (Path.GetFileName(file).StartsWith("temporal", StringComparison.Ordinal)) continue;
            Assert.All(text.Split('\n', StringSplitOptions.RemoveEmptyEntries), line => Assert.Matches(Timed(), line));
        }
    }

    [GeneratedRegex(@"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO |WARN |ERROR) \S+  ")]
    private static partial Regex Timed();
}
