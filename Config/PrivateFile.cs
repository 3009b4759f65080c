namespace Stigmer.Config;

/// <summary>Files that only this user may read (0600), written so that a crash leaves the old one or the new one, whole.</summary>
static class PrivateFile
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
}
