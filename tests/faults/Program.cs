using System.Diagnostics;
using System.Globalization;
using System.Runtime.Versioning;
using Stigmer.EndToEnd.Harness;

// Signals and /proc: what a stack leaves behind is looked for where only Linux shows it.
[assembly: SupportedOSPlatform("linux")]

namespace Stigmer.Faults;

/// <summary>A kind of fault.</summary>
/// <param name="Name">As printed, and for --only.</param>
/// <param name="Act">A round: fails where something does not hold.</param>
/// <param name="Disk">Its home is on a disk of so many megabytes; 0: on any.</param>
/// <param name="AlwaysManaged">It is about a component that is not ours; else the embedded engine comes in every other round.</param>
sealed record FaultClass(string Name, Func<Round, Task> Act, int Disk = 0, bool AlwaysManaged = false);

/// <summary>
/// Does harm to real stacks, round after round, and looks whether they got over it. Ends with 1 where one did not; the homes
/// of such rounds are kept.
/// </summary>
static class Program
{
    const string Usage = """
        usage: Stigmer.Faults [--rounds N] [--seed S] [--only CLASS] [--at ROUND] [--parallel N] [--short]
          --rounds N     rounds of each class (default 12); embedded and managed in turn
          --seed S       the random numbers of a run that is to be repeated (default: printed)
          --only CLASS   one class alone
          --at ROUND     one round alone, with its number as printed
          --parallel N   so many rounds at a time (default 2)
          --short        two rounds of each class, the same ones every time: for the tests
        """;

    static readonly FaultClass[] Classes =
    [
        new("kills", Kills.Killed),
        new("terminations", Kills.Terminated),
        new("hangs", Hangs.Act),
        new("stops", Stops.Act),
        new("crowds", Crowds.Act),
        new("launchers", Launchers.Act),
        new("ports", PortThefts.Act),
        new("disks", FullDisks.Act, FullDisks.Size),
        new("files", StateFiles.Act),
        new("floods", Floods.Act, AlwaysManaged: true),
    ];

    public static async Task<int> Main(string[] args)
    {
        if (!OperatingSystem.IsLinux())
        {
            Console.WriteLine("skipped: what a stack leaves behind is looked for in Linux's /proc\n  succeeded: 0\n  failed: 0");
            return 0;
        }
        var (rounds, seed, only, at, parallel) = (12, Random.Shared.Next(1_000_000), (string?)null, (int?)null, 2);
        for (var next = 0; next < args.Length; next++)
        {
            string Value() => next + 1 < args.Length ? args[++next] : throw new FormatException($"{args[next]} needs a value");
            int Number() => int.Parse(Value(), NumberStyles.None, CultureInfo.InvariantCulture);
            try
            {
                switch (args[next])
                {
                    case "--rounds": rounds = Number(); break;
                    case "--seed": seed = Number(); break;
                    case "--only": only = Value(); break;
                    case "--at": at = Number(); break;
                    case "--parallel": parallel = Math.Max(1, Number()); break;
                    case "--short": (rounds, seed, parallel) = (2, 1, 3); break;
                    default: throw new FormatException($"{args[next]} is no option");
                }
            }
            catch (Exception e) when (e is FormatException or OverflowException)
            {
                Console.Error.WriteLine($"{e.Message}\n{Usage}");
                return 2;
            }
        }
        var classes = Classes.Where(c => only is null || c.Name == only).ToList();
        if (classes.Count == 0)
        {
            Console.Error.WriteLine($"There is no class {only}: {string.Join(", ", Classes.Select(c => c.Name))}");
            return 2;
        }
        if (!File.Exists(Running.Executable))
        {
            Console.Error.WriteLine($"{Running.Executable} is not there: ./build.sh builds it, and STIGMER_EXE names another");
            return 2;
        }
        Console.WriteLine($"seed {seed}, {Running.Executable}");
        var clock = Stopwatch.StartNew();
        var tallies = classes.ConvertAll(c => new Tally(c));
        // Round by round over all classes, so that rounds of different kinds meet.
        var numbers = at is { } one ? [one] : Enumerable.Range(0, rounds);
        var work = numbers.SelectMany(number => tallies.Select(tally => (tally, number)));
        await Parallel.ForEachAsync(work, new ParallelOptions { MaxDegreeOfParallelism = parallel }, async (next, _) => await next.tally.Play(next.number, seed));
        foreach (var tally in tallies) Console.WriteLine(tally.Line);
        var failed = tallies.Count(t => t.Failed > 0);
        Console.WriteLine($"in {clock.Elapsed.TotalSeconds:0} s\n  succeeded: {tallies.Count - failed}\n  failed: {failed}");
        return failed == 0 ? 0 : 1;
    }
}
