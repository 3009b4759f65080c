using System.Text.Json;
using System.Text.Json.Serialization;

namespace Stigmer.Standins;

/// <summary>What the stand-in for Ollama has and says. Answers are looked through in order; the first that fits a request is given.</summary>
sealed record OllamaScript
{
    public IReadOnlyList<OllamaModel> Models { get; init; } = [new()];

    public IReadOnlyList<OllamaAnswer> Answers { get; init; } = [];

    /// <summary>What can be pulled; null: whatever is asked for.</summary>
    public IReadOnlyList<string>? Library { get; init; }

    /// <summary>How many pulls break in the middle of a layer; the next one goes on there.</summary>
    public int PullBreaks { get; init; }

    public static OllamaScript Parse(string json) => JsonSerializer.Deserialize(json, OllamaScriptJson.Default.OllamaScript)!;

    public string ToJson() => JsonSerializer.Serialize(this, OllamaScriptJson.Default.OllamaScript);
}

/// <summary>A model that was pulled.</summary>
sealed record OllamaModel
{
    public string Name { get; init; } = "qwen2.5-coder:7b";

    /// <summary>The trained window, in tokens.</summary>
    public int Context { get; init; } = 32768;

    /// <summary>Without tools, a request with tools is refused.</summary>
    public IReadOnlyList<string> Capabilities { get; init; } = ["completion", "tools"];
}

/// <summary>An answer, and to what.</summary>
sealed record OllamaAnswer
{
    /// <summary>The last message of the user holds this; null: whatever it is.</summary>
    public string? To { get; init; }

    /// <summary>How many answers of the model stand after the last message of the user, and one more; 0: any.</summary>
    public int Step { get; init; }

    /// <summary>How often it is given; 0: without end.</summary>
    public int Times { get; init; }

    public string Text { get; init; } = "";

    public string? Thinking { get; init; }

    public IReadOnlyList<OllamaToolCall> Calls { get; init; } = [];

    /// <summary>bare, fence or tag: calls are written into the text, as qwen2.5-coder does; null: tool_calls.</summary>
    public string? CallsAs { get; init; }

    /// <summary>Waits for POST /control/release/NAME: before the headers, or after the text where <see cref="HoldAfterText"/>.</summary>
    public string? Hold { get; init; }

    public bool HoldAfterText { get; init; }

    /// <summary>So long it thinks before it answers, in milliseconds.</summary>
    public int DelayMs { get; init; }

    /// <summary>A status other than 200, with <see cref="Error"/> in the body.</summary>
    public int Status { get; init; } = 200;

    /// <summary>With status 200: a line of the stream, after the text.</summary>
    public string? Error { get; init; }

    /// <summary>Seconds, as the header says.</summary>
    public int? RetryAfter { get; init; }

    /// <summary>The connection breaks after the text.</summary>
    public bool Break { get; init; }

    /// <summary>The stream ends after the text, without its last line.</summary>
    public bool WithoutDone { get; init; }

    public string DoneReason { get; init; } = "stop";
}

/// <summary>A call that the model asks for.</summary>
sealed record OllamaToolCall(string Name, JsonElement Arguments)
{
    public static OllamaToolCall Of(string name, string arguments = "{}") => new(name, JsonElement.Parse(arguments));
}

/// <summary>One line of the journal: a request, or how the answer to it ended.</summary>
/// <param name="N">The request's number, from 1.</param>
/// <param name="Path">Null on the line of the end.</param>
/// <param name="Step">See <see cref="OllamaAnswer.Step"/>.</param>
/// <param name="Prompt">The last message of the user.</param>
/// <param name="Body">The whole request.</param>
/// <param name="Ended">answered, refused, broken or aborted (the client went away).</param>
sealed record OllamaJournalLine(int N, string? Path, int Step, string? Prompt, JsonElement? Body, string? Ended);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(OllamaScript))]
[JsonSerializable(typeof(OllamaJournalLine))]
sealed partial class OllamaScriptJson : JsonSerializerContext;
