using System.Text.Json;
using System.Text.Json.Serialization;

namespace Stigmer.Agents.Llm;

/// <summary>The body of POST /v1/messages.</summary>
sealed record AnthropicRequest
{
    public required string Model { get; init; }

    /// <summary>The most that the answer may have, thinking included, in tokens. Required.</summary>
    public required int MaxTokens { get; init; }

    public string? System { get; init; }

    public required IReadOnlyList<AnthropicMessage> Messages { get; init; }

    public IReadOnlyList<AnthropicTool>? Tools { get; init; }

    /// <summary>Only where the person set one and the model takes it: newer models answer 400 to its mere presence.</summary>
    public double? Temperature { get; init; }

    public bool Stream { get; init; } = true;
}

/// <summary>A message: blocks of <see cref="AnthropicBlock"/>, or as they came.</summary>
sealed record AnthropicMessage(string Role, List<JsonElement> Content);

/// <summary>A block that we write.</summary>
sealed record AnthropicBlock(string Type)
{
    public string? Text { get; init; }

    /// <summary>Of a tool_use.</summary>
    public string? Id { get; init; }

    /// <summary>Of a tool_use.</summary>
    public string? Name { get; init; }

    /// <summary>Of a tool_use: an object.</summary>
    public JsonElement? Input { get; init; }

    /// <summary>Of a tool_result.</summary>
    public string? ToolUseId { get; init; }

    /// <summary>Of a tool_result.</summary>
    public string? Content { get; init; }

    /// <summary>Of a tool_result.</summary>
    public bool? IsError { get; init; }
}

/// <summary>A tool that is offered.</summary>
sealed record AnthropicTool(string Name, string Description, JsonElement InputSchema);

/// <summary>The data of an event, of whatever type.</summary>
sealed record AnthropicEvent
{
    public string? Type { get; init; }

    /// <summary>Of content_block_*: which block.</summary>
    public int? Index { get; init; }

    /// <summary>Of message_start.</summary>
    public AnthropicStart? Message { get; init; }

    /// <summary>Of content_block_start.</summary>
    public JsonElement? ContentBlock { get; init; }

    /// <summary>Of content_block_delta and message_delta.</summary>
    public AnthropicDelta? Delta { get; init; }

    /// <summary>Of message_delta: cumulative.</summary>
    public AnthropicUsage? Usage { get; init; }

    public JsonElement? Error { get; init; }
}

/// <summary>What message_start tells.</summary>
sealed record AnthropicStart(AnthropicUsage? Usage);

/// <summary>A piece of a block, or of the message's end.</summary>
sealed record AnthropicDelta
{
    public string? Type { get; init; }

    public string? Text { get; init; }

    public string? PartialJson { get; init; }

    public string? Thinking { get; init; }

    public string? Signature { get; init; }

    public string? StopReason { get; init; }

    /// <summary>With the reason refusal.</summary>
    public JsonElement? StopDetails { get; init; }
}

/// <summary>Tokens. What was read from or written to a cache is not among the input tokens.</summary>
sealed record AnthropicUsage
{
    public long? InputTokens { get; init; }

    public long? CacheCreationInputTokens { get; init; }

    public long? CacheReadInputTokens { get; init; }

    public long? OutputTokens { get; init; }
}

/// <summary>JSON of Anthropic's API.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(AnthropicRequest))]
[JsonSerializable(typeof(AnthropicBlock))]
[JsonSerializable(typeof(AnthropicEvent))]
sealed partial class AnthropicJson : JsonSerializerContext;
