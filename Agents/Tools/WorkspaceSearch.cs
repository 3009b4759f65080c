using System.Globalization;
using System.Text;

namespace Stigmer.Agents.Tools;

/// <summary>workspace.search: the lines that contain a text.</summary>
static class WorkspaceSearch
{
    /// <summary>The most that a model is shown.</summary>
    const int MaxMatches = 100;
    const int MaxLength = 16_000;
    const int MaxLine = 200;

    /// <summary>Larger files are not searched, in bytes: what is that large is data.</summary>
    const long MaxFile = 10_000_000;

    /// <summary>Carries out the call.</summary>
    public static ToolOutcome Run(WorkspaceFolder folder, ToolArguments arguments, CancellationToken cancel)
    {
        var wanted = arguments.Text("text");
        if (string.IsNullOrEmpty(wanted)) throw new Refused("text is missing: what to look for");
        if (wanted.Contains('\n', StringComparison.Ordinal)) throw new Refused("text must be within one line");
        var pattern = arguments.Text("files");
        var comparison = arguments.Flag("ignore_case", otherwise: true) ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal;
        var real = folder.Resolve(arguments.Text("path") ?? ".");

        var found = new Matches(wanted, comparison);
        var walk = new WorkspaceWalk(folder, cancel);
        var (large, closed) = (0, 0);
        if (WorkspaceFolder.KindOf(real) == EntryKind.Folder)
        {
            foreach (var file in walk.In(real, recursive: true))
            {
                if (found.IsFull) break;
                if (file.Kind != EntryKind.File || !WorkspaceList.Matches(pattern, file.Path)) continue;
                if (file.Size > MaxFile)
                {
                    large++;
                    continue;
                }
                try
                {
                    found.Search(folder, file.Path, cancel);
                }
                catch (Exception e) when (e is Refused or IOException)
                {
                    closed++;
                }
            }
        }
        else
        {
            found.Search(folder, real, cancel);
        }
        return new ToolOutcome(true, found.ToText(walk, large, closed));
    }

    sealed class Matches(string wanted, StringComparison comparison)
    {
        readonly StringBuilder text = new();
        byte[] buffer = [];
        int count;

        public bool IsFull => count >= MaxMatches || text.Length >= MaxLength;

        public void Search(WorkspaceFolder folder, string real, CancellationToken cancel)
        {
            using var file = folder.OpenFile(real);
            var size = (int)Math.Min(RandomAccess.GetLength(file), MaxFile);
            if (buffer.Length < size) buffer = new byte[size];
            var bytes = buffer.AsSpan(0, WorkspaceRead.ReadBlock(file, buffer.AsSpan(0, size), 0));
            cancel.ThrowIfCancellationRequested();
            var kind = TextFile.Of(bytes[..Math.Min(bytes.Length, TextFile.HeadLength)], bytes.Length <= TextFile.HeadLength);
            if (kind.Encoding is null) return;
            var content = kind.Encoding.GetString(bytes[kind.Preamble..]);
            if (!content.Contains(wanted, comparison)) return;
            var name = WorkspaceList.OneLine(folder.NameOf(real));
            var number = 0;
            foreach (var range in content.AsSpan().Split('\n'))
            {
                number++;
                var line = content.AsSpan(range).TrimEnd('\r');
                var at = line.IndexOf(wanted, comparison);
                if (at < 0) continue;
                text.Append(CultureInfo.InvariantCulture, $"{name}:{number}: ").Append(Around(line, at)).Append('\n');
                count++;
                if (IsFull) return;
            }
        }

        public string ToText(WorkspaceWalk walk, int large, int closed)
        {
            if (count == 0) text.Append("(nothing found)\n");
            if (IsFull) text.Append(CultureInfo.InvariantCulture, $"[Ended after {count} lines: look in a folder, in fewer files, or for a longer text]\n");
            if (large > 0) text.Append(CultureInfo.InvariantCulture, $"[{large} files of more than {WorkspaceList.Size(MaxFile)} were not searched]\n");
            if (closed > 0) text.Append(CultureInfo.InvariantCulture, $"[{closed} files could not be read]\n");
            if (walk.Unreadable > 0) text.Append(CultureInfo.InvariantCulture, $"[{walk.Unreadable} folders could not be read]\n");
            if (walk.Ended) text.Append(CultureInfo.InvariantCulture, $"[Ended after {WorkspaceWalk.MaxEntries} files and folders: look in a folder]\n");
            return text.ToString().TrimEnd('\n');
        }

        /// <summary>The line, or of a long one what stands around the place.</summary>
        static string Around(ReadOnlySpan<char> line, int at)
        {
            if (line.Length <= MaxLine) return line.ToString();
            var start = Math.Max(0, Math.Min(at - (MaxLine / 4), line.Length - MaxLine));
            if (start > 0 && char.IsLowSurrogate(line[start])) start--;
            var end = Math.Min(line.Length, start + MaxLine);
            if (end < line.Length && char.IsLowSurrogate(line[end])) end--;
            return $"{(start > 0 ? "…" : "")}{line[start..end]}{(end < line.Length ? "…" : "")}";
        }
    }
}
