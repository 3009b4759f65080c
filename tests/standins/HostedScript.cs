using System.Text.Json;
using System.Text.Json.Serialization;

namespace Stigmer.Standins;

/// <summary>What a stand-in for Anthropic or OpenAI has and says. Answers are looked through in order; the first that fits a request is given.</summary>
sealed record HostedScript
{
    /// <summary>The key that is let in; null: none is asked for.</summary>
    public string? Key { get; init; }

    public IReadOnlyList<HostedModel> Models { get; init; } = [];

    public IReadOnlyList<HostedAnswer> Answers { get; init; } = [];

    public static HostedScript Parse(string json) => JsonSerializer.Deserialize(json, HostedScriptJson.Default.HostedScript)!;

    public string ToJson() => JsonSerializer.Serialize(this, HostedScriptJson.Default.HostedScript);
}

/// <summary>A model that is served.</summary>
/// <param name="Context">The window, in tokens of four characters.</param>
/// <param name="Temperature">Takes one.</param>
/// <param name="Tools">Takes them.</param>
sealed record HostedModel(string Name, int Context = 1_000_000, bool Temperature = false, bool Tools = true);

/// <summary>An answer, and to what.</summary>
sealed record HostedAnswer
{
    /// <summary>The last message of the user holds this; null: whatever it is.</summary>
    public string? To { get; init; }

    /// <summary>How many answers of the model stand after the last message of the user, and one more; 0: any.</summary>
    public int Step { get; init; }

    /// <summary>How often it is given; 0: without end.</summary>
    public int Times { get; init; }

    /// <summary>A thinking block with its signature, or a reasoning item with its encrypted content, before the text.</summary>
    public string? Thinking { get; init; }

    public string Text { get; init; } = "";

    public IReadOnlyList<OllamaToolCall> Calls { get; init; } = [];

    /// <summary>The last call ends in the middle of its arguments.</summary>
    public bool CutsCall { get; init; }

    /// <summary>Waits for POST /control/release/NAME after the text.</summary>
    public string? Hold { get; init; }

    /// <summary>A status other than 200, with <see cref="Error"/> in the body.</summary>
    public int Status { get; init; } = 200;

    /// <summary>The message of an error; with status 200 it is an event of the stream, after the text.</summary>
    public string? Error { get; init; }

    /// <summary>The error's type, or its code.</summary>
    public string? ErrorType { get; init; }

    /// <summary>As the header says it: seconds or a date.</summary>
    public string? RetryAfter { get; init; }

    /// <summary>In place of the API's own error: a page of a proxy.</summary>
    public string? Html { get; init; }

    /// <summary>The connection breaks after the text.</summary>
    public bool Break { get; init; }

    /// <summary>The stream ends after the text, without its closing event.</summary>
    public bool WithoutEnd { get; init; }

    /// <summary>After the text comes an event whose data is torn.</summary>
    public bool Malformed { get; init; }

    /// <summary>Why the answer ended, in the words of the protocol; null: what fits.</summary>
    public string? Stop { get; init; }
}

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(HostedScript))]
sealed partial class HostedScriptJson : JsonSerializerContext;
