using System.Globalization;
using System.Text;

namespace Stigmer.Config;

/// <summary>Text as YAML that reads back as that text, whatever is in it.</summary>
static class YamlText
{
    // What YAML 1.1 or 1.2 read as something else than text.
    static readonly HashSet<string> Words = new(StringComparer.OrdinalIgnoreCase) { "true", "false", "yes", "no", "on", "off", "y", "n", "null", "~", "nan" };

    /// <summary>On one line: as it is where that is safe, else in double quotes.</summary>
    public static string Scalar(string text) => IsPlain(text) ? text : Quoted(text);

    /// <summary>As the value of a key: text of several lines as a block where that is safe, each line after <paramref name="indent"/>.</summary>
    public static string Value(string text, string indent)
    {
        if (!IsBlock(text)) return Scalar(text);
        var body = text.TrimEnd('\n');
        var breaks = text.Length - body.Length;
        var block = new StringBuilder(breaks switch { 0 => "|-", 1 => "|", _ => "|+" });
        foreach (var line in body.Split('\n')) block.Append('\n').Append(line.Length == 0 ? "" : indent).Append(line);
        // The first of the breaks ends the last line.
        return block.Append('\n', Math.Max(0, breaks - 1)).ToString();
    }

    // Letters first, no sign that begins, ends or separates anything, and nothing that is a number or a word with a meaning.
    static bool IsPlain(string text) =>
        text.Length > 0 && !Words.Contains(text) && (char.IsAsciiLetter(text[0]) || text[0] is '/' or '_' or '.') && text.Trim() == text
        && !text.StartsWith("...", StringComparison.Ordinal) && !(text[0] == '.' && text.Length > 1 && char.IsAsciiDigit(text[1])) && !text.StartsWith(".nan", StringComparison.OrdinalIgnoreCase)
        && !text.StartsWith(".inf", StringComparison.OrdinalIgnoreCase)
        && text.All(symbol => char.IsAsciiLetterOrDigit(symbol) || " /_.-+=@$()<>;~^".Contains(symbol, StringComparison.Ordinal) || (symbol > 0x9f && IsShown(symbol)));

    static bool IsBlock(string text)
    {
        if (!text.Contains('\n', StringComparison.Ordinal) || text.Trim('\n').Length == 0) return false;
        // The first line says how far the block is indented.
        if (text[0] is ' ' or '\n' or '\t') return false;
        foreach (var line in text.Split('\n'))
        {
            if (line.Length > 0 && line.AsSpan().TrimEnd(" \t").Length != line.Length) return false;
        }
        return text.All(symbol => symbol is '\n' or '\t' || (symbol >= ' ' && IsShown(symbol)));
    }

    // Nothing that a terminal would obey, an editor would not show, or YAML would take for the end of a line.
    static bool IsShown(char symbol) => char.GetUnicodeCategory(symbol) is not
        (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator
        or UnicodeCategory.Surrogate or UnicodeCategory.OtherNotAssigned or UnicodeCategory.PrivateUse);

    static string Quoted(string text)
    {
        var quoted = new StringBuilder("\"");
        foreach (var rune in text.EnumerateRunes())
        {
            switch (rune.Value)
            {
                case '"': quoted.Append("\\\""); break;
                case '\\': quoted.Append("\\\\"); break;
                case '\n': quoted.Append("\\n"); break;
                case '\t': quoted.Append("\\t"); break;
                case '\r': quoted.Append("\\r"); break;
                case > 0xffff: quoted.Append(CultureInfo.InvariantCulture, $"\\U{rune.Value:X8}"); break;
                case var value when value >= ' ' && IsShown((char)value): quoted.Append((char)value); break;
                default: quoted.Append(CultureInfo.InvariantCulture, $"\\u{rune.Value:X4}"); break;
            }
        }
        return quoted.Append('"').ToString();
    }
}
