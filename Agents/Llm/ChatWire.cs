using System.Text.Json;
using System.Text.Json.Serialization;

namespace Stigmer.Agents.Llm;

/// <summary>The body of POST /v1/chat/completions. What a server may refuse is null unless it is needed.</summary>
sealed record ChatRequest
{
    public required string Model { get; init; }

    public required IReadOnlyList<ChatWireMessage> Messages { get; init; }

    public IReadOnlyList<OllamaTool>? Tools { get; init; }

    /// <summary>The most that the answer may have, in tokens; in OpenAI's newer models refused in favour of the other one.</summary>
    public int? MaxTokens { get; init; }

    public int? MaxCompletionTokens { get; init; }

    public double? Temperature { get; init; }

    /// <summary><c>none</c> where OpenAI's models take tools only so; else absent.</summary>
    public string? ReasoningEffort { get; init; }

    public bool Stream { get; init; } = true;

    public ChatStreamOptions? StreamOptions { get; init; }
}

/// <summary>Asks for the usage, in a chunk of its own.</summary>
sealed record ChatStreamOptions(bool IncludeUsage);

/// <summary>A message to the server.</summary>
sealed record ChatWireMessage
{
    public string? Role { get; init; }

    public string? Content { get; init; }

    public IReadOnlyList<ChatToolCall>? ToolCalls { get; init; }

    /// <summary>With role tool: the call whose result this is.</summary>
    public string? ToolCallId { get; init; }

    /// <summary>What the model thought, as DeepSeek, vLLM and llama.cpp call it.</summary>
    public string? ReasoningContent { get; init; }

    /// <summary>The same, as OpenRouter and newer vLLM call it.</summary>
    public string? Reasoning { get; init; }
}

/// <summary>A piece of an answer. Servers differ in the types of its members: what is no text is passed over.</summary>
sealed record ChatDelta
{
    public JsonElement? Content { get; init; }

    public IReadOnlyList<ChatToolCall>? ToolCalls { get; init; }

    /// <summary>What the model thinks.</summary>
    public JsonElement? ReasoningContent { get; init; }

    /// <summary>The same.</summary>
    public JsonElement? Reasoning { get; init; }

    /// <summary>In place of content: why the model does not answer.</summary>
    public JsonElement? Refusal { get; init; }
}

/// <summary>A call, or a fragment of one.</summary>
sealed record ChatToolCall
{
    /// <summary>Which call a fragment belongs to; compatible servers may omit it.</summary>
    public int? Index { get; init; }

    public string? Id { get; init; }

    public string? Type { get; init; }

    public ChatFunction? Function { get; init; }
}

/// <summary>The name and the arguments: a string that holds JSON, in fragments; some servers send the object itself.</summary>
sealed record ChatFunction
{
    public string? Name { get; init; }

    public JsonElement? Arguments { get; init; }
}

/// <summary>One event of the stream, or the whole answer of a server that does not stream.</summary>
sealed record ChatChunk
{
    public IReadOnlyList<ChatChoice>? Choices { get; init; }

    public ChatUsage? Usage { get; init; }

    public JsonElement? Error { get; init; }

    /// <summary><c>error</c> in vLLM's own form of one.</summary>
    public string? Object { get; init; }
}

/// <summary>A choice; we ask for one.</summary>
sealed record ChatChoice
{
    public ChatDelta? Delta { get; init; }

    /// <summary>Where the server does not stream.</summary>
    public ChatDelta? Message { get; init; }

    public string? FinishReason { get; init; }
}

/// <summary>Tokens.</summary>
sealed record ChatUsage(long? PromptTokens, long? CompletionTokens);

/// <summary>What the transcript keeps of an answer for the model that gave it.</summary>
sealed record ChatRaw(string? ReasoningContent, string? Reasoning);

/// <summary>JSON of Chat Completions.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    NumberHandling = JsonNumberHandling.AllowReadingFromString)]
[JsonSerializable(typeof(ChatRequest))]
[JsonSerializable(typeof(ChatChunk))]
[JsonSerializable(typeof(ChatRaw))]
[JsonSerializable(typeof(string))]
sealed partial class ChatJson : JsonSerializerContext;
