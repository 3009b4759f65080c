using System.Globalization;
using System.Text.Json;

namespace Stigmer.Agents.Tools;

/// <summary>
/// The arguments of a call. Models are taken as they are: a number or a yes may come as a string, null is absent, what no
/// tool knows is passed over; anything else that is wrong is said to the model.
/// </summary>
sealed class ToolArguments
{
    readonly JsonElement root;

    ToolArguments(JsonElement root) => this.root = root;

    /// <summary>Reads what the model wrote.</summary>
    /// <exception cref="Refused">It is no JSON object.</exception>
    public static ToolArguments Parse(string json)
    {
        try
        {
            var root = JsonElement.Parse(json.Length == 0 ? "{}" : json);
            if (root.ValueKind == JsonValueKind.Object) return new ToolArguments(root);
        }
        catch (JsonException)
        {
            // Said below, with what it was.
        }
        throw new Refused($"The arguments are not a JSON object: {(json.Length <= 200 ? json : json[..200] + "…")}");
    }

    /// <summary>All of them, as they came.</summary>
    public JsonElement Root => root;

    /// <summary>A text; null where it is absent.</summary>
    public string? Text(string name) => Value(name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.String } text => text.GetString(),
        _ => throw new Refused($"{name} must be a text"),
    };

    /// <summary>Yes or no.</summary>
    public bool Flag(string name, bool otherwise) => Value(name) switch
    {
        null => otherwise,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        { ValueKind: JsonValueKind.String } text when bool.TryParse(text.GetString(), out var flag) => flag,
        _ => throw new Refused($"{name} must be true or false"),
    };

    /// <summary>A whole number of at least <paramref name="least"/>; null where it is absent.</summary>
    public long? Number(string name, long least)
    {
        if (Value(name) is not { } value) return null;
        var number = value.ValueKind switch
        {
            JsonValueKind.Number when value.TryGetInt64(out var whole) => whole,
            JsonValueKind.Number when value.TryGetDouble(out var real) && real == Math.Floor(real) && Math.Abs(real) < 1e15 => (long)real,
            JsonValueKind.String when long.TryParse(value.GetString(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole) => whole,
            _ => throw new Refused($"{name} must be a whole number"),
        };
        return number >= least ? number : throw new Refused($"{name} must be {least.ToString(CultureInfo.InvariantCulture)} or more");
    }

    JsonElement? Value(string name) =>
        root.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
}
