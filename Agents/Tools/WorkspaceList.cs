using System.Globalization;
using System.IO.Enumeration;
using System.Text;

namespace Stigmer.Agents.Tools;

/// <summary>workspace.list: names and sizes, a line each.</summary>
static class WorkspaceList
{
    /// <summary>The most that a model is shown, in entries and in characters: a model's window is small.</summary>
    const int MaxShown = 500;
    const int MaxLength = 16_000;

    /// <summary>Carries out the call.</summary>
    public static ToolOutcome Run(WorkspaceFolder folder, ToolArguments arguments, CancellationToken cancel)
    {
        var path = arguments.Text("path") ?? ".";
        var recursive = arguments.Flag("recursive", otherwise: false);
        var pattern = arguments.Text("files");
        var least = arguments.Number("min_bytes", least: 0);
        var filesOnly = pattern is not null || least is not null;
        var real = folder.Resolve(path);
        if (WorkspaceFolder.KindOf(real) != EntryKind.Folder) throw new Refused($"{folder.NameOf(real)} is not a folder");

        var walk = new WorkspaceWalk(folder, cancel);
        var text = new StringBuilder();
        var count = 0;
        var shown = 0;
        var folders = false;
        foreach (var found in walk.In(real, recursive))
        {
            folders |= found.Kind == EntryKind.Folder;
            if (filesOnly && (found.Kind != EntryKind.File || found.Size < (least ?? 0) || !Matches(pattern, found.Path))) continue;
            count++;
            if (shown >= MaxShown || text.Length >= MaxLength) continue;
            shown++;
            text.Append(Line(folder, found)).Append('\n');
        }
        if (count == 0) text.Append(filesOnly ? "(no such files)\n" : "(empty)\n");
        if (shown < count) text.Append(CultureInfo.InvariantCulture, $"[{shown} of {count} shown; the rest: list a folder of it, or say files or min_bytes]\n");
        if (filesOnly && folders && !recursive) text.Append("[The folders in it were not looked into: say recursive]\n");
        if (walk.Ended) text.Append(CultureInfo.InvariantCulture, $"[Ended after {WorkspaceWalk.MaxEntries} entries: list a folder of it]\n");
        if (walk.Unreadable > 0) text.Append(CultureInfo.InvariantCulture, $"[{walk.Unreadable} folders could not be read]\n");
        return new ToolOutcome(true, text.ToString().TrimEnd('\n'));
    }

    /// <summary>Whether a file's name matches a pattern of * and ?; null matches all.</summary>
    public static bool Matches(string? pattern, string path)
    {
        if (string.IsNullOrEmpty(pattern)) return true;
        // Models write **/*.cs, too: a name has no slashes, so only the last part can say anything.
        var name = pattern.AsSpan(pattern.AsSpan().LastIndexOfAny('/', '\\') + 1);
        return FileSystemName.MatchesSimpleExpression(name, Path.GetFileName(path.AsSpan()), ignoreCase: true);
    }

    /// <summary>A size as people read it, with thousands of bytes as providers of disks count them.</summary>
    public static string Size(long bytes) => bytes switch
    {
        < 1000 => string.Create(CultureInfo.InvariantCulture, $"{bytes} bytes"),
        < 1_000_000 => string.Create(CultureInfo.InvariantCulture, $"{bytes} bytes ({bytes / 1e3:0.0} KB)"),
        < 1_000_000_000 => string.Create(CultureInfo.InvariantCulture, $"{bytes} bytes ({bytes / 1e6:0.0} MB)"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{bytes} bytes ({bytes / 1e9:0.0} GB)"),
    };

    /// <summary>A name on one line, whatever it holds.</summary>
    public static string OneLine(string name)
    {
        if (!name.Any(char.IsControl)) return name;
        var text = new StringBuilder();
        foreach (var c in name)
        {
            if (char.IsControl(c)) text.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            else text.Append(c);
        }
        return text.ToString();
    }

    static string Line(WorkspaceFolder folder, Found found)
    {
        var name = OneLine(folder.NameOf(found.Path));
        if (found.IsLink) return $"{name}  (a link, not followed)";
        return found.Kind switch
        {
            EntryKind.Folder => name + "/",
            EntryKind.File => $"{name}  {Size(found.Size)}",
            _ => $"{name}  (not an ordinary file)",
        };
    }
}
