using System.Threading.Channels;

namespace Stigmer.Runtime.Logs;

/// <summary>Follows the log of one component as it grows and turns over.</summary>
sealed class FollowedLog : IDisposable
{
    /// <summary>About so many bytes are read at a time: a log that grows faster than it is shown must not fill the memory.</summary>
    const int Portion = 1024 * 1024;

    readonly string component;
    readonly string path;
    readonly LineSplitter splitter = new();
    readonly byte[] buffer = new byte[16 * 1024];
    FileStream? current;
    long position;
    DateTimeOffset last = DateTimeOffset.MinValue;
    bool gap;

    /// <param name="component">Whose.</param>
    /// <param name="path">The present file; there may be none yet.</param>
    /// <param name="after">Begins where the last whole line of this ends; null: at the beginning of what is there now.</param>
    public FollowedLog(string component, string path, LogSnapshot? after = null)
    {
        (this.component, this.path) = (component, path);
        // A file of its own, for the snapshot may be closed before this is. Since it was taken, the log may have turned over.
        foreach (var generation in LogFile.Generations(path).Reverse())
        {
            current = LogSnapshot.TryOpen(generation);
            if (after?.Newest is not { } newest) return;
            if (current is not null && LogSnapshot.Identity(current) == LogSnapshot.Identity(newest.File))
            {
                position = newest.End;
                return;
            }
            current?.Dispose();
            current = null;
        }
    }

    /// <summary>There is more to read already.</summary>
    public bool HasMore { get; private set; }

    /// <summary>Lines may be missing: all files turned over between two looks. Reading it takes it back.</summary>
    public bool TakeGap()
    {
        var was = gap;
        gap = false;
        return was;
    }

    /// <summary>The lines that were finished since the last call, or the first of them.</summary>
    public List<LogLine> ReadNew()
    {
        var lines = new List<LogLine>();
        HasMore = false;
        var budget = Portion;
        while (budget > 0)
        {
            current ??= LogSnapshot.TryOpen(path);
            if (current is null) return lines;
            // The order counts: what is written to a file before it turns over is there when its successor is.
            var successor = Successor();
            Drain(current, lines, ref budget);
            if (budget <= 0) break;
            if (successor is null) return lines;
            current.Dispose();
            (current, position) = (successor, 0);
        }
        HasMore = true;
        return lines;
    }

    /// <inheritdoc/>
    public void Dispose() => current?.Dispose();

    /// <summary>The file that came after the one that is open; null while that is the present one.</summary>
    FileStream? Successor()
    {
        var mine = LogSnapshot.Identity(current!);
        FileStream? next = null;
        var oldest = LogFile.Generations(path).First();
        foreach (var generation in LogFile.Generations(path).Reverse())
        {
            if (LogSnapshot.TryOpen(generation) is not { } file) continue;
            if (LogSnapshot.Identity(file) == mine)
            {
                file.Dispose();
                return next;
            }
            next?.Dispose();
            next = file;
            if (generation == oldest) gap = true;
        }
        return next;
    }

    void Drain(FileStream file, List<LogLine> lines, ref int budget)
    {
        if (RandomAccess.GetLength(file.SafeFileHandle) < position)
        {
            // Somebody emptied it.
            position = 0;
            splitter.Forget();
        }
        int count;
        while (budget > 0 && (count = RandomAccess.Read(file.SafeFileHandle, buffer, position)) > 0)
        {
            position += count;
            budget -= count;
            splitter.Split(buffer.AsSpan(0, count), raw =>
            {
                var line = LogReader.Parse(component, raw, last);
                last = line.Time;
                lines.Add(line);
            });
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
