using System.Text.Json;
using System.Text.Json.Serialization;

namespace Stigmer.Agents.Llm;

/// <summary>The body of POST /v1/responses. Stateless: the transcript is ours.</summary>
sealed record ResponsesRequest
{
    public required string Model { get; init; }

    /// <summary>The system prompt.</summary>
    public string? Instructions { get; init; }

    /// <summary>Items of <see cref="ResponsesItem"/>, or as they came.</summary>
    public required IReadOnlyList<JsonElement> Input { get; init; }

    public IReadOnlyList<ResponsesTool>? Tools { get; init; }

    public bool? ParallelToolCalls { get; init; }

    /// <summary>The most that the answer may have, reasoning included, in tokens.</summary>
    public required int MaxOutputTokens { get; init; }

    public double? Temperature { get; init; }

    public bool Stream { get; init; } = true;

    public bool Store { get; init; }

    /// <summary>Reasoning comes encrypted, to be sent again: only a model that reasons takes it.</summary>
    public IReadOnlyList<string>? Include { get; init; }
}

/// <summary>An item that we write: a message, a call of the model, or its result.</summary>
sealed record ResponsesItem(string Type)
{
    public string? Role { get; init; }

    public IReadOnlyList<ResponsesText>? Content { get; init; }

    public string? CallId { get; init; }

    public string? Name { get; init; }

    /// <summary>A string that holds JSON.</summary>
    public string? Arguments { get; init; }

    public string? Output { get; init; }
}

/// <summary>A part of a message: input_text of the person, output_text of the model.</summary>
sealed record ResponsesText(string Type, string Text);

/// <summary>A tool that is offered; flat, not nested as in Chat Completions.</summary>
sealed record ResponsesTool(string Name, string Description, JsonElement Parameters)
{
    public string Type { get; init; } = "function";

    public bool Strict { get; init; }
}

/// <summary>The data of an event, of whatever type.</summary>
sealed record ResponsesEvent
{
    public string? Type { get; init; }

    /// <summary>A string in the deltas that we read.</summary>
    public JsonElement? Delta { get; init; }

    /// <summary>Of response.output_item.done: whole.</summary>
    public JsonElement? Item { get; init; }

    /// <summary>Of the events that begin and close.</summary>
    public ResponsesBody? Response { get; init; }
}

/// <summary>The response as a whole.</summary>
sealed record ResponsesBody
{
    public IReadOnlyList<JsonElement>? Output { get; init; }

    public ResponsesUsage? Usage { get; init; }

    public ResponsesIncomplete? IncompleteDetails { get; init; }

    public JsonElement? Error { get; init; }
}

/// <summary>max_output_tokens or content_filter.</summary>
sealed record ResponsesIncomplete(string? Reason);

/// <summary>Tokens.</summary>
sealed record ResponsesUsage(long? InputTokens, long? OutputTokens);

/// <summary>JSON of the Responses API.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ResponsesRequest))]
[JsonSerializable(typeof(ResponsesItem))]
[JsonSerializable(typeof(ResponsesEvent))]
[JsonSerializable(typeof(List<JsonElement>))]
sealed partial class ResponsesJson : JsonSerializerContext;
