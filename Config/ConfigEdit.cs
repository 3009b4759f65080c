using System.Text;

namespace Stigmer.Config;

/// <summary>Puts a value into config.yaml and leaves everything else as it is, byte for byte: comments, order, style.</summary>
static class ConfigEdit
{
    /// <summary>The text with the key set. Fails with exit code 2 where the text is no YAML, or has something else in the key's place.</summary>
    /// <param name="path">For what is said.</param>
    /// <param name="key">Which.</param>
    /// <param name="value">What the key's kind allows.</param>
    public static string Set(string text, string path, SchemaKey key, string value)
    {
        var problems = new List<string>();
        var root = Yaml.Parse(text, (at, problem) => problems.Add($"{path}:{at}: {problem}"));
        if (problems.Count > 0) throw new Failure(problems[0], null, "Correct it first", ExitCode.Usage);
        var written = key.Kind.Shape == Shape.Text ? YamlText.Scalar(value) : value;
        var names = key.Path.Split('.');
        var lineBreak = text.Contains("\r\n", StringComparison.Ordinal) ? "\r\n" : "\n";
        if (root is null)
        {
            // Nothing but comments, which stay above.
            var start = text.Length == 0 || text.EndsWith('\n') ? text : text + lineBreak;
            return start + Block(names, 0, written, 0, lineBreak);
        }
        var at = root;
        for (var depth = 0; depth < names.Length; depth++)
        {
            if (at is not YamlMapping mapping) throw Misplaced(path, at, string.Join('.', names.Take(depth)));
            var entry = mapping.Entries.FirstOrDefault(each => each.Key.Text == names[depth]);
            if (entry is null) return Add(text, mapping, names, depth, written, lineBreak);
            if (depth == names.Length - 1) return Replace(text, path, key, entry, written);
            if (entry.Value is YamlScalar { IsNull: true } empty) return Fill(text, mapping, entry, empty, names, depth + 1, written, lineBreak);
            at = entry.Value;
        }
        return text;
    }

    static string Replace(string text, string path, SchemaKey key, YamlEntry entry, string written)
    {
        if (entry.Value is not YamlScalar scalar) throw Misplaced(path, entry.Value, Schema.Short(key.Path));
        var there = text[scalar.Source.Start..scalar.Source.End];
        // No value at all: its place may be anywhere after the colon.
        return there.Trim().Length == 0
            ? text.Insert(Colon(text, entry) + 1, $" {written}")
            : string.Concat(text.AsSpan(0, scalar.Source.Start), written, text.AsSpan(scalar.Source.Start + there.TrimEnd().Length));
    }

    // The key's section is there, with nothing in it but perhaps comments.
    static string Fill(string text, YamlMapping mapping, YamlEntry entry, YamlScalar empty, string[] names, int depth, string written, string lineBreak)
    {
        var colon = Colon(text, entry);
        var said = text[empty.Source.Start..empty.Source.End].Trim();
        if (said.Length > 0) text = text.Remove(empty.Source.Start, empty.Source.End - empty.Source.Start);
        if (IsFlow(text, mapping)) return text.Insert(colon + 1, $" {Flow(names, depth, written)}");
        var line = EndOfLine(text, colon, ref lineBreak, out var before);
        return text.Insert(line, before + Block(names, depth, written, Column(text, entry.Key.Source.Start) + 2, lineBreak));
    }

    static string Add(string text, YamlMapping mapping, string[] names, int depth, string written, string lineBreak)
    {
        if (IsFlow(text, mapping))
        {
            var last = mapping.Entries.Count == 0 ? mapping.Source.Start + 1 : End(mapping.Entries[^1].Value, text, mapping.Entries[^1]);
            return text.Insert(last, $"{(mapping.Entries.Count == 0 ? " " : ", ")}{Flow(names, depth, written, braces: false)}{(mapping.Entries.Count == 0 ? " " : "")}");
        }
        var entry = mapping.Entries[^1];
        var line = EndOfLine(text, End(entry.Value, text, entry), ref lineBreak, out var before);
        return text.Insert(line, before + Block(names, depth, written, Column(text, mapping.Entries[0].Key.Source.Start), lineBreak));
    }

    // Where the last of a node ends; a block's own end lies behind the comments that follow it.
    static int End(YamlNode node, string text, YamlEntry entry) => node switch
    {
        YamlMapping { Entries: [.., var last] } mapping when !IsFlow(text, mapping) => End(last.Value, text, last),
        YamlList { Items: [.., var last] } list when text[list.Source.Start] != '[' => End(last, text, entry),
        YamlScalar { IsNull: true } scalar when text[scalar.Source.Start..scalar.Source.End].Trim().Length == 0 => Colon(text, entry) + 1,
        // The reader's end of these lies before their last sign.
        YamlMapping or YamlList => text.IndexOf(node is YamlMapping ? '}' : ']', node.Source.End) + 1,
        _ => node.Source.Start + text[node.Source.Start..node.Source.End].TrimEnd().Length,
    };

    static int EndOfLine(string text, int from, ref string lineBreak, out string before)
    {
        var end = text.IndexOf('\n', from);
        before = end < 0 ? lineBreak : "";
        return end < 0 ? text.Length : end + 1;
    }

    static int Colon(string text, YamlEntry entry) => text.IndexOf(':', entry.Key.Source.End);

    static bool IsFlow(string text, YamlMapping mapping) => text[mapping.Source.Start] == '{';

    static int Column(string text, int at) => at - (at == 0 ? 0 : text.LastIndexOf('\n', at - 1) + 1) - (text.StartsWith('\uFEFF') && text.IndexOf('\n', StringComparison.Ordinal) is var first && (first < 0 || at < first) ? 1 : 0);

    static string Block(string[] names, int depth, string written, int indent, string lineBreak)
    {
        var lines = new StringBuilder();
        for (; depth < names.Length; depth++, indent += 2)
        {
            lines.Append(' ', indent).Append(names[depth]).Append(depth == names.Length - 1 ? $": {written}" : ":").Append(lineBreak);
        }
        return lines.ToString();
    }

    static string Flow(string[] names, int depth, string written, bool braces = true)
    {
        var inner = $"{names[depth]}: {(depth == names.Length - 1 ? written : Flow(names, depth + 1, written))}";
        return braces ? $"{{ {inner} }}" : inner;
    }

    static Failure Misplaced(string path, YamlNode node, string name) =>
        new($"{path}:{node.At}: {name} is {(node is YamlMapping ? "a mapping" : node is YamlList ? "a list" : "a single value")}, which has no place there", null, "Correct it first", ExitCode.Usage);
}
