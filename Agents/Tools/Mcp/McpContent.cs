using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Stigmer.Agents.Tools.Mcp;

/// <summary>The result of a tool of an MCP server, as a text for a model: bounded, and without what is no text.</summary>
static class McpContent
{
    /// <summary>The most that a model is shown, in characters: half of the window that most small models have.</summary>
    public const int MostShown = 64_000;

    /// <summary>Of what is cut the end is often the more telling part.</summary>
    const int Tail = 16_000;

    /// <summary>What came of a call.</summary>
    /// <param name="result">As the protocol has it: content, structuredContent, isError.</param>
    public static ToolOutcome ToOutcome(JsonElement result)
    {
        var parts = Items(result, "content").Select(ToText).ToList();
        // A server that gives both says the same in text; only what stands nowhere else is added.
        if (Member(result, "structuredContent") is { } structured && !Items(result, "content").Any(block => Says(block, structured))) parts.Add(structured.GetRawText());
        var text = string.Join('\n', parts);
        return new ToolOutcome(Member(result, "isError") is not { ValueKind: JsonValueKind.True }, Bounded(text.Length > 0 ? text : "(it answered without any content)"));
    }

    /// <summary>The beginning and the end of a text that is too long, and between them what is missing.</summary>
    public static string Bounded(string text)
    {
        if (text.Length <= MostShown) return text;
        var (head, tail) = (MostShown - Tail, text.Length - Tail);
        if (char.IsHighSurrogate(text[head - 1])) head--;
        if (char.IsLowSurrogate(text[tail])) tail++;
        return string.Create(CultureInfo.InvariantCulture, $"{text.AsSpan(0, head)}\n[… {tail - head} characters in the middle of {text.Length} are not shown …]\n{text.AsSpan(tail)}");
    }

    static string ToText(JsonElement block)
    {
        switch (Text(block, "type"))
        {
            case "text": return Text(block, "text") ?? "";
            case ("image" or "audio") and var kind: return $"[{(kind == "image" ? "an image" : "a sound")}: {Text(block, "mimeType") ?? "of unknown type"}, {Size(Text(block, "data"))}; it cannot be shown]";
            case "resource_link": return $"[a resource: {About(block)}]";
            case "resource" when Member(block, "resource") is { } resource:
                return Text(resource, "text") is { } text ? $"[resource {About(resource)}]\n{text}" : $"[a resource: {About(resource)}, {Size(Text(resource, "blob"))}; it cannot be shown]";
            case var other: return $"[content of the type {other ?? "?"}; it cannot be shown]";
        }
    }

    static string About(JsonElement resource)
    {
        var about = new StringBuilder(Text(resource, "uri") ?? "without an address");
        foreach (var name in (ReadOnlySpan<string>)["name", "title", "description", "mimeType"])
        {
            if (Text(resource, name) is { Length: > 0 } value) about.Append(", ").Append(value);
        }
        return about.ToString();
    }

    /// <summary>The size of what base64 stands for.</summary>
    static string Size(string? base64) => WorkspaceList.Size((base64?.Length ?? 0) / 4L * 3);

    /// <summary>Whether a text says the same: as JSON, or in the place of the one member that many servers wrap their answer in.</summary>
    static bool Says(JsonElement block, JsonElement structured)
    {
        if (Text(block, "type") != "text" || Text(block, "text") is not { } text) return false;
        JsonElement? only = structured.ValueKind == JsonValueKind.Object && structured.GetPropertyCount() == 1 ? structured.EnumerateObject().First().Value : null;
        if (only is { ValueKind: JsonValueKind.String } alone && alone.GetString()!.AsSpan().Trim().SequenceEqual(text.AsSpan().Trim())) return true;
        try
        {
            var said = JsonElement.Parse(text);
            return JsonElement.DeepEquals(said, structured) || (only is { } wrapped && JsonElement.DeepEquals(said, wrapped));
        }
        catch (JsonException)
        {
            return false;
        }
    }

    static string? Text(JsonElement element, string name) => Member(element, name) is { ValueKind: JsonValueKind.String } value ? value.GetString() : null;

    static JsonElement? Member(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    static IEnumerable<JsonElement> Items(JsonElement element, string name) => Member(element, name) is { ValueKind: JsonValueKind.Array } list ? list.EnumerateArray() : [];
}
