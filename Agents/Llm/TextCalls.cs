using System.Text;
using System.Text.Json;
using Stigmer.Agents.Tools;

namespace Stigmer.Agents.Llm;

/// <summary>
/// Finds tool calls that a model writes as text, as qwen2.5-coder does, whose template has no other way: bare JSON, in tags,
/// in code fences, several of them, at the end of the text or as the whole of it. Text that may still turn out to be such a
/// call is held back, so that no watcher sees it as an answer; whatever turns out to be none is given out as text after all.
/// </summary>
/// <param name="offered">The names that were offered, as on the wire; a call of any other name is text.</param>
sealed class TextCalls(IEnumerable<string> offered)
{
    /// <summary>How much of an object is looked at, in characters, before it is held back to the end without further looks.</summary>
    const int HeadLength = 4096;

    /// <summary>The tags that models put around calls; qwen's own is the first.</summary>
    static readonly string[] Tags = ["tool_call", "tool_calls", "tools", "tool", "function_call", "function_calls", "function"];

    /// <summary>The languages of a code fence in which a call may stand.</summary>
    static readonly string[] Languages = ["", "json", "jsonc", "text", "plaintext", "xml", "tool", "tools", "tool_call", "tool_calls", "function_call"];

    readonly ToolNames names = new(offered);
    readonly StringBuilder pending = new();
    bool held;
    bool midLine;
    bool fenced;

    /// <summary>What came last looks like a call, whether or not it came to its end.</summary>
    public bool IsHeld => held;

    /// <summary>Takes the next piece of text and returns what of all that came can be shown now.</summary>
    public string Push(string text)
    {
        pending.Append(text);
        if (held) return "";
        var all = pending.ToString();
        var start = 0;
        while (start < all.Length && !held)
        {
            if (midLine)
            {
                // Within a line only a fence or a tag can begin a call: a brace is too ordinary there.
                var next = fenced ? all.IndexOf('\n', start) : all.AsSpan(start).IndexOfAny('\n', '`', '<') is >= 0 and var found ? start + found : -1;
                start = next < 0 ? all.Length : next;
                if (next < 0) break;
                if (all[next] == '\n')
                {
                    midLine = false;
                }
                else
                {
                    var within = Judge(all.AsSpan(next));
                    held = within == Verdict.Call;
                    if (within != Verdict.Text) break;
                }
                start++;
                continue;
            }
            var rest = all.AsSpan(start);
            var verdict = fenced ? JudgeInFence(rest) : Judge(rest);
            if (verdict == Verdict.Undecided) break;
            if (verdict == Verdict.Call)
            {
                held = true;
                break;
            }
            // White space was looked through to judge: the line meant is the one after it.
            start += rest.Length - rest.TrimStart().Length;
            if (rest.TrimStart().StartsWith("```"))
            {
                fenced = !fenced;
                start += 3;
            }
            midLine = true;
        }
        pending.Remove(0, start);
        return all[..start];
    }

    /// <summary>
    /// The end of the text: what is still to be shown, and the calls. <paramref name="hasCalls"/>: the provider gave calls of
    /// its own, so that what looks like one in the text is text.
    /// </summary>
    public (string Text, IReadOnlyList<(string Name, string Arguments)> Calls) Finish(bool hasCalls)
    {
        var text = pending.ToString();
        pending.Clear();
        if (hasCalls || fenced || Parse(text) is not { } found) return (text, []);
        return found;
    }

    enum Verdict { Undecided, Text, Call }

    static Verdict JudgeInFence(ReadOnlySpan<char> text)
    {
        text = text.TrimStart();
        return text.Length < 3 && "```".AsSpan().StartsWith(text) ? Verdict.Undecided : Verdict.Text;
    }

    /// <summary>What a text from the beginning of a line on is, as far as it can be told.</summary>
    Verdict Judge(ReadOnlySpan<char> text)
    {
        text = text.TrimStart();
        if (text.IsEmpty) return Verdict.Undecided;
        switch (text[0])
        {
            case '{' or '[':
                return JudgeJson(text);
            case '`':
                if (text.Length < 3) return "```".AsSpan().StartsWith(text) ? Verdict.Undecided : Verdict.Text;
                if (!text.StartsWith("```")) return Verdict.Text;
                var language = Word(text[3..]);
                var body = text[(3 + language.Length)..];
                if (body.IsEmpty) return IsBeginningOfOne(language, Languages) ? Verdict.Undecided : Verdict.Text;
                if (!IsOneOf(language, Languages)) return Verdict.Text;
                body = body.TrimStart();
                if (body.IsEmpty) return Verdict.Undecided;
                return body[0] is '{' or '[' ? JudgeJson(body) : body[0] == '<' ? JudgeTag(body) : Verdict.Text;
            case '<':
                return JudgeTag(text);
            default:
                return Verdict.Text;
        }
    }

    Verdict JudgeTag(ReadOnlySpan<char> text)
    {
        foreach (var tag in Tags)
        {
            var opening = $"<{tag}>";
            if (text.Length < opening.Length && opening.AsSpan().StartsWith(text)) return Verdict.Undecided;
            if (!text.StartsWith(opening)) continue;
            var body = text[opening.Length..].TrimStart();
            if (body.IsEmpty) return Verdict.Undecided;
            return body[0] switch { '{' or '[' => JudgeJson(body), '<' => JudgeTag(body), _ => Verdict.Text };
        }
        return Verdict.Text;
    }

