using System.Globalization;

namespace Stigmer.Config;

/// <summary>Reads the nodes of a document that a person wrote and says what is wrong with them, in the words of config.yaml's diagnostics.</summary>
sealed class NodeCheck(string file)
{
    /// <summary>What was said so far.</summary>
    public List<Diagnostic> Diagnostics { get; } = [];

    /// <summary>An error.</summary>
    public void Refuse(Place at, string message) => Diagnostics.Add(new Diagnostic(true, file, at, message));

    /// <summary>A warning.</summary>
    public void Warn(Place at, string message) => Diagnostics.Add(new Diagnostic(false, file, at, message));

    /// <summary>The values of a mapping's known keys that have one. Others are warned of, with the nearest that is known.</summary>
    /// <param name="name">What the mapping is called; empty: the whole document.</param>
    /// <param name="known">Those that end with ? are taken without being named to anybody.</param>
    public Dictionary<string, YamlNode> Keys(YamlNode node, string name, params string[] known)
    {
        var found = new Dictionary<string, YamlNode>(StringComparer.Ordinal);
        var named = known.Where(key => !key.EndsWith('?')).ToArray();
        if (node is YamlScalar { IsNull: true } && name.Length > 0) return found;
        if (node is not YamlMapping mapping)
        {
            Refuse(node.At, $"{(name.Length == 0 ? "the document" : name)} must be a mapping with the keys {string.Join(", ", named)}");
            return found;
        }
        foreach (var entry in mapping.Entries)
        {
            var key = entry.Key.Text;
            if (!known.Contains(key) && !known.Contains(key + "?"))
            {
                var hint = Schema.Nearest(key, named) is { } near ? $"did you mean {near}?" : $"known here are {string.Join(", ", named)}";
                Warn(entry.Key.At, $"{ValueKind.Quote(key)} is not a known key and does nothing: {hint}");
            }
            else if (entry.Value is not YamlScalar { IsNull: true }) found[key] = entry.Value;
        }
        return found;
    }

    /// <summary>The same of a mapping below a key; nothing where the key is absent.</summary>
    public Dictionary<string, YamlNode> Keys(Dictionary<string, YamlNode> keys, string key, params string[] known) =>
        keys.TryGetValue(key, out var node) ? Keys(node, key, known) : [];

    /// <summary>The entries of a mapping whose keys are free.</summary>
    public IReadOnlyList<YamlEntry> Mapping(Dictionary<string, YamlNode> keys, string key, string name, string allowed)
    {
        if (!keys.TryGetValue(key, out var node)) return [];
        if (node is YamlMapping mapping) return mapping.Entries;
        Refuse(node.At, $"{name} must be a mapping: {allowed}");
        return [];
    }

    /// <summary>A value on one line; empty where it is absent or refused.</summary>
    public string Text(Dictionary<string, YamlNode> keys, string key, ValueKind kind, string? name = null) =>
        keys.TryGetValue(key, out var node) ? Scalar(node, kind, name ?? key)?.Trim() ?? "" : "";

    /// <summary>Text of any length.</summary>
    public string Prose(Dictionary<string, YamlNode> keys, string key)
    {
        if (!keys.TryGetValue(key, out var node)) return "";
        if (node is YamlScalar scalar && scalar.Text.Trim().Length > 0) return scalar.Text;
        Refuse(node.At, node is YamlScalar ? $"{key} is empty: it must be text" : $"{key} is a {Kind(node)}: it must be text");
        return "";
    }

    /// <summary>A list of texts, each with its place.</summary>
    public List<(string Text, Place At)> List(Dictionary<string, YamlNode> keys, string key, ValueKind kind, string name, bool mayBeEmpty = false)
    {
        var texts = new List<(string, Place)>();
        if (!keys.TryGetValue(key, out var node)) return texts;
        if (node is not YamlList list)
        {
            Refuse(node.At, $"{name} must be a list: [ a, b ], or a line with - for each");
            return texts;
        }
        foreach (var item in list.Items)
        {
            if (Scalar(item, kind, $"an item of {name}", mayBeEmpty) is { } text) texts.Add((text, item.At));
        }
        return texts;
    }

    /// <summary>A whole number from 1; 0 where it is absent or refused.</summary>
    public long Whole(Dictionary<string, YamlNode> keys, string key, long most, string name)
    {
        if (!keys.TryGetValue(key, out var node)) return 0;
        var allowed = $"a whole number from 1 to {most}";
        if (node is YamlScalar { Quoted: true }) Refuse(node.At, $"{name} is text, being in quotes: it must be {allowed}");
        else if (Scalar(node, new ValueKind(Shape.Whole, allowed, text => Fits(text, most)), name) is { } text) return long.Parse(text.Trim(), CultureInfo.InvariantCulture);
        return 0;
    }

    /// <summary>A length of time above zero; zero where it is absent or refused.</summary>
    public TimeSpan Duration(Dictionary<string, YamlNode> keys, string key, string name)
    {
        var kind = new ValueKind(
            Shape.Text, "a number and ms, s, m, h or d, such as 30m", text => Durations.TryParse(text, out var time) && time >= TimeSpan.FromMilliseconds(1));
        var text = Text(keys, key, kind, name);
        return text.Length > 0 && Durations.TryParse(text, out var value) ? value : TimeSpan.Zero;
    }

    /// <summary>A scalar's text; null where it is refused.</summary>
    public string? Scalar(YamlNode node, ValueKind kind, string name, bool mayBeEmpty = false)
    {
        if (node is not YamlScalar scalar)
        {
            Refuse(node.At, $"{name} is a {Kind(node)}: it must be {kind.Allowed}");
            return null;
        }
        var isEmpty = scalar.IsNull || scalar.Text.Trim().Length == 0;
        if (isEmpty && (!mayBeEmpty || !scalar.Quoted)) Refuse(node.At, $"{name} is empty: it must be {kind.Allowed}{(mayBeEmpty ? " (\"\" for nothing)" : "")}");
        else if (!isEmpty && kind.Problem(mayBeEmpty ? scalar.Text : scalar.Text.Trim()) is { } problem) Refuse(node.At, $"{name} {problem}");
        else return scalar.Text;
        return null;
    }

    static string Kind(YamlNode node) => node is YamlList ? "list" : node is YamlMapping ? "mapping" : "single value";

    static bool Fits(string text, long most) => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value) && value >= 1 && value <= most;
}
