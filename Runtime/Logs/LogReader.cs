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
    /// <summary>The components that have a log, in the order in which lines of one instant are shown.</summary>
    public static readonly string[] Components = [ComponentName.Daemon, ComponentName.Temporal, ComponentName.Server, ComponentName.Runner];

    /// <summary>All lines of a component, oldest first, over all generations of its file.</summary>
    /// <param name="path">The present file.</param>
    /// <param name="end">Where to stop in the present file, in bytes; null: at its end.</param>
    public static IEnumerable<string> Lines(string path, long? end = null)
    {
        foreach (var generation in LogFile.Generations(path))
        {
            using var stream = TryOpen(generation);
            if (stream is null) continue;
            using var reader = new StreamReader(generation == path && end is { } limit ? new Beginning(stream, limit) : stream, Encoding.UTF8, false, 16 * 1024);
            while (reader.ReadLine() is { } line) yield return line;
        }
    }

    /// <summary>The last lines of a component, without reading what stands before them.</summary>
    public static IReadOnlyList<string> Tail(string path, int count, long? end = null)
    {
        var tail = new List<string>();
        foreach (var generation in LogFile.Generations(path).Reverse())
        {
            if (tail.Count >= count) break;
            using var stream = TryOpen(generation);
            if (stream is null) continue;
            tail.InsertRange(0, Tail(stream, count - tail.Count, generation == path && end is { } limit ? Math.Min(limit, stream.Length) : stream.Length));
        }
        return tail;
    }

    /// <summary>Understands lines of one component as far as they can be understood.</summary>
    public static IEnumerable<LogLine> Parse(string component, IEnumerable<string> lines)
    {
        var last = DateTimeOffset.MinValue;
        foreach (var raw in lines)
        {
            var line = Parse(component, raw, last);
            // A clock that was set back must not turn the order of a file.
            if (line.Time < last) line = line with { Time = last };
            last = line.Time;
            yield return line;
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

    /// <summary>Opens a file that may be renamed while it is read; null where there is none.</summary>
    internal static FileStream? TryOpen(string path)
    {
        try
        {
            return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    static List<string> Tail(FileStream stream, int count, long end)
    {
        const int Block = 64 * 1024;
        var from = end;
        var bytes = Array.Empty<byte>();
        // One line feed more than lines: the one that ends the line before them.
        while (from > 0 && bytes.AsSpan().Count((byte)'\n') <= count)
        {
            var size = (int)Math.Min(Block, from);
            from -= size;
            var block = new byte[size + bytes.Length];
            stream.Position = from;
            stream.ReadExactly(block.AsSpan(0, size));
            bytes.CopyTo(block, size);
            bytes = block;
        }
        var lines = Encoding.UTF8.GetString(bytes).Split('\n');
        var whole = lines[^1].Length == 0 ? lines[..^1] : lines;
        return [.. whole.TakeLast(count).Select(l => l.TrimEnd('\r'))];
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

    /// <summary>The beginning of a stream.</summary>
    sealed class Beginning(Stream whole, long length) : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count) => whole.Read(buffer, offset, (int)Math.Min(count, Math.Max(0, length - whole.Position)));

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
