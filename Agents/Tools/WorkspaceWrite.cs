using System.Globalization;
using System.Text;
using Stigmer.Config;

namespace Stigmer.Agents.Tools;

/// <summary>workspace.write: a whole file, or the exchange of a text that stands in it once. The old file or the new one is there, never half of it.</summary>
static class WorkspaceWrite
{
    /// <summary>The largest file in which something is exchanged, in bytes: it is held in memory.</summary>
    const long MostBytes = 16 * 1024 * 1024;

    /// <summary>The longest name of a file on the usual file systems, in bytes.</summary>
    const int LongestName = 255;

    /// <summary>Carries out the call.</summary>
    public static ToolOutcome Run(WorkspaceFolder folder, ToolArguments arguments)
    {
        var path = arguments.Text("path") ?? throw new Refused("path is missing: the file to write");
        var content = arguments.Text("content");
        var old = arguments.Text("old_text") is { Length: > 0 } given ? given : null;
        if (content is null == old is null)
        {
            throw new Refused(content is null ? "Give content for the whole file, or old_text and new_text for a part of it" : "Give either content, or old_text and new_text");
        }
        var place = folder.PlaceOf(path);
        var name = WorkspaceList.OneLine(folder.NameOf(place.Path));
        if (old is not null) return Exchange(folder, place, name, old, arguments.Text("new_text") ?? throw new Refused("new_text is missing: what to put in the place of old_text"));
        var bytes = Encoding.UTF8.GetBytes(content!);
        Put(folder, place, bytes);
        return new ToolOutcome(true, $"{(place.Exists ? "Wrote" : "Made")} {name}: {WorkspaceList.Size(bytes.Length)}");
    }

    static ToolOutcome Exchange(WorkspaceFolder folder, WritePlace place, string name, string old, string replacement)
    {
        if (!place.Exists) throw new Refused($"There is no {name} in the workspace");
        byte[] bytes;
        using (var file = folder.OpenFile(place.Path))
        {
            var size = RandomAccess.GetLength(file);
            if (size > MostBytes) throw new Refused($"{name} is too large for this: {WorkspaceList.Size(size)}");
            bytes = new byte[size];
            bytes = bytes[..WorkspaceRead.ReadBlock(file, bytes, 0)];
        }
        var kind = TextFile.Of(bytes.AsSpan(0, Math.Min(bytes.Length, TextFile.HeadLength)), whole: bytes.Length <= TextFile.HeadLength);
        if (kind.Encoding is not { } encoding) throw new Refused($"{name} is not a text: {TextFile.Describe(bytes)}");
        var text = encoding.GetString(bytes, kind.Preamble, bytes.Length - kind.Preamble);
        // What cannot be read back would be lost in the rest of the file.
        if (!encoding.GetBytes(text).AsSpan().SequenceEqual(bytes.AsSpan(kind.Preamble))) throw new Refused($"{name} holds bytes that are no text: write the whole file, or change it otherwise");

        // Models read lines without their carriage returns.
        if (!text.Contains(old, StringComparison.Ordinal) && text.Contains("\r\n", StringComparison.Ordinal))
        {
            (old, replacement) = (WithReturns(old), WithReturns(replacement));
        }
        var at = text.IndexOf(old, StringComparison.Ordinal);
        if (at < 0) throw new Refused($"{name} does not hold old_text: it must be copied exactly, with every blank and line break");
        var times = Count(text, old);
        if (times > 1) throw new Refused(string.Create(CultureInfo.InvariantCulture, $"{name} holds old_text {times} times: give more of what stands around it, so that it is found once"));
        var changed = encoding.GetBytes(string.Concat(text.AsSpan(0, at), replacement, text.AsSpan(at + old.Length)));
        Put(folder, place, [.. bytes.AsSpan(0, kind.Preamble), .. changed]);
        return new ToolOutcome(true, string.Create(CultureInfo.InvariantCulture, $"Changed {name}, from line {text.AsSpan(0, at).Count('\n') + 1} on"));
    }

    static string WithReturns(string text) => text.Replace("\r\n", "\n", StringComparison.Ordinal).Replace("\n", "\r\n", StringComparison.Ordinal);

    /// <summary>Also those that overlap.</summary>
    static int Count(string text, string part)
    {
        var times = 0;
        for (var at = 0; (at = text.IndexOf(part, at, StringComparison.Ordinal)) >= 0; at++) times++;
        return times;
    }

    static void Put(WorkspaceFolder folder, WritePlace place, byte[] bytes)
    {
        try
        {
            using var parent = folder.OpenFolder(place);
            var target = Path.Combine(parent.Path, place.Name);
            // Beside what is not to be written, another file would be put in its place without asking.
            if (place.Exists) new FileStream(target, FileMode.Open, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0).Dispose();
            var beside = Path.Combine(parent.Path, Beside(place.Name));
            try
            {
                using (var file = new FileStream(beside, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0))
                {
                    if (place.Exists && !OperatingSystem.IsWindows()) File.SetUnixFileMode(file.SafeFileHandle, File.GetUnixFileMode(target));
                    file.Write(bytes);
                    file.Flush(flushToDisk: true);
                }
                File.Move(beside, target, overwrite: true);
            }
            catch
            {
                File.Delete(beside);
                throw;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // .NET's own words name the path by which we came.
            throw new Refused($"{folder.NameOf(place.Path)} cannot be written: {(e is UnauthorizedAccessException ? "permission denied" : e.Message)}");
        }
    }

    static string Beside(string name)
    {
        var beside = $".{name}.{RandomId.New(bytes: 4)}";
        return Encoding.UTF8.GetByteCount(beside) <= LongestName ? beside : $".{RandomId.New()}";
    }
}
