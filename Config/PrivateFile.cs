using System.Runtime.InteropServices;
using System.Text;

namespace Stigmer.Config;

/// <summary>Files that only this user may read (0600), written so that a crash leaves the old one or the new one, whole.</summary>
static partial class PrivateFile
{
    /// <summary>How to open a file that is this user's alone where it is made by that. Windows has the folder's rights for it.</summary>
    public static FileStreamOptions Options(FileMode mode, FileAccess access, FileShare share = FileShare.Read)
    {
        var options = new FileStreamOptions { Mode = mode, Access = access, Share = share };
        if (!OperatingSystem.IsWindows() && mode != FileMode.Open) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        return options;
    }

    /// <summary>Opens a new, empty file, after removing what stands there. Its folder must exist.</summary>
    public static FileStream Create(string path)
    {
        File.Delete(path);
        var options = Options(FileMode.CreateNew, FileAccess.ReadWrite);
        options.Options = FileOptions.Asynchronous;
        return new FileStream(path, options);
    }

    /// <summary>Puts the bytes in the file's place: written beside it, flushed to the disk, renamed.</summary>
    /// <param name="lasting">False for what is worthless after a reboot, which need not wait for the disk.</param>
    public static void Replace(string path, ReadOnlySpan<byte> content, bool lasting = true)
    {
        var beside = $"{path}.new";
        using (var file = Create(beside))
        {
            file.Write(content);
            if (lasting) file.Flush(flushToDisk: true);
        }
        File.Move(beside, path, overwrite: true);
    }

    /// <summary>
    /// Gives a complete file its name unless another has it; of several that come at once one succeeds. False: another was
    /// there, and the file beside is gone.
    /// </summary>
    public static bool MoveIfAbsent(string beside, string path)
    {
        try
        {
            // .NET's move looks first and renames then, which replaces what came in between. A hard link does both at once;
            // where the file system has none, .NET's must do.
            if (!OperatingSystem.IsWindows() && Link(beside, path) == 0) File.Delete(beside);
            else File.Move(beside, path, overwrite: false);
            return true;
        }
        catch (IOException) when (File.Exists(path))
        {
            File.Delete(beside);
            return false;
        }
    }

    [LibraryImport("libc", EntryPoint = "link", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Link(string existing, string name);

    /// <summary>
    /// The file's text; where there is none, <paramref name="make"/>'s, written beside it, synced and moved into place. Of two
    /// that make it at the same moment both get what one of them made. The folder must exist.
    /// </summary>
    public static string ReadOrMake(string file, Func<string> make)
    {
        if (Read(file) is { } text) return text;
        var beside = $"{file}.{RandomId.New()}";
        try
        {
            using (var stream = Create(beside))
            {
                stream.Write(Encoding.ASCII.GetBytes(make() + "\n"));
                stream.Flush(flushToDisk: true);
            }
            MoveIfAbsent(beside, file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new Failure($"{file} cannot be written", e.Message, "Set STIGMER_HOME to a folder that you can write to", ExitCode.Usage, e);
        }
        return Read(file) ?? throw new Failure($"{file} is empty", null, "Remove it: it is made anew");
    }

    static string? Read(string file)
    {
        try
        {
            return File.ReadAllText(file).Trim() is { Length: > 0 } text ? text : null;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new Failure($"{file} cannot be read", e.Message, "Its owner must be you, and you must be allowed to read it", ExitCode.Usage, e);
        }
    }
}
