using Microsoft.Win32.SafeHandles;

namespace Stigmer.Agents.Tools;

/// <summary>What a path in the workspace names.</summary>
enum EntryKind { File, Folder, Other }

/// <summary>Why a tool does not do what it was asked; the sentence is for the model.</summary>
sealed class Refused(string why) : Exception(why);

/// <summary>
/// A run's workspace, and the one door to what is in it: paths that lead out of it, by .., from the root or through a
/// symlink, are refused, and so are devices, pipes and sockets. What is opened is checked once more by its handle, so that
/// a path that is exchanged between the check and the opening leads nowhere either (as far as the platform allows).
/// </summary>
sealed partial class WorkspaceFolder
{
    WorkspaceFolder(string root) => Root = root;

    /// <summary>The real path of the workspace, without links.</summary>
    public string Root { get; }

    /// <summary>Opens the workspace.</summary>
    /// <exception cref="Refused">There is no such folder.</exception>
    public static WorkspaceFolder Open(string path)
    {
        if (!Path.IsPathFullyQualified(path) || !Directory.Exists(path) || RealPath(path) is not { } root)
        {
            throw new Refused($"The workspace {path} is not a folder on this machine");
        }
        return new WorkspaceFolder(Path.TrimEndingDirectorySeparator(root));
    }

    /// <summary>The real path that a relative one names; it exists and lies in the workspace.</summary>
    /// <exception cref="Refused">It leads out of the workspace, or there is nothing.</exception>
    public string Resolve(string path)
    {
        var full = FullPath(path);
        var real = RealPath(full) ?? throw new Refused($"There is no {path} in the workspace");
        if (!IsInside(real)) throw new Refused($"{path} is a link that leads out of the workspace");
        return real;
    }

    /// <summary>The path in the workspace that a relative one names, its links not followed.</summary>
    string FullPath(string path)
    {
        if (path.Length == 0) path = ".";
        if (path.Contains('\0', StringComparison.Ordinal)) throw new Refused("A path has no NUL characters");
        if (Path.IsPathRooted(path) || path.StartsWith('~') || (OperatingSystem.IsWindows() && path.Contains(':', StringComparison.Ordinal)))
        {
            throw new Refused($"{path} is not relative to the workspace; the workspace itself is \".\"");
        }
        var full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(Path.Combine(Root, path)));
        if (!IsInside(full)) throw new Refused($"{path} leads out of the workspace");
        return full;
    }

    /// <summary>What a real path names.</summary>
    public static EntryKind KindOf(string real) =>
        OperatingSystem.IsLinux() ? LinuxFiles.KindOf(real) : OperatingSystem.IsMacOS() ? MacFiles.KindOf(real) : WindowsFiles.KindOf(real);

    /// <summary>Opens a file to read, never through a link and never waiting for a writer.</summary>
    /// <param name="real">From <see cref="Resolve"/>, or found in a folder that was.</param>
    /// <exception cref="Refused">It is no ordinary file of the workspace (any more), or may not be read.</exception>
    public SafeFileHandle OpenFile(string real)
    {
        var name = NameOf(real);
        switch (KindOf(real))
        {
            case EntryKind.Folder: throw new Refused($"{name} is a folder: {WorkspaceTools.List} shows what is in it");
            case EntryKind.Other: throw new Refused($"{name} is not an ordinary file, and is not opened");
        }
        SafeFileHandle? handle = null;
        try
        {
            handle = OperatingSystem.IsLinux() ? LinuxFiles.Open(Root, real) : OperatingSystem.IsMacOS() ? MacFiles.Open(real) : WindowsFiles.Open(real);
            if (PathOf(handle) is { } opened && !IsInside(opened)) throw new Refused($"{name} leads out of the workspace");
            return handle;
        }
        catch (Refused)
        {
            handle?.Dispose();
            throw;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            handle?.Dispose();
            throw new Refused($"{name} cannot be read: {e.Message}");
        }
    }

    /// <summary>A real path as the model writes it: relative, with slashes; "." for the workspace.</summary>
    public string NameOf(string real)
    {
        var name = Path.GetRelativePath(Root, real);
        return OperatingSystem.IsWindows() ? name.Replace('\\', '/') : name;
    }

    /// <summary>Whether a path without links lies in the workspace.</summary>
    public bool IsInside(string path)
    {
        var comparison = OperatingSystem.IsWindows() ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal;
        return path.Equals(Root, comparison) || path.StartsWith(Path.EndsInDirectorySeparator(Root) ? Root : Root + Path.DirectorySeparatorChar, comparison);
    }

    /// <summary>The path with every link followed; null where there is nothing.</summary>
    static string? RealPath(string path) => OperatingSystem.IsWindows() ? WindowsFiles.RealPath(path) : UnixFiles.RealPath(path);

    /// <summary>Where an open file really is; null where the platform does not tell (Linux without /proc).</summary>
    static string? PathOf(SafeFileHandle handle) =>
        OperatingSystem.IsLinux() ? LinuxFiles.PathOf(handle) : OperatingSystem.IsMacOS() ? MacFiles.PathOf(handle) : WindowsFiles.PathOf(handle);
}
