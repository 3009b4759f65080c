using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Stigmer.Config;

namespace Stigmer.Runtime.Logs;

/// <summary>A line of a component's log.</summary>
/// <param name="Time">When; a line that does not say so is as old as the one before it.</param>
/// <param name="Level">DEBUG, INFO, WARN or ERROR; null where it does not say so.</param>
/// <param name="Component">Whose.</param>
/// <param name="Message">What it says, without time, level and component where it is one of ours.</param>
/// <param name="Raw">The line as it was written.</param>
sealed record LogLine(DateTimeOffset Time, string? Level, string Component, string Message, string Raw);

/// <summary>Reads the log files, which needs no running stack.</summary>
static partial class LogReader
{
    /// <summary>A line that a failure quotes is cut to so many characters, of so many bytes that are looked through for lines.</summary>
    const int QuotedLength = 500, QuotedBytes = 256 * 1024;

    /// <summary>The components that have a log, in the order in which lines of one instant are shown.</summary>
    public static readonly string[] Components = [ComponentName.Daemon, ComponentName.Temporal, ComponentName.Server, ComponentName.Runner];

    /// <summary>All lines of a component, oldest first, over all generations of its file.</summary>
    /// <param name="path">The present file.</param>
    public static IEnumerable<string> Lines(string path)
    {
        using var log = LogSnapshot.Take(path);
        foreach (var (raw, _) in log.Lines()) yield return raw;
    }

    /// <summary>The last lines of a component, without reading what stands before them; long ones cut, for a failure to quote.</summary>
    public static IReadOnlyList<string> Tail(string path, int count)
    {
        using var log = LogSnapshot.Take(path);
        return [.. log.Tail(count, limit: QuotedBytes).Select(line => line.Raw.Length > QuotedLength ? line.Raw[..QuotedLength] + "…" : line.Raw)];
    }

    /// <summary>Understands lines of one component as far as they can be understood.</summary>
    /// <param name="component">Whose.</param>
    /// <param name="lines">Each with the time that it has if neither it nor one before it says one.</param>
    public static IEnumerable<LogLine> Parse(string component, IEnumerable<(string Raw, DateTimeOffset Floor)> lines)
    {
        var last = DateTimeOffset.MinValue;
        foreach (var (raw, floor) in lines)
        {
            var line = Parse(component, raw, DateTimeOffset.MinValue);
            // A clock that was set back must not turn the order of a file.
            if (line.Time > last) last = line.Time;
            yield return line with { Time = last > DateTimeOffset.MinValue ? last : floor };
        }
    }

    /// <summary>Understands one line.</summary>
    /// <param name="component">Whose.</param>
    /// <param name="raw">The line.</param>
    /// <param name="previous">The time of the line before it.</param>
    public static LogLine Parse(string component, string raw, DateTimeOffset previous)
    {
        if (Ours().Match(raw) is { Success: true } ours && Instant(ours.Groups[1].Value) is { } time)
        {
            return new LogLine(time, ours.Groups[2].Value, component, ours.Groups[3].Value, raw);
        }
        var foreign = ForeignTime().Match(raw) is { Success: true } found ? Instant(found.Groups[1].Value) : null;
        var level = ForeignLevel().Match(raw) is { Success: true } said ? said.Groups[1].Value.ToUpperInvariant() : null;
        return new LogLine(foreign ?? previous, level, component, raw, raw);
    }

    /// <summary>The first time that a line of these bytes says; null where none does.</summary>
    public static DateTimeOffset? FirstTime(ReadOnlySpan<byte> bytes)
    {
        foreach (var range in bytes.Split((byte)'\n'))
        {
            var line = Parse("", Encoding.UTF8.GetString(bytes[range]), DateTimeOffset.MinValue);
            if (line.Time > DateTimeOffset.MinValue) return line.Time;
        }
        return null;
    }

    /// <summary>Merges lines of several components by time; lines of one instant by the order of <paramref name="sources"/>.</summary>
    public static IEnumerable<LogLine> Merge(IEnumerable<IEnumerable<LogLine>> sources)
    {
        var queue = new PriorityQueue<IEnumerator<LogLine>, (DateTimeOffset, int)>();
        var open = sources.Select(s => s.GetEnumerator()).ToList();
        try
        {
            for (var i = 0; i < open.Count; i++)
            {
                if (open[i].MoveNext()) queue.Enqueue(open[i], (open[i].Current.Time, i));
            }
            while (queue.TryDequeue(out var source, out var at))
            {
                yield return source.Current;
                if (source.MoveNext()) queue.Enqueue(source, (source.Current.Time, at.Item2));
            }
        }
        finally
        {
            foreach (var source in open) source.Dispose();
        }
    }

    static DateTimeOffset? Instant(string text) =>
        DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time) ? time : null;

    /// <summary>2026-01-19T08:00:00.123Z INFO  agent-runner  message</summary>
    [GeneratedRegex(@"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (DEBUG|INFO|WARN|ERROR) +\S+  (.*)$")]
    private static partial Regex Ours();

    /// <summary>time=2026-01-19T08:00:00.123+01:00 as Go's slog writes, or "ts":"…" and "time":"…" in its JSON.</summary>
    [GeneratedRegex(@"(?:\btime=""?|""(?:ts|time)"":"")(\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:?\d\d))")]
    private static partial Regex ForeignTime();

    [GeneratedRegex(@"(?:\blevel=|""level"":"")(DEBUG|INFO|WARN|ERROR|debug|info|warn|error)\b")]
    private static partial Regex ForeignLevel();
}
