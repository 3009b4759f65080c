using Microsoft.Win32.SafeHandles;
using Stigmer.Config;
using Stigmer.Processes;

namespace Stigmer.Runtime.Logs;

/// <summary>
/// A component's log, written by the daemon alone: NAME.log and up to four older ones, NAME.log.1 the youngest, each of about
/// 10 MB. It turns over between two lines, so that none is lost or cut. A disk that is full costs lines, never a component.
/// </summary>
sealed class LogFile : IDisposable
{
    /// <summary>When a file is full, in bytes.</summary>
    public const long DefaultLimit = 10 * 1024 * 1024;

    /// <summary>How many files there are, the present one included.</summary>
    public const int Count = 5;

    readonly long limit;
    readonly Action<string>? echo;
    readonly Action<FileStream>? opened;
    readonly Lock gate = new();
    readonly MemoryStream partial = new();
    FileStream? file;
    bool atLineStart = true;

    /// <param name="path">The file.</param>
    /// <param name="limit">When it is full, in bytes.</param>
    /// <param name="echo">Gets each whole line too, without its line feed.</param>
    /// <param name="opened">Gets each file that is begun, for those who write to its descriptor.</param>
    public LogFile(string path, long limit = DefaultLimit, Action<string>? echo = null, Action<FileStream>? opened = null)
    {
        (Path, this.limit, this.echo, this.opened) = (path, limit, echo, opened);
        Open();
    }

    /// <summary>The present file.</summary>
    public string Path { get; }

    /// <summary>The file and its older ones, oldest first.</summary>
    public static IEnumerable<string> Generations(string path)
    {
        for (var age = Count - 1; age >= 1; age--) yield return Old(path, age);
        yield return path;
    }

    /// <summary>Writes all that the stream brings until its end, on the calling thread.</summary>
    public void CopyFrom(Stream stream)
    {
        var buffer = new byte[16 * 1024];
        try
        {
            int count;
            while ((count = stream.Read(buffer)) > 0) Write(buffer.AsSpan(0, count));
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // As good as its end.
        }
        stream.Dispose();
        // What ends within a line must not run into what comes next.
        lock (gate)
        {
            if (!atLineStart) Write("\n"u8);
        }
    }

    /// <summary>Writes bytes as they come; any number of lines, or a part of one.</summary>
    public void Write(ReadOnlySpan<byte> bytes)
    {
        lock (gate)
        {
            if (file is { } full && full.Length >= limit)
            {
                var rest = atLineStart ? 0 : bytes.IndexOf((byte)'\n') + 1;
                // A line without an end is cut at twice the limit.
                if (atLineStart || rest > 0 || full.Length >= 2 * limit)
                {
                    Append(bytes[..rest]);
                    bytes = bytes[rest..];
                    TurnOver();
                }
            }
            Append(bytes);
        }
    }

    /// <summary>Closes the file.</summary>
    public void Dispose()
    {
        lock (gate)
        {
            file?.Dispose();
            file = null;
        }
    }

    void Append(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty) return;
        atLineStart = bytes[^1] == '\n';
        try
        {
            if (file is null) Open();
            file?.Write(bytes);
        }
        catch (IOException)
        {
            // Full, most likely: the component goes on, and so do its lines once there is room.
        }
        if (echo is not null) Echo(bytes, echo);
    }

    void Echo(ReadOnlySpan<byte> bytes, Action<string> each)
    {
        partial.Write(bytes);
        var all = partial.GetBuffer().AsSpan(0, (int)partial.Length);
        int end;
        var from = 0;
        while ((end = all[from..].IndexOf((byte)'\n')) >= 0)
        {
            each(System.Text.Encoding.UTF8.GetString(all.Slice(from, end)).TrimEnd('\r'));
            from += end + 1;
        }
        var left = all[from..].ToArray();
        partial.SetLength(0);
        partial.Write(left);
    }

    void TurnOver()
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
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The present file then grows beyond its limit, which is better than lines lost.
        }
        Open();
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

    void Open()
    {
        try
        {
            file = OpenForAppending(Path);
            opened?.Invoke(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            file = null; // Tried again with the next line.
        }
    }

    static string Old(string path, int age) => path + "." + age.ToString(System.Globalization.CultureInfo.InvariantCulture);
}
