using System.Globalization;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Stigmer.Config;
using Stigmer.Processes;

namespace Stigmer.Runtime.Logs;

/// <summary>
/// A component's log, written by the daemon alone: NAME.log and up to four older ones, NAME.log.1 the youngest, each of 10 MB.
/// It turns over between two lines, so that none is lost or cut. Whatever becomes of the disk or the folder costs lines, never a
/// component: they are counted, and the log says how many once it goes on.
/// </summary>
sealed class LogFile : IDisposable
{
    /// <summary>When a file is full, in bytes.</summary>
    public const long DefaultLimit = 10_000_000;

    /// <summary>How many files there are, the present one included.</summary>
    public const int Count = 5;

    /// <summary>
    /// The end of a line may stand this far beyond the limit, in bytes, before the line is cut: a file then has less than 10 MB
    /// in whichever way those are counted.
    /// </summary>
    const int Overrun = 400_000;

    /// <summary>Lines up to this length, in bytes, are written in one piece, however they come and whoever else writes.</summary>
    const int LongLine = 32 * 1024;

    /// <summary>A foreign line without an end is passed to <see cref="echo"/> in pieces of this length, in bytes.</summary>
    const int LongEcho = 64 * 1024;

    /// <summary>After a failure it is tried again this much later.</summary>
    static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(1);

    readonly long limit;
    readonly TimeProvider time;
    readonly Action<string>? echo;
    readonly Action<FileStream>? opened;
    readonly bool ours;
    readonly Lock gate = new();
    readonly MemoryStream partial = new();
    FileStream? file;
    bool atLineStart = true;
    bool closed;
    long lost;
    bool losing;
    string? lostWhy;
    long? failedAt;

    /// <param name="path">The file.</param>
    /// <param name="limit">When it is full, in bytes.</param>
    /// <param name="time">The clock.</param>
    /// <param name="echo">Gets each whole line too, without its line feed.</param>
    /// <param name="opened">Gets each file that is begun, for those who write to its descriptor.</param>
    /// <param name="ours">Its component writes lines as <see cref="Log"/> does; what it says otherwise (the runtime's last words) gets their form.</param>
    public LogFile(
        string path, long limit = DefaultLimit, TimeProvider? time = null, Action<string>? echo = null, Action<FileStream>? opened = null, bool ours = false)
    {
        (Path, this.limit, this.time, this.echo, this.opened, this.ours) = (path, limit, time ?? TimeProvider.System, echo, opened, ours);
        try
        {
            Open();
        }
        catch (Exception e) when (IsOfTheDisk(e))
        {
            // Tried again with the first line.
        }
    }

    /// <summary>The present file.</summary>
    public string Path { get; }

    /// <summary>The file and its older ones, oldest first.</summary>
    public static IEnumerable<string> Generations(string path)
    {
        for (var age = Count - 1; age >= 1; age--) yield return Old(path, age);
        yield return path;
    }

