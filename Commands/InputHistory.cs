using System.Text;
using Stigmer.Config;

namespace Stigmer.Commands;

/// <summary>
/// What a person said in conversations, the oldest first: in the home's history, a file of this user alone (0600). What begins
/// with a space is not kept.
/// </summary>
sealed class InputHistory
{
    // The file grows up to twice the number of lines that are read, and is cut back then.
    const int MostLines = 1000, MostCharacters = 16 * 1024;

    readonly string file;
    readonly List<string> lines;

    InputHistory(string file, List<string> lines) => (this.file, this.lines) = (file, lines);

    /// <summary>What was said before.</summary>
    public IReadOnlyList<string> Lines => lines;

    /// <summary>Reads it. A file that cannot be read is as good as none.</summary>
    public static InputHistory Read(string file)
    {
        try
        {
            var stored = File.Exists(file) ? File.ReadAllLines(file) : [];
            var kept = stored.TakeLast(MostLines).ToList();
            if (stored.Length > 2 * MostLines) PrivateFile.Replace(file, Encoding.UTF8.GetBytes(string.Concat(kept.Select(line => line + "\n"))), lasting: false);
            return new InputHistory(file, [.. kept.Select(Unescaped)]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new InputHistory(file, []);
        }
    }

    /// <summary>Adds a line, also to the file, where that can be written.</summary>
    public void Add(string line)
    {
        if (line.Length == 0 || line[0] == ' ' || line.Length > MostCharacters || (lines.Count > 0 && lines[^1] == line)) return;
        lines.Add(line);
        try
        {
            StigmerHome.Ensure(Path.GetDirectoryName(file)!);
            // At once and at the end: another conversation may write there as well.
            using var stream = new FileStream(file, PrivateFile.Options(FileMode.Append, FileAccess.Write, FileShare.ReadWrite));
            stream.Write(Encoding.UTF8.GetBytes(Escaped(line) + "\n"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or Failure)
        {
            // The conversation is worth more than its history.
        }
    }

    static string Escaped(string line) => line.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal).Replace("\r", "", StringComparison.Ordinal);

    static string Unescaped(string stored)
    {
        var line = new StringBuilder(stored.Length);
        for (var at = 0; at < stored.Length; at++)
        {
            if (stored[at] == '\\' && at + 1 < stored.Length) line.Append(stored[++at] == 'n' ? '\n' : stored[at]);
            else line.Append(stored[at]);
        }
        return line.ToString();
    }
}
