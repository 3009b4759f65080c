using System.Text;
using Stigmer.Processes;

namespace Stigmer.Runtime.Logs;

/// <summary>
/// The files of one log as they are at one moment: what is written later, and what turns over, does not show. Lines are what
/// stands between line feeds, however many files a line is spread over.
/// </summary>
sealed class LogSnapshot : IDisposable
{
    /// <summary>A longer line, in bytes, is read as several: a binary without line feeds must not fill the memory.</summary>
    public const int LongestLine = 1024 * 1024;

    const int Block = 64 * 1024;

    readonly List<(FileStream File, long End)> files;

    LogSnapshot(List<FileStream> files) => this.files = files.ConvertAll(file => (file, file.Length));

    /// <summary>The newest of the files, and where its last whole line ends; null: there are none.</summary>
    public (FileStream File, long End)? Newest => files.Count == 0 ? null : (files[^1].File, EndOfWholeLines(files[^1]));

    /// <summary>Opens what there is; no file is missed or met twice though they turn over meanwhile.</summary>
    public static LogSnapshot Take(string path)
    {
        while (true)
        {
            var found = new List<FileStream>();
            var identities = new HashSet<string>();
            // From the youngest on: a file that turns over meanwhile is met again, under its next name.
            foreach (var generation in LogFile.Generations(path).Reverse())
            {
                if (TryOpen(generation) is not { } file) continue;
                if (identities.Add(Identity(file))) found.Insert(0, file);
                else file.Dispose();
            }
            using var newest = TryOpen(path);
            if (newest is null || found.Count == 0 || Identity(newest) == Identity(found[^1])) return new LogSnapshot(found);
            foreach (var file in found) file.Dispose();
        }
    }

    /// <summary>
    /// What tells one open file from another: on Linux its number in the file system, elsewhere its first line, which holds a
    /// time. (A program that says one thing without end writes files that all begin alike.)
    /// </summary>
    public static string Identity(FileStream file)
    {
        if (OperatingSystem.IsLinux() && LinuxFile.Number(file.SafeFileHandle) is { } number) return number.ToString(System.Globalization.CultureInfo.InvariantCulture);
        var head = new byte[256];
        var count = RandomAccess.Read(file.SafeFileHandle, head, 0);
        var line = head.AsSpan(0, count).IndexOf((byte)'\n');
        return Convert.ToHexString(head, 0, line < 0 ? count : line);
    }

