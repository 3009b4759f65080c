using System.IO.Enumeration;

namespace Stigmer.Agents.Tools;

/// <summary>What was found in a folder.</summary>
/// <param name="Path">Its real path (a link's own).</param>
/// <param name="Kind">Links are neither file nor folder.</param>
/// <param name="Size">A file's size in bytes.</param>
/// <param name="IsLink">A link, which is not followed.</param>
sealed record Found(string Path, EntryKind Kind, long Size, bool IsLink);

/// <summary>Goes through a folder, without following links, in the order of names, so that the same workspace always reads the same.</summary>
/// <param name="folder">The workspace.</param>
/// <param name="cancel">Ends the walk.</param>
sealed class WorkspaceWalk(WorkspaceFolder folder, CancellationToken cancel)
{
    /// <summary>How many entries are looked at before the walk ends.</summary>
    public const int MaxEntries = 100_000;

    /// <summary>Of the repository's own files nobody wants to read: objects, not sources.</summary>
    const string Git = ".git";

    /// <summary>How many folders could not be read.</summary>
    public int Unreadable { get; private set; }

    /// <summary>How many entries were looked at.</summary>
    public int Entries { get; private set; }

    /// <summary>More entries than <see cref="MaxEntries"/>: the rest was not looked at.</summary>
    public bool Ended { get; private set; }

    /// <summary>What is in a folder and, if asked, in its folders; .git itself is found, what is in it is not.</summary>
    /// <param name="real">A real path.</param>
    /// <param name="recursive">Also what is in its folders.</param>
    public IEnumerable<Found> In(string real, bool recursive)
    {
        var open = new Stack<IEnumerator<Found>>();
        open.Push(Sorted(real).GetEnumerator());
        while (open.TryPeek(out var current))
        {
            if (!current.MoveNext())
            {
                open.Pop();
                continue;
            }
            cancel.ThrowIfCancellationRequested();
            if (++Entries > MaxEntries)
            {
                Ended = true;
                yield break;
            }
            yield return current.Current;
            if (recursive && current.Current.Kind == EntryKind.Folder && Path.GetFileName(current.Current.Path) != Git)
            {
                open.Push(Sorted(current.Current.Path).GetEnumerator());
            }
        }
    }

    List<Found> Sorted(string real)
    {
        try
        {
            // A folder that was exchanged for a link since it was found is not walked into.
            if (folder.Resolve(folder.NameOf(real)) != real) return [];
            var entries = new FileSystemEnumerable<Found>(
                real,
                Describe,
                new EnumerationOptions { AttributesToSkip = FileAttributes.None, IgnoreInaccessible = false, RecurseSubdirectories = false });
            var found = new List<Found>();
            foreach (var entry in entries)
            {
                cancel.ThrowIfCancellationRequested();
                found.Add(entry);
                if (found.Count > MaxEntries) break;
            }
            found.Sort((a, b) => string.CompareOrdinal(a.Path, b.Path));
            return found;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or Refused)
        {
            Unreadable++;
            return [];
        }
    }

    static Found Describe(ref FileSystemEntry entry)
    {
        var path = entry.ToFullPath();
        if (entry.Attributes.HasFlag(FileAttributes.ReparsePoint)) return new Found(path, EntryKind.Other, 0, true);
        if (entry.IsDirectory) return new Found(path, EntryKind.Folder, 0, false);
        var size = entry.Length;
        // Pipes, sockets and devices have no size; only then is it worth a second look.
        return new Found(path, size > 0 ? EntryKind.File : WorkspaceFolder.KindOf(path), size, false);
    }
}
