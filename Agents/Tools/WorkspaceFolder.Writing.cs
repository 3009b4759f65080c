using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace Stigmer.Agents.Tools;

/// <summary>Where a file is to be written.</summary>
/// <param name="Folder">The real path of its folder, which may have to be made.</param>
/// <param name="Name">The file's name.</param>
/// <param name="Exists">It is there, and an ordinary file.</param>
sealed record WritePlace(string Folder, string Name, bool Exists)
{
    /// <summary>The real path of the file.</summary>
    public string Path { get; } = System.IO.Path.Combine(Folder, Name);
}

/// <summary>A folder that is held open.</summary>
/// <param name="Path">A path that leads to it, whatever becomes of its name, where the platform has that.</param>
sealed record OpenedFolder(string Path, SafeFileHandle? Handle) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose() => Handle?.Dispose();
}

// Writing goes by the same door as reading: nothing is made or changed outside of the workspace.
sealed partial class WorkspaceFolder
{
    /// <summary>Where the file that a relative path names is, or is to be made.</summary>
    /// <exception cref="Refused">It leads out of the workspace, or cannot be a file.</exception>
    public WritePlace PlaceOf(string path)
    {
        var full = FullPath(path);
        if (full == Root || path.EndsWith('/')) throw new Refused($"{path} is a folder, not a file");
        if (IsThere(full))
        {
            var file = Resolve(path);
            return KindOf(file) switch
            {
                EntryKind.File => new WritePlace(Path.GetDirectoryName(file)!, Path.GetFileName(file), true),
                EntryKind.Folder => throw new Refused($"{path} is a folder, not a file"),
                _ => throw new Refused($"{path} is not an ordinary file, and is not written"),
            };
        }
        var there = Path.GetDirectoryName(full)!;
        while (!IsThere(there)) there = Path.GetDirectoryName(there)!;
        // The workspace itself is there, so that this ends inside.
        var real = Resolve(Path.GetRelativePath(Root, there));
        if (KindOf(real) != EntryKind.Folder) throw new Refused($"{NameOf(there)} is not a folder");
        var parent = Path.GetFullPath(Path.Combine(real, Path.GetRelativePath(there, Path.GetDirectoryName(full)!)));
        return new WritePlace(Path.TrimEndingDirectorySeparator(parent), Path.GetFileName(full), false);
    }

    /// <summary>Makes the place's folder where it is missing, and holds it open.</summary>
    /// <exception cref="Refused">It is no folder of the workspace (any more).</exception>
    public OpenedFolder OpenFolder(WritePlace place)
    {
        Directory.CreateDirectory(place.Folder);
        if (OperatingSystem.IsLinux())
        {
            try
            {
                if (LinuxFiles.OpenFolder(Root, place.Folder) is { } handle)
                {
                    var held = $"/proc/self/fd/{handle.DangerousGetHandle().ToString(CultureInfo.InvariantCulture)}";
                    if (Directory.Exists(held)) return new OpenedFolder(held, handle);
                    handle.Dispose();
                }
            }
            catch (IOException e)
            {
                throw new Refused($"{NameOf(place.Folder)} is not a folder of the workspace: {e.Message}");
            }
        }
        // Where nothing can be held, this second look is the guard.
        if (RealPath(place.Folder) != place.Folder) throw new Refused($"{NameOf(place.Folder)} leads elsewhere");
        return new OpenedFolder(place.Folder, null);
    }

    /// <summary>Something has this name, be it a link that leads nowhere.</summary>
    static bool IsThere(string path) => new FileInfo(path).Attributes != (FileAttributes)(-1);
}