    /// <summary>Writes all that the stream brings until its end, on the calling thread; what it leaves unfinished becomes a line.</summary>
    public void CopyFrom(Stream stream)
    {
        var buffer = new byte[LongLine];
        var held = 0;
        var inLongLine = false;
        try
        {
            int count;
            while ((count = stream.Read(buffer.AsSpan(held))) > 0)
            {
                var all = buffer.AsSpan(0, held + count);
                var whole = all.LastIndexOf((byte)'\n') + 1;
                if (whole == 0 && all.Length == buffer.Length) whole = all.Length;
                if (whole > 0)
                {
                    WriteLines(all[..whole], inLongLine);
                    inLongLine = all[whole - 1] != '\n';
                }
                all[whole..].CopyTo(buffer);
                held = all.Length - whole;
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // As good as its end.
        }
        stream.Dispose();
        if (held > 0) WriteLines([.. buffer.AsSpan(0, held), (byte)'\n'], inLongLine);
        else if (inLongLine) Write("\n"u8);
    }

    /// <summary>Writes bytes as they come; any number of lines, or a part of one.</summary>
    public void Write(ReadOnlySpan<byte> bytes)
    {
        lock (gate)
        {
            if (closed || bytes.IsEmpty) return;
            if (echo is not null) Echo(bytes, echo);
            if (failedAt is { } failed && time.GetElapsedTime(failed) < RetryDelay)
            {
                Lose(bytes);
                return;
            }
            if (losing)
            {
                // The rest of a line whose beginning is lost.
                var rest = bytes.IndexOf((byte)'\n') + 1;
                Lose(rest == 0 ? bytes : bytes[..rest]);
                if (rest == 0 || rest == bytes.Length) return;
                bytes = bytes[rest..];
            }
            try
            {
                Attach();
                if (lost > 0) Append(Encoding.UTF8.GetBytes((atLineStart ? "" : "\n") + Stamp(LogLevel.Warn) + LostLines() + "\n"));
                (lost, lostWhy, failedAt) = (0, null, null);
                while (!bytes.IsEmpty)
                {
                    var fits = Fitting(bytes, file!.Length);
                    if (fits == 0 && TurnOver()) continue;
                    if (fits == 0) fits = bytes.Length;
                    Append(bytes[..fits]);
                    bytes = bytes[fits..];
                }
            }
            catch (Exception e) when (IsOfTheDisk(e))
            {
                lostWhy = e.Message;
                failedAt = time.GetTimestamp();
                Lose(bytes);
            }
        }
    }

    /// <summary>Closes the file; what comes later is nobody's.</summary>
    public void Dispose()
    {
        lock (gate)
        {
            closed = true;
            file?.Dispose();
            file = null;
        }
    }

    /// <summary>Gives each line the form of ours that lacks it.</summary>
    /// <param name="bytes">Lines.</param>
    /// <param name="inLine">The first of them is the rest of one that was begun.</param>
    void WriteLines(ReadOnlySpan<byte> bytes, bool inLine)
    {
        if (!ours)
        {
            Write(bytes);
            return;
        }
        var (from, next) = (0, inLine ? End(bytes, 0) : 0);
        while (next < bytes.Length)
        {
            var end = End(bytes, next);
            if (!HasTime(bytes[next..end]))
            {
                Write(bytes[from..next]);
                Write([.. Encoding.UTF8.GetBytes(Stamp(LogLevel.Error)), .. bytes[next..end]]);
                from = end;
            }
            next = end;
        }
        Write(bytes[from..]);

        static int End(ReadOnlySpan<byte> bytes, int from) => bytes[from..].IndexOf((byte)'\n') is var at and >= 0 ? from + at + 1 : bytes.Length;
    }

    /// <summary>It begins as 2026-01-19T08:00:00.123Z does.</summary>
    static bool HasTime(ReadOnlySpan<byte> line) =>
        line.Length > 24 && line[4] == '-' && line[7] == '-' && line[10] == 'T' && line[13] == ':' && line[16] == ':' && line[19] == '.' && line[23] == 'Z'
            && char.IsAsciiDigit((char)line[0]);

    string Stamp(LogLevel level) => Log.Prefix(time.GetUtcNow(), level, System.IO.Path.GetFileNameWithoutExtension(Path));

    string LostLines() => $"{lost.ToString(CultureInfo.InvariantCulture)} {(lost == 1 ? "line is" : "lines are")} lost here: {lostWhy}";

    void Lose(ReadOnlySpan<byte> bytes)
    {
        lost += bytes.Count((byte)'\n');
        losing = bytes[^1] != '\n';
    }

    /// <summary>How much of it goes into the present file; 0: nothing, another has to be begun.</summary>
    int Fitting(ReadOnlySpan<byte> bytes, long length)
    {
        var room = limit - length;
        if (bytes.Length <= room) return bytes.Length;
        var whole = room <= 0 ? 0 : bytes[..(int)room].LastIndexOf((byte)'\n') + 1;
        if (whole > 0) return whole;
        if (atLineStart && length > 0) return 0;
        var end = bytes.IndexOf((byte)'\n') + 1;
        return (int)Math.Clamp(limit + Overrun - length, 0, end > 0 ? end : bytes.Length);
    }

    void Append(ReadOnlySpan<byte> bytes)
    {
        var before = file!.Length;
        try
        {
            file.Write(bytes);
        }
        catch (Exception e) when (IsOfTheDisk(e))
        {
            // A part of it may have found room: a line is there as a whole, or not at all.
            if (file.Length > before) file.SetLength(before);
            throw;
        }
        atLineStart = bytes[^1] == '\n';
    }

    void Echo(ReadOnlySpan<byte> bytes, Action<string> each)
    {
        while (!bytes.IsEmpty)
        {
            var end = bytes.IndexOf((byte)'\n');
            var piece = bytes[..Math.Min(end < 0 ? bytes.Length : end, LongEcho - (int)partial.Length)];
            partial.Write(piece);
            bytes = bytes[piece.Length..];
            if (piece.Length == end) bytes = bytes[1..];
            else if (partial.Length < LongEcho) return;
            each(Encoding.UTF8.GetString(partial.GetBuffer(), 0, (int)partial.Length).TrimEnd('\r'));
            partial.SetLength(0);
        }
    }

    /// <summary>Begins another file. False: the present one cannot be renamed, and is the one to go on in.</summary>
    bool TurnOver()
    {
        file?.Dispose();
        file = null;
        try
        {
            for (var age = Count - 2; age >= 0; age--)
            {
                var from = age == 0 ? Path : Old(Path, age);
                if (File.Exists(from)) File.Move(from, Old(Path, age + 1), overwrite: true);
            }
        }
        catch (Exception e) when (IsOfTheDisk(e))
        {
            // A folder that became read-only. It grows beyond its limit then, but not beyond what all of them may hold.
            Open();
            if (file!.Length >= Count * limit) file.SetLength(0);
            return false;
        }
        Open();
        return true;
    }

    /// <summary>The file may have been removed or renamed by somebody, and its folder too.</summary>
    void Attach()
    {
        if (file is not null && !(OperatingSystem.IsLinux() ? LinuxFile.IsNamed(file.SafeFileHandle, Path) : File.Exists(Path)))
        {
            file.Dispose();
            file = null;
        }
        if (file is null) Open();
    }

    void Open()
    {
        // But not a home that was removed: nobody would look for logs there.
        if (System.IO.Path.GetDirectoryName(Path) is { } folder && !Directory.Exists(folder) && Directory.Exists(System.IO.Path.GetDirectoryName(folder))) StigmerHome.Ensure(folder);
        var begun = OpenForAppending(Path);
        try
        {
            // Who wrote it before may have been killed in the middle of a line.
            if (atLineStart && !EndsWithLine(Path)) begun.Write("\n"u8);
        }
        catch (Exception e) when (IsOfTheDisk(e))
        {
            begun.Dispose();
            throw;
        }
        file = begun;
        opened?.Invoke(file);
    }

    /// <summary>
    /// Opens a log, made for this user only where there is none, so that whatever is written goes to its end: several
    /// descriptors write to the daemon's.
    /// </summary>
    public static FileStream OpenForAppending(string path)
    {
        var options = PrivateFile.Options(FileMode.Append, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete);
        options.BufferSize = 0;
        if (OperatingSystem.IsWindows()) return new FileStream(path, options);
        // .NET's append mode only seeks to the end once.
        using var made = new FileStream(path, options);
        var appending = new SafeFileHandle(Libc.open(path, Libc.O_WRONLY | Libc.O_APPEND | Libc.O_CLOEXEC), ownsHandle: true);
        if (appending.IsInvalid) throw new IOException($"{path} cannot be opened");
        var stream = new FileStream(appending, FileAccess.Write, bufferSize: 0);
        stream.Seek(0, SeekOrigin.End);
        return stream;
    }

    static bool EndsWithLine(string path)
    {
        using var reading = File.OpenHandle(path, share: FileShare.ReadWrite | FileShare.Delete);
        Span<byte> last = stackalloc byte[1];
        var length = RandomAccess.GetLength(reading);
        return length == 0 || RandomAccess.Read(reading, last, length - 1) == 0 || last[0] == '\n';
    }

    static bool IsOfTheDisk(Exception e) => e is IOException or UnauthorizedAccessException or Failure;

    static string Old(string path, int age) => path + "." + age.ToString(CultureInfo.InvariantCulture);
}
