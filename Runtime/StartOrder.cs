using System.Text.Json;
using System.Text.Json.Serialization;
using Stigmer.Config;

namespace Stigmer.Runtime;

/// <summary>
/// Everything that a stack is started with: resolved by the command, which knows the user's environment and may ask, and
/// handed to the daemon over its standard input, so that no secret stands on a command line or on disk.
/// </summary>
sealed record StartOrder
{
    /// <summary>The configuration in force.</summary>
    public required Settings Settings { get; init; }

    /// <summary>The keys of the providers, as far as they are known.</summary>
    public required LlmKeys Keys { get; init; }

    /// <summary>How long to wait for readiness, in milliseconds; downloads do not count.</summary>
    public required long TimeoutMs { get; init; }

    /// <summary>When it was given; null: the system does not tell.</summary>
    public CommandOrder? Begun { get; init; }

    /// <summary>The version of the executable that gave the order.</summary>
    public string Version { get; init; } = Build.Version;

    /// <summary>As one line.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, StartOrderJson.Default.StartOrder);

    /// <summary>Reads what <see cref="ToJson"/> wrote; null for anything else.</summary>
    public static StartOrder? FromJson(string? json)
    {
        try
        {
            return json is null ? null : JsonSerializer.Deserialize(json, StartOrderJson.Default.StartOrder);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}

/// <summary>A secret in an order, which goes through a pipe from the command to the daemon and nowhere else.</summary>
sealed class SecretJson : JsonConverter<Secret>
{
    public override Secret? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.GetString() is { } value ? new Secret(value) : null;

    public override void Write(Utf8JsonWriter writer, Secret value, JsonSerializerOptions options) => writer.WriteStringValue(value.Reveal());
}

[JsonSourceGenerationOptions(IgnoreReadOnlyProperties = true, Converters = [typeof(SecretJson)])]
[JsonSerializable(typeof(StartOrder))]
sealed partial class StartOrderJson : JsonSerializerContext;
