using System.Text.Json;
using System.Text.Json.Serialization;

namespace Stigmer.Agents.Llm;

/// <summary>The body of POST /api/chat.</summary>
sealed record OllamaRequest
{
    public required string Model { get; init; }

    public required IReadOnlyList<OllamaMessage> Messages { get; init; }

    public IReadOnlyList<OllamaTool>? Tools { get; init; }

    public bool Stream { get; init; } = true;

    /// <summary>Off: a prompt longer than the window is an error (400), not silently cut to about half of it.</summary>
    public bool Truncate { get; init; }

    /// <summary>Off: an answer that reaches the end of the window ends there, instead of going on without its beginning.</summary>
    public bool Shift { get; init; }

    public required OllamaOptions Options { get; init; }
}

/// <summary>The options that we send; absent ones are the model's.</summary>
sealed record OllamaOptions
{
    /// <summary>The window, in tokens. Always sent: the server's own default may be 4,096, and a changed one reloads the model.</summary>
    public required int NumCtx { get; init; }

    /// <summary>The most that the answer may have, in tokens.</summary>
    public required int NumPredict { get; init; }

    public double? Temperature { get; init; }
}

/// <summary>A message, to Ollama and from it. Content is always a string.</summary>
sealed record OllamaMessage
{
    public string? Role { get; init; }

    public string? Content { get; init; }

    public string? Thinking { get; init; }

    public IReadOnlyList<OllamaCall>? ToolCalls { get; init; }

    /// <summary>With role tool: whose result this is.</summary>
    public string? ToolName { get; init; }
}

/// <summary>A call; whole, never in fragments.</summary>
sealed record OllamaCall
{
    /// <summary>Newer servers only. Of no fixed type here: only a string is taken.</summary>
    public JsonElement? Id { get; init; }

    public OllamaFunction? Function { get; init; }
}

/// <summary>The name and the arguments of a call: an object, where servers in between do not make it a string.</summary>
sealed record OllamaFunction
{
    public string? Name { get; init; }

    public JsonElement? Arguments { get; init; }
}

/// <summary>A tool that is offered.</summary>
sealed record OllamaTool(string Type, OllamaToolFunction Function);

/// <summary>The tool's declaration.</summary>
sealed record OllamaToolFunction(string Name, string Description, JsonElement Parameters);

/// <summary>One line of the answer.</summary>
sealed record OllamaChunk
{
    public OllamaMessage? Message { get; init; }

    public bool Done { get; init; }

    /// <summary>stop (also after calls), length (num_predict or the end of the window), load.</summary>
    public string? DoneReason { get; init; }

    /// <summary>Tokens of the prompt; may be absent.</summary>
    public long? PromptEvalCount { get; init; }

    /// <summary>Tokens of the answer; may be absent.</summary>
    public long? EvalCount { get; init; }

    /// <summary>On any line, under a status of 200 too: a text, on some servers an object.</summary>
    public JsonElement? Error { get; init; }
}

/// <summary>The body of POST /api/show.</summary>
sealed record OllamaShowRequest(string Model);

/// <summary>The part of a model's description that we read.</summary>
sealed record OllamaShow
{
    /// <summary>Holds the trained window as ARCHITECTURE.context_length.</summary>
    public Dictionary<string, JsonElement>? ModelInfo { get; init; }

    /// <summary>completion, tools, thinking…; old servers do not tell.</summary>
    public IReadOnlyList<string>? Capabilities { get; init; }
}

/// <summary>One line of the answer to POST /api/pull.</summary>
sealed record OllamaPullLine
{
    public string? Status { get; init; }

    /// <summary>The layer that this is about.</summary>
    public string? Digest { get; init; }

    /// <summary>Its bytes.</summary>
    public long? Total { get; init; }

    /// <summary>Those that are here.</summary>
    public long? Completed { get; init; }

    public JsonElement? Error { get; init; }
}

/// <summary>The answer of GET /api/tags.</summary>
sealed record OllamaTags
{
    public IReadOnlyList<OllamaTag>? Models { get; init; }
}

/// <summary>A model that was pulled.</summary>
sealed record OllamaTag
{
    public string? Name { get; init; }

    public string? Model { get; init; }

    /// <summary>On disk, in bytes.</summary>
    public long? Size { get; init; }
}

/// <summary>JSON of Ollama's API.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    NumberHandling = JsonNumberHandling.AllowReadingFromString)]
[JsonSerializable(typeof(OllamaRequest))]
[JsonSerializable(typeof(OllamaChunk))]
[JsonSerializable(typeof(OllamaShowRequest))]
[JsonSerializable(typeof(OllamaShow))]
[JsonSerializable(typeof(OllamaTags))]
[JsonSerializable(typeof(OllamaPullLine))]
sealed partial class OllamaJson : JsonSerializerContext;
