using SharpYaml;
using SharpYaml.Events;

namespace Stigmer.Config;

/// <summary>A place in a text as editors count it: from 1.</summary>
readonly record struct Place(int Line, int Column)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Line}:{Column}";
}

/// <summary>A piece of a text, in characters from its beginning: what a change replaces.</summary>
readonly record struct Span(int Start, int End);

/// <summary>A node of a YAML document.</summary>
/// <param name="At">Where it begins.</param>
/// <param name="Source">What it takes of the text.</param>
abstract record YamlNode(Place At, Span Source);

/// <summary>A scalar. Quoted, it is text whatever it looks like.</summary>
sealed record YamlScalar(string Text, bool Quoted, Place At, Span Source) : YamlNode(At, Source)
{
    /// <summary>No value: nothing, ~ or null.</summary>
    public bool IsNull => !Quoted && Text is "" or "~" or "null" or "Null" or "NULL";
}

/// <summary>A mapping, in the order of the text; no key stands twice.</summary>
sealed record YamlMapping(IReadOnlyList<YamlEntry> Entries, Place At, Span Source) : YamlNode(At, Source);

/// <summary>A list.</summary>
sealed record YamlList(IReadOnlyList<YamlNode> Items, Place At, Span Source) : YamlNode(At, Source);

/// <summary>One line of a mapping.</summary>
sealed record YamlEntry(YamlScalar Key, YamlNode Value);

/// <summary>
/// YAML as far as a person writes it by hand: one document of mappings, lists and scalars. What makes a text mean something
/// else than it seems to (aliases, tags, a key that stands twice, a second document) is refused with its place. This file
/// alone knows the YAML library.
/// </summary>
static class Yaml
{
    /// <summary>Reads a document.</summary>
    /// <param name="text">The file's text.</param>
    /// <param name="refuse">Is told what is wrong and where, once for each.</param>
    /// <returns>Null for an empty document, and for one whose syntax is broken.</returns>
    public static YamlNode? Parse(string text, Action<Place, string> refuse)
    {
        // A byte order mark would become part of the first key.
        var skipped = text.StartsWith('\uFEFF') ? 1 : 0;
        try
        {
            return new Reader(text[skipped..], skipped, refuse).Document();
        }
        catch (YamlException e)
        {
            var (place, problem) = Explain(text, e);
            refuse(place, problem);
            return null;
        }
    }

    static (Place At, string Problem) Explain(string text, YamlException e)
    {
        var lines = text.Split('\n');
        for (var line = 0; line < lines.Length && line <= e.End.Line; line++)
        {
            var indentation = lines[line].AsSpan(0, lines[line].Length - lines[line].AsSpan().TrimStart(" \t").Length);
            var tab = indentation.IndexOf('\t');
            if (tab >= 0 && line >= e.Start.Line && lines[line].AsSpan().Trim().Length > 0)
            {
                return (new Place(line + 1, tab + 1), "a tab indents this line: YAML allows spaces only");
            }
        }
        // The library puts its own count of lines before its sentence.
        var message = e.Message[(e.Message.LastIndexOf("): ", StringComparison.Ordinal) is var end and >= 0 ? end + 3 : 0)..].TrimEnd('.');
        var problem = message switch
        {
            _ when message.StartsWith("Mapping values are not allowed", StringComparison.Ordinal) =>
                "a key cannot stand here: it is indented more than its neighbours, "
                + "or a \": \" is missing on the line above, or a value with \": \" in it lacks quotes",
            _ when message.Contains("cannot start any token", StringComparison.Ordinal) =>
                "a value cannot begin with this character: put it in quotes",
            _ => $"this is not YAML: {char.ToLowerInvariant(message[0])}{message[1..]}",
        };
        return (At(e.Start), problem);
    }

    static Place At(Mark mark) => new(mark.Line + 1, mark.Column + 1);

    sealed class Reader(string text, int skipped, Action<Place, string> refuse)
    {
        // The parser bounds the depth of nesting, and with it the recursion here.
        readonly IParser parser = Parser.CreateParser(new StringReader(text));

        public YamlNode? Document()
        {
            YamlNode? root = null;
            var documents = 0;
            while (parser.MoveNext())
            {
                if (parser.Current is not DocumentStart start) continue;
                if (++documents == 2) refuse(At(start.Start), "a second document begins here: there must be one");
                parser.MoveNext();
                var node = Node();
                if (documents == 1) root = node;
            }
            return root is YamlScalar { IsNull: true } ? null : root;
        }

        YamlNode Node()
        {
            var at = parser.Current!;
            if (at is NodeEvent { Tag: { Length: > 0 } tag })
            {
                refuse(At(at.Start), $"the tag {ValueKind.Quote(tag)} is not understood: write the value alone");
            }
            switch (at)
            {
                case Scalar scalar:
                    return new YamlScalar(scalar.Value, scalar.Style != ScalarStyle.Plain, At(at.Start), Source(at.Start, at.End));
                case AnchorAlias alias:
                    refuse(At(at.Start), $"*{alias.Value} is an alias, which is not understood: write the value itself");
                    return new YamlScalar("", false, At(at.Start), Source(at.Start, at.End));
                case SequenceStart:
                    var items = new List<YamlNode>();
                    while (parser.MoveNext() && parser.Current is not SequenceEnd) items.Add(Node());
                    return new YamlList(items, At(at.Start), Source(at.Start, parser.Current!.End));
                default:
                    var entries = Entries();
                    return new YamlMapping(entries, At(at.Start), Source(at.Start, parser.Current!.End));
            }
        }

        List<YamlEntry> Entries()
        {
            var entries = new List<YamlEntry>();
            while (parser.MoveNext() && parser.Current is not MappingEnd)
            {
                var key = Node();
                parser.MoveNext();
                var value = Node();
                if (key is not YamlScalar name) refuse(key.At, "a key must be a single word");
                else if (entries.Find(entry => entry.Key.Text == name.Text) is { } first)
                {
                    refuse(key.At, $"{ValueKind.Quote(name.Text)} stands twice: the first is on line {first.Key.At.Line}");
                }
                else entries.Add(new YamlEntry(name, value));
            }
            return entries;
        }

        Span Source(Mark start, Mark end) => new(start.Index + skipped, end.Index + skipped);
    }
}
