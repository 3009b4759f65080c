using System.Globalization;
using System.Runtime.Versioning;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Stigmer.Config;
using Stigmer.Processes;

namespace Stigmer.Server.Storage;

/// <summary>data/stigmer.lock: one process owns the database's folder. Released by the kernel when that process ends, however it ends.</summary>
sealed class DataLock : IDisposable
{
    readonly FileStream held;

    DataLock(FileStream held) => this.held = held;

    /// <summary>Takes the lock; a <see cref="Failure"/> that names the holder's pid where another process has it.</summary>
    public static DataLock Take(string dataDir)
    {
        var file = Path.Combine(dataDir, "stigmer.lock");
        FileStream stream;
        try
        {
            // Unix: None is an exclusive flock. Windows: nobody else writes, and a second server may read whose it is.
            var share = OperatingSystem.IsWindows() ? FileShare.Read : FileShare.None;
            stream = new FileStream(file, PrivateFile.Options(FileMode.OpenOrCreate, FileAccess.ReadWrite, share));
        }
        catch (IOException e)
        {
            var holder = Holder(file);
            throw new Failure(
                $"Another stigmer-server uses {dataDir}", holder is null ? null : $"it runs as process {holder}",
                "Stop it, or give this one another folder (STIGMER_DATA_DIR)", inner: e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new Failure($"{file} cannot be written", e.Message, "Set STIGMER_HOME to a folder that you can write to", ExitCode.Usage, e);
        }
        stream.SetLength(0);
        stream.Write(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{Environment.ProcessId}\n")));
        stream.Flush();
        return new DataLock(stream);
    }

    /// <summary>The file stays: removing it would let two processes lock two files of one name.</summary>
    public void Dispose() => held.Dispose();

    static string? Holder(string file)
    {
        var text = OperatingSystem.IsWindows() ? ReadShared(file) : ReadLocked(file);
        return int.TryParse(text?.Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var pid) ? pid.ToString(CultureInfo.InvariantCulture) : null;
    }

    // .NET takes a lock of its own with every file that it opens, and so cannot open one that is locked; the C library can.
    [UnsupportedOSPlatform("windows")]
    static string? ReadLocked(string file)
    {
        using var handle = new SafeFileHandle(Libc.open(file, Libc.O_RDONLY | Libc.O_CLOEXEC), ownsHandle: true);
        Span<byte> buffer = stackalloc byte[64];
        return handle.IsInvalid ? null : Encoding.ASCII.GetString(buffer[..RandomAccess.Read(handle, buffer, fileOffset: 0)]);
    }

    static string? ReadShared(string file)
    {
        try
        {
            using var reader = new StreamReader(new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
            return reader.ReadToEnd();
        }
        catch (IOException)
        {
            // The pid is a help in a message; without it the message stands.
            return null;
        }
    }
}