    /// <summary>Opens a file that may be renamed while it is read; null where there is none, or a folder.</summary>
    public static FileStream? TryOpen(string path)
    {
        try
        {
            return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (UnauthorizedAccessException) when (Directory.Exists(path))
        {
            return null;
        }
    }

    /// <summary>
    /// All lines, oldest first, each with the time that it has if neither it nor one before it says one: the first that is said
    /// after it, and where none is, when the file was written last.
    /// </summary>
    /// <param name="since">Files that were written last before that are passed over.</param>
    /// <param name="whole">Without the line at the end that has no line feed yet.</param>
    public IEnumerable<(string Raw, DateTimeOffset Floor)> Lines(DateTimeOffset? since = null, bool whole = false)
    {
        var splitter = new LineSplitter();
        var lines = new List<string>();
        var buffer = new byte[Block];
        var floor = DateTimeOffset.MinValue;
        foreach (var (file, end) in files)
        {
            DateTimeOffset written = File.GetLastWriteTimeUtc(file.SafeFileHandle);
            if (since is { } from && written < from) continue;
            var at = 0L;
            while (at < end)
            {
                var count = RandomAccess.Read(file.SafeFileHandle, buffer.AsSpan(0, (int)Math.Min(buffer.Length, end - at)), at);
                if (count == 0) break;
                if (at == 0) floor = LogReader.FirstTime(buffer.AsSpan(0, count)) ?? written;
                at += count;
                splitter.Split(buffer.AsSpan(0, count), lines.Add);
                foreach (var line in lines) yield return (line, floor);
                lines.Clear();
            }
        }
        if (whole) yield break;
        splitter.Finish(lines.Add);
        foreach (var line in lines) yield return (line, floor);
    }

    /// <summary>The last lines, without reading what stands before them.</summary>
    /// <param name="count">How many.</param>
    /// <param name="whole">Without the line at the end that has no line feed yet.</param>
    /// <param name="limit">How far back to look at most, in bytes.</param>
    public IReadOnlyList<(string Raw, DateTimeOffset Floor)> Tail(int count, bool whole = false, long limit = long.MaxValue)
    {
        var blocks = new Stack<byte[]>();
        var (feeds, bytes) = (0L, 0L);
        foreach (var (file, end) in Enumerable.Reverse(files))
        {
            // One line feed more than lines: the one that ends the line before them.
            for (var at = end; at > 0 && feeds <= count && bytes < limit;)
            {
                var block = new byte[Math.Min(Block, at)];
                at -= block.Length;
                // Somebody may have cut the file meanwhile.
                if (RandomAccess.Read(file.SafeFileHandle, block, at) < block.Length) continue;
                blocks.Push(block);
                feeds += block.AsSpan().Count((byte)'\n');
                bytes += block.Length;
            }
        }
        var splitter = new LineSplitter();
        var lines = new Queue<string>();
        void Keep(string line)
        {
            lines.Enqueue(line);
            if (lines.Count > count) lines.Dequeue();
        }
        var floor = files.Count == 0 ? default : (blocks.TryPeek(out var first) ? LogReader.FirstTime(first) : null) ?? File.GetLastWriteTimeUtc(files[^1].File.SafeFileHandle);
        while (blocks.TryPop(out var block)) splitter.Split(block, Keep);
        if (!whole) splitter.Finish(Keep);
        return [.. lines.Select(line => (line, floor))];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var (file, _) in files) file.Dispose();
    }

    static long EndOfWholeLines((FileStream File, long End) newest)
    {
        var block = new byte[Math.Min(LongestLine, newest.End)];
        var from = newest.End - block.Length;
        var count = RandomAccess.Read(newest.File.SafeFileHandle, block, from);
        return from + block.AsSpan(0, count).LastIndexOf((byte)'\n') + 1;
    }
}

/// <summary>Makes lines of bytes that come in pieces. What is no UTF-8 shows as U+FFFD.</summary>
sealed class LineSplitter
{
    readonly MemoryStream partial = new();

    /// <summary>Passes each line that ends in these bytes on, and keeps the rest.</summary>
    public void Split(ReadOnlySpan<byte> bytes, Action<string> each)
    {
        while (!bytes.IsEmpty)
        {
            var end = bytes.IndexOf((byte)'\n');
            var piece = end < 0 ? bytes : bytes[..end];
            if (partial.Length + piece.Length > LogSnapshot.LongestLine)
            {
                piece = piece[..(LogSnapshot.LongestLine - (int)partial.Length)];
                partial.Write(piece);
                bytes = bytes[piece.Length..];
                Finish(each);
                continue;
            }
            if (end < 0)
            {
                partial.Write(piece);
                return;
            }
            if (partial.Length == 0)
            {
                each(Text(piece));
            }
            else
            {
                partial.Write(piece);
                Finish(each);
            }
            bytes = bytes[(end + 1)..];
        }
    }

    /// <summary>Passes on what has no end yet; nothing where there is nothing.</summary>
    public void Finish(Action<string> each)
    {
        if (partial.Length == 0) return;
        each(Text(partial.GetBuffer().AsSpan(0, (int)partial.Length)));
        Forget();
    }

    /// <summary>What had no end is of no interest any more.</summary>
    public void Forget() => partial.SetLength(0);

    static string Text(ReadOnlySpan<byte> line) => Encoding.UTF8.GetString(line.EndsWith("\r"u8) ? line[..^1] : line);
}
