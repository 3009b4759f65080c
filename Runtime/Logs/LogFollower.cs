using System.Text;
using System.Threading.Channels;
using Stigmer.Processes;

namespace Stigmer.Runtime.Logs;

/// <summary>Follows the log of one component as it grows and turns over.</summary>
sealed class FollowedLog(string component, string path) : IDisposable
{
    /// <summary>How much of a file's beginning tells it from another: its first line holds a time.</summary>
    const int HeadSize = 256;

    readonly List<byte> partial = [];
    FileStream? current = LogReader.TryOpen(path);
    DateTimeOffset last = DateTimeOffset.MinValue;

    /// <summary>Goes to the present end, and says where that is, in bytes of the present file.</summary>
    public long SkipToEnd() => current?.Seek(0, SeekOrigin.End) ?? 0;

    /// <summary>The lines that were finished since the last call.</summary>
    public List<LogLine> ReadNew()
    {
        var lines = new List<LogLine>();
        current ??= LogReader.TryOpen(path);
        if (current is null) return lines;
        Drain(current, lines);
        foreach (var next in Successors())
        {
            // What was written between the last read and the turn-over.
            Drain(current, lines);
            current.Dispose();
            current = next;
            Drain(current, lines);
        }
        return lines;
    }

    /// <inheritdoc/>
    public void Dispose() => current?.Dispose();

    /// <summary>The files that came after the one that is open, oldest first; none while it is the present one.</summary>
    List<FileStream> Successors()
    {
        var mine = Identity(current!);
        var newer = new List<FileStream>();
        foreach (var generation in LogFile.Generations(path).Reverse())
        {
            if (LogReader.TryOpen(generation) is not { } file) continue;
            var identity = Identity(file);
            if (identity.AsSpan().SequenceEqual(mine))
            {
                file.Dispose();
                break;
            }
            // The files may turn over while they are looked at: the last one is then met once more under its next name.
            if (newer.Count > 0 && identity.AsSpan().SequenceEqual(Identity(newer[0]))) file.Dispose();
            else newer.Insert(0, file);
        }
        return newer;
    }

    /// <summary>
    /// What tells one open file from another: on Linux its number in the file system, elsewhere its first line, which holds a
    /// time. (A program that says one thing without end writes files that all begin alike.)
    /// </summary>
    static byte[] Identity(FileStream file)
    {
        if (OperatingSystem.IsLinux() && LinuxFile.Number(file.SafeFileHandle) is { } number) return BitConverter.GetBytes(number);
        var head = new byte[HeadSize];
        var count = RandomAccess.Read(file.SafeFileHandle, head, 0);
        var line = head.AsSpan(0, count).IndexOf((byte)'\n');
        return head[..(line < 0 ? count : line)];
    }

    void Drain(FileStream file, List<LogLine> lines)
    {
        Span<byte> buffer = stackalloc byte[8 * 1024];
        int count;
        while ((count = file.Read(buffer)) > 0)
        {
            var rest = buffer[..count];
            int end;
            while ((end = rest.IndexOf((byte)'\n')) >= 0)
            {
                partial.AddRange(rest[..end]);
                var line = LogReader.Parse(component, Encoding.UTF8.GetString(partial.ToArray()).TrimEnd('\r'), last);
                last = line.Time;
                lines.Add(line);
                partial.Clear();
                rest = rest[(end + 1)..];
            }
            partial.AddRange(rest);
        }
    }
}

/// <summary>Tells that something in the folder of the logs may have changed.</summary>
sealed class LogChanges : IDisposable
{
    /// <summary>Where the system tells of no changes (some network file systems), they are seen this late.</summary>
    static readonly TimeSpan Fallback = TimeSpan.FromSeconds(1);

    readonly Channel<bool> changes = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    readonly FileSystemWatcher? watcher;
    readonly ITimer timer;

    public LogChanges(string folder, TimeProvider time)
    {
        timer = time.CreateTimer(_ => Tell(), null, Fallback, Fallback);
        try
        {
            watcher = new FileSystemWatcher(folder) { NotifyFilter = NotifyFilters.LastWrite | NotifyFilters.FileName | NotifyFilters.Size };
            watcher.Changed += (_, _) => Tell();
            watcher.Created += (_, _) => Tell();
            watcher.Renamed += (_, _) => Tell();
            watcher.EnableRaisingEvents = true;
        }
        catch (Exception e) when (e is IOException or ArgumentException)
        {
            // The system has no watches left: the timer has to do.
        }
    }

    /// <summary>Completes at the next change, or when it is time to look anyway.</summary>
    public async Task Next(CancellationToken cancel) => await changes.Reader.ReadAsync(cancel);

    /// <inheritdoc/>
    public void Dispose()
    {
        watcher?.Dispose();
        timer.Dispose();
    }

    void Tell() => changes.Writer.TryWrite(true);
}
