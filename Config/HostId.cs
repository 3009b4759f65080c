using System.Security.Cryptography;

namespace Stigmer.Config;

/// <summary>
/// The random id of a host, kept as <c>host-id</c> in the data folder: the tools of a run are worked on where it was started.
/// </summary>
static class HostId
{
    /// <summary>
    /// Reads it, or makes it where there is none yet. Server and runner may both be first: one of them wins, and both get
    /// the same. Fails where the folder cannot be written.
    /// </summary>
    /// <returns>Lower-case hexadecimal digits.</returns>
    public static string In(string dataDir)
    {
        var file = Path.Combine(dataDir, "host-id");
        if (Read(file) is { } known) return known;
        var id = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));
        var beside = $"{file}.{id}";
        try
        {
            CreateFolder(dataDir);
            Write(beside, id);
            // Does not replace: whoever came first has decided.
            if (PrivateFile.MoveIfAbsent(beside, file)) return id;
            return Read(file) ?? throw new Failure($"{file} holds no id of this host", null, "Remove it: it is made anew");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new Failure($"{file} cannot be written", e.Message, "Set STIGMER_HOME, or STIGMER_DATA_DIR, to a folder that you can write to", ExitCode.Failed, e);
        }
    }

    static string? Read(string file)
    {
        try
        {
            return File.ReadAllText(file).Trim() is { Length: > 0 } id ? id : null;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    static void CreateFolder(string folder)
    {
        if (OperatingSystem.IsWindows()) Directory.CreateDirectory(folder);
        else Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    static void Write(string file, string id)
    {
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using var stream = new FileStream(file, options);
        stream.Write(System.Text.Encoding.ASCII.GetBytes(id + "\n"));
        stream.Flush(flushToDisk: true);
    }
}
