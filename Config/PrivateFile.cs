using System.Runtime.InteropServices;

namespace Stigmer.Config;

/// <summary>Files that only this user may read (0600), written so that a crash leaves the old one or the new one, whole.</summary>
static partial class PrivateFile
{
    /// <summary>Opens a new, empty file, after removing what stands there. Its folder must exist.</summary>
    public static FileStream Create(string path)
    {
        File.Delete(path);
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.ReadWrite, Options = FileOptions.Asynchronous };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        return new FileStream(path, options);
    }

    /// <summary>Puts the bytes in the file's place: written beside it, flushed to the disk, renamed.</summary>
    public static void Replace(string path, ReadOnlySpan<byte> content)
    {
        var beside = $"{path}.new";
        using (var file = Create(beside))
        {
            file.Write(content);
            file.Flush(flushToDisk: true);
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
}
