namespace Stigmer.Config;

/// <summary>One thing to say about a file that a person wrote.</summary>
/// <param name="IsError">Nothing starts with it; else a person should know it.</param>
/// <param name="File">The file's path.</param>
/// <param name="At">Where in the file; null: the file as a whole.</param>
/// <param name="Message">What is wrong, and what is allowed.</param>
sealed record Diagnostic(bool IsError, string File, Place? At, string Message)
{
    /// <summary><c>FILE:LINE:COLUMN: message</c>, which editors and terminals make a link of.</summary>
    public override string ToString() => At is { } at ? $"{File}:{at}: {Message}" : $"{File}: {Message}";
}

/// <summary>A value that config.yaml sets.</summary>
/// <param name="Text">Without quotes and the white space around it.</param>
/// <param name="At">Where the value stands.</param>
/// <param name="Source">What it takes of the text, quotes included.</param>
sealed record FileValue(string Text, Place At, Span Source);

/// <summary>
/// config.yaml, read and checked key by key. What keys say together is the cascade's business. A key without a value counts
/// as absent.
/// </summary>
/// <param name="Path">The file's path, whether or not it is there.</param>
/// <param name="Values">What is set, by the dotted path of its key; only what is allowed.</param>
/// <param name="Diagnostics">Errors and warnings in the order of the text.</param>
sealed record ConfigFile(string Path, IReadOnlyDictionary<string, FileValue> Values, IReadOnlyList<Diagnostic> Diagnostics)
{
    /// <summary>The file that is not there.</summary>
    public static ConfigFile Absent(string path) => new(path, new Dictionary<string, FileValue>(), []);

    /// <summary>Reads a file; absent, it sets nothing. One that is there and cannot be read is an error among the diagnostics.</summary>
    public static ConfigFile Read(string path)
    {
        var (text, problem) = SourceText.Read(path, "configuration");
        if (problem is not null) return Unreadable(path, problem);
        return text is null ? Absent(path) : Parse(text, path);
    }

    /// <summary>Reads a file's text.</summary>
    public static ConfigFile Parse(string text, string path)
    {
        var check = new Check(path);
        if (Yaml.Parse(text, check.Refuse) is { } root) check.Section("", root);
        return new ConfigFile(path, check.Values, [.. check.Diagnostics.OrderBy(diagnostic => (diagnostic.At?.Line, diagnostic.At?.Column))]);
    }

    static ConfigFile Unreadable(string path, string why) => Absent(path) with { Diagnostics = [new Diagnostic(true, path, null, why)] };

    sealed class Check(string file)
    {
        public readonly Dictionary<string, FileValue> Values = [];

        public readonly List<Diagnostic> Diagnostics = [];

        public void Refuse(Place at, string message) => Diagnostics.Add(new Diagnostic(true, file, at, message));

        /// <param name="path">The section's dotted path; empty for the whole document.</param>
        public void Section(string path, YamlNode node)
        {
            if (node is YamlScalar { IsNull: true }) return;
            if (node is not YamlMapping mapping)
            {
                var what = path.Length == 0 ? "the document" : Schema.Short(path);
                Refuse(node.At, $"{what} must be a mapping with the keys {string.Join(", ", Schema.Children(path))}");
                return;
            }
            foreach (var entry in mapping.Entries)
            {
                var child = path.Length == 0 ? entry.Key.Text : $"{path}.{entry.Key.Text}";
                if (Schema.Find(child) is { } key) Value(key, entry.Value);
                else if (Schema.IsSection(child)) Section(child, entry.Value);
                else Diagnostics.Add(new Diagnostic(false, file, entry.Key.At, Schema.Unknown(path, entry.Key.Text)));
            }
        }

        void Value(SchemaKey key, YamlNode node)
        {
            var name = Schema.Short(key.Path);
            if (node is YamlScalar { IsNull: true }) return;
            if (node is not YamlScalar scalar)
            {
                Refuse(node.At, $"{name} is a {(node is YamlList ? "list" : "mapping")}: it must be {key.Kind.Allowed}");
                return;
            }
            var text = scalar.Text.Trim();
            if (text.Length == 0) Refuse(node.At, $"{name} is empty: it must be {key.Kind.Allowed}");
            else if (scalar.Quoted && key.Kind.Shape != Shape.Text)
            {
                Refuse(node.At, $"{name} is text, being in quotes: it must be {key.Kind.Allowed}");
            }
            else if (!scalar.Quoted && key.Kind.Shape == Shape.Text && ValueKind.TrySwitch(text, out _))
            {
                Refuse(node.At, $"{name} is true or false: it must be {key.Kind.Allowed} (in quotes if that is its name)");
            }
            else if (key.Kind.Problem(text) is { } problem) Refuse(node.At, $"{name} {problem}");
            else Values.Add(key.Path, new FileValue(text, node.At, scalar.Source));
        }
    }
}
