using System.Globalization;
using System.Text;
using Stigmer.Config;
using Stigmer.Processes;
using Stigmer.Runtime.Logs;

namespace Stigmer.Runtime;

/// <summary>
/// When a command was given, as the system tells for all processes: of starts and stops that overlap, the one that was given
/// last has the last word, whichever of them got further first.
/// </summary>
/// <param name="Boot">The boot that <paramref name="Start"/> counts from.</param>
/// <param name="Start">In ticks of a hundredth of a second.</param>
/// <param name="Pid">Tells apart what began within one tick: of two processes the later one has the higher number, but where they wrap.</param>
sealed record CommandOrder(string Boot, long Start, int Pid)
{
    /// <summary>More than this of noted stops, in bytes, is more than any start that is still under way has to know.</summary>
    const long Enough = 64 * 1024;

    /// <summary>This process's start; null where the system does not tell.</summary>
    public static CommandOrder? OfThisProcess() =>
        OperatingSystem.IsLinux() && ProcessIdentity.Of(Environment.ProcessId) is { } self ? new CommandOrder(self.Boot, self.Start, self.Pid) : null;

    /// <summary>Now, for what a process that has been there for long begins: after whatever ended before.</summary>
    public static CommandOrder? Now()
    {
        if (OfThisProcess() is not { } self) return null;
        try
        {
            var uptime = File.ReadAllText("/proc/uptime").Split(' ')[0];
            return decimal.TryParse(uptime, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var seconds) ? self with { Start = (long)(seconds * 100) } : self;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return self;
        }
    }

    /// <summary>This one was given after the other.</summary>
    public bool IsAfter(CommandOrder other) => Boot == other.Boot && (Start, Pid).CompareTo((other.Start, other.Pid)) > 0;

    /// <summary>
    /// Leaves word of a stop, before it is looked whether anything runs: a start that was given before it, and has not yet got
    /// as far as a daemon, finds it there.
    /// </summary>
    public void NoteStop(StigmerHome home)
    {
        try
        {
            if (!Directory.Exists(home.Run)) return;
            // At once at the end of the file, whoever else does that.
            using var notes = LogFile.OpenForAppending(home.Stops);
            notes.Write(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{Boot} {Start} {Pid}\n")));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Without it the stop still ends whatever it finds running.
        }
    }

    /// <summary>A stop was given after this.</summary>
    public bool IsBeforeAStop(StigmerHome home)
    {
        try
        {
            return File.ReadLines(home.Stops).Any(line => Parse(line) is { } stop && stop.IsAfter(this));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false; // None.
        }
    }

    /// <summary>Forgets the stops when there are very many. Only who holds the lock may do this.</summary>
    public static void ForgetStops(StigmerHome home)
    {
        if (new FileInfo(home.Stops) is { Exists: true, Length: > Enough }) StateFiles.Delete(home.Stops);
    }

    static CommandOrder? Parse(string line) =>
        line.Split(' ') is [var boot, var start, var pid] && long.TryParse(start, NumberStyles.None, CultureInfo.InvariantCulture, out var ticks)
        && int.TryParse(pid, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? new CommandOrder(boot, ticks, number) : null;
}