    /// <summary>Whether JSON that begins here is the call of an offered tool: told by its first members, before the rest has come.</summary>
    Verdict JudgeJson(ReadOnlySpan<char> text)
    {
        if (text.Length > HeadLength) return Verdict.Call;
        var bytes = Encoding.UTF8.GetBytes(text.ToArray());
        var reader = new Utf8JsonReader(bytes, isFinalBlock: false, default);
        try
        {
            while (reader.Read())
            {
                switch (reader.TokenType)
                {
                    case JsonTokenType.StartObject or JsonTokenType.StartArray:
                        continue;
                    case JsonTokenType.PropertyName:
                        break;
                    default:
                        return Verdict.Text;
                }
                switch (reader.GetString())
                {
                    case "name" or "tool" or "function":
                        if (!reader.Read()) return Verdict.Undecided;
                        if (reader.TokenType == JsonTokenType.String) return Offered(reader.GetString()!) is null ? Verdict.Text : Verdict.Call;
                        if (reader.TokenType != JsonTokenType.StartObject) return Verdict.Text;
                        break;
                    case "tool_calls":
                        break;
                    case "arguments" or "parameters" or "id" or "type":
                        if (!reader.TrySkip()) return Verdict.Undecided;
                        break;
                    default:
                        return Verdict.Text;
                }
            }
            return Verdict.Undecided;
        }
        catch (JsonException)
        {
            return Verdict.Text;
        }
    }

    /// <summary>Reads calls and what stands around them; null where anything in the text is neither.</summary>
    (string Text, IReadOnlyList<(string Name, string Arguments)> Calls)? Parse(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        var calls = new List<(string, string)>();
        var tagged = false;
        var at = 0;
        while (true)
        {
            at += Decoration(bytes.AsSpan(at), ref tagged);
            if (at == bytes.Length) return calls.Count > 0 ? ("", calls) : null;
            if (bytes[at] is not ((byte)'{' or (byte)'['))
            {
                // After tags, which nobody writes by accident, a model may go on; after bare JSON it is an answer that quotes one.
                return tagged && calls.Count > 0 ? (Encoding.UTF8.GetString(bytes.AsSpan(at)), calls) : null;
            }
            try
            {
                var reader = new Utf8JsonReader(bytes.AsSpan(at));
                using var value = JsonDocument.ParseValue(ref reader);
                if (!Read(value.RootElement, tagged, calls)) return null;
                at += (int)reader.BytesConsumed;
            }
            catch (JsonException)
            {
                return null;
            }
        }
    }

    /// <summary>The length of what may stand before, between and after calls: white space, commas, fences, tags.</summary>
    static int Decoration(ReadOnlySpan<byte> text, ref bool tagged)
    {
        var at = 0;
        while (at < text.Length)
        {
            if (text[at] is (byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\n' or (byte)',' or (byte)';')
            {
                at++;
            }
            else if (text[at..].StartsWith("```"u8))
            {
                at += 3;
                while (at < text.Length && (char.IsAsciiLetter((char)text[at]) || text[at] == '_')) at++;
            }
            else if (text[at] == '<' && text[at..].IndexOf((byte)'>') is > 0 and var end
                && IsOneOf(Encoding.UTF8.GetString(text.Slice(at + 1, end - 1).TrimStart((byte)'/')), Tags))
            {
                tagged |= text[at + 1] != '/';
                at += end + 1;
            }
            else
            {
                break;
            }
        }
        return at;
    }

    /// <summary>Takes the call, or the calls, that this is; false where it is anything else.</summary>
    bool Read(JsonElement value, bool tagged, List<(string, string)> calls)
    {
        if (value.ValueKind == JsonValueKind.Array) return value.EnumerateArray().All(item => Read(item, tagged, calls));
        if (value.ValueKind != JsonValueKind.Object) return false;
        string? name = null;
        JsonElement? arguments = null;
        var nested = false;
        foreach (var member in value.EnumerateObject())
        {
            switch (member.Name)
            {
                case "tool_calls" or "function" when member.Value.ValueKind is JsonValueKind.Array or JsonValueKind.Object:
                    if (!Read(member.Value, tagged, calls)) return false;
                    nested = true;
                    break;
                case "name" or "tool" or "function" when member.Value.ValueKind == JsonValueKind.String:
                    name = Offered(member.Value.GetString()!);
                    if (name is null) return false;
                    break;
                case "arguments" or "parameters":
                    arguments = member.Value;
                    break;
                case "id" or "type":
                    break;
                default:
                    return false;
            }
        }
        if (nested) return name is null;
        // Without arguments it may be a list of names, which is an answer.
        if (name is null || (arguments is null && !tagged)) return false;
        switch (arguments?.ValueKind)
        {
            case null or JsonValueKind.Null:
                calls.Add((name, "{}"));
                return true;
            case JsonValueKind.Object:
                calls.Add((name, arguments.Value.GetRawText()));
                return true;
            case JsonValueKind.String:
                calls.Add((name, arguments.Value.GetString()!));
                return true;
            default:
                return false;
        }
    }

    /// <summary>The offered name that is meant; null: there is no such tool.</summary>
    string? Offered(string name) => names.IsOffered(names.ToAgent(name)) ? names.ToAgent(name) : null;

    static bool IsOneOf(ReadOnlySpan<char> word, string[] words)
    {
        foreach (var known in words)
        {
            if (word.Equals(known, StringComparison.OrdinalIgnoreCase)) return true;
        }
        return false;
    }

    static bool IsBeginningOfOne(ReadOnlySpan<char> word, string[] words)
    {
        foreach (var known in words)
        {
            if (known.AsSpan().StartsWith(word, StringComparison.OrdinalIgnoreCase)) return true;
        }
        return false;
    }

    static ReadOnlySpan<char> Word(ReadOnlySpan<char> text)
    {
        var length = 0;
        while (length < text.Length && (char.IsAsciiLetter(text[length]) || text[length] == '_')) length++;
        return text[..length];
    }
}
