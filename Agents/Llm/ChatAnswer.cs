using System.Text;
using System.Text.Json;
using Microsoft.Extensions.AI;

namespace Stigmer.Agents.Llm;

/// <summary>Puts the chunks of a Chat Completions stream together to an answer.</summary>
/// <param name="offered">The tools that were offered: a model on a compatible server may write their calls as text.</param>
sealed class ChatAnswer(IReadOnlyList<AIFunctionDeclaration> offered)
{
    readonly TextCalls? text = offered.Count > 0 ? new TextCalls(offered.Select(tool => tool.Name)) : null;
    readonly List<Call> calls = [];
    readonly StringBuilder reasoningContent = new();
    readonly StringBuilder reasoning = new();

    /// <summary>stop, length, tool_calls, content_filter; null: not told.</summary>
    public string? FinishReason { get; private set; }

    /// <summary>The text is the model's refusal to answer.</summary>
    public bool IsRefusal { get; private set; }

    /// <summary>Tokens read; null: not told.</summary>
    public long? InputTokens { get; private set; }

    /// <summary>Tokens written; null: not told.</summary>
    public long? OutputTokens { get; private set; }

    /// <summary>Takes the next chunk; the text of it that can be shown.</summary>
    public string Add(ChatChunk chunk)
    {
        InputTokens = chunk.Usage?.PromptTokens ?? InputTokens;
        OutputTokens = chunk.Usage?.CompletionTokens ?? OutputTokens;
        // The chunk of the usage has no choice, and some servers send empty ones in between.
        if (chunk.Choices is not [var choice, ..]) return "";
        FinishReason = choice.FinishReason ?? FinishReason;
        if ((choice.Delta ?? choice.Message) is not { } delta) return "";
        reasoningContent.Append(TextOf(delta.ReasoningContent));
        reasoning.Append(TextOf(delta.Reasoning));
        foreach (var fragment in delta.ToolCalls ?? []) Slot(fragment).Add(fragment);
        var said = TextOf(delta.Content);
        if (text is not null && said.Length > 0) said = text.Push(said);
        if (TextOf(delta.Refusal) is not { Length: > 0 } refusal) return said;
        IsRefusal = true;
        return said + refusal;
    }

    /// <summary>The end: what is still to be shown, and the calls.</summary>
    public (string Text, List<FunctionCallContent> Calls) Finish()
    {
        List<FunctionCallContent> found = [.. calls.Where(call => call.Name.Length > 0).Select(call => Conversation.ToCall(call.Id, call.Name, call.Arguments(FinishReason == "length" && call == calls[^1])))];
        if (text?.Finish(found.Count > 0) is not { } rest) return ("", found);
        found.AddRange(rest.Calls.Select(call => Conversation.ToCall("", call.Name, call.Arguments)));
        return (rest.Text, found);
    }

    /// <summary>What the text ended with looks like a call.</summary>
    public bool IsCallAsText => text?.IsHeld == true;

    /// <summary>What the model thought, as JSON text; null: nothing.</summary>
    public string? Raw() => reasoningContent.Length == 0 && reasoning.Length == 0
        ? null
        : JsonSerializer.Serialize(new ChatRaw(Said(reasoningContent), Said(reasoning)), ChatJson.Default.ChatRaw);

    /// <summary>Reads it back; null where it is none of ours.</summary>
    public static ChatRaw? ReadRaw(string raw)
    {
        try
        {
            return JsonSerializer.Deserialize(raw, ChatJson.Default.ChatRaw);
        }
        catch (JsonException)
        {
            // Kept by the client of another wire.
            return null;
        }
    }

    static string TextOf(JsonElement? said) => said switch
    {
        { ValueKind: JsonValueKind.String } text => text.GetString()!,
        // Parts, as some servers write them.
        { ValueKind: JsonValueKind.Array } parts => string.Concat(parts.EnumerateArray().Select(part =>
            part.ValueKind == JsonValueKind.Object && part.TryGetProperty("text", out var text) && text.ValueKind == JsonValueKind.String ? text.GetString() : "")),
        _ => "",
    };

    static string? Said(StringBuilder text) => text.Length > 0 ? text.ToString() : null;

    /// <summary>
    /// The call that a fragment belongs to: by its index; where servers omit it, or give every call the same, a new id begins a
    /// new call.
    /// </summary>
    Call Slot(ChatToolCall fragment)
    {
        var same = fragment.Index is { } index ? calls.FindLast(call => call.Index == index) : calls.LastOrDefault();
        var isNew = fragment.Id is { Length: > 0 } id && same?.Id is { Length: > 0 } known && id != known;
        var isNext = fragment.Index is null && fragment.Id is null or "" && fragment.Function?.Name is { Length: > 0 } && same?.Name.Length > 0;
        if (same is not null && !isNew && !isNext) return same;
        calls.Add(new Call(fragment.Index));
        return calls[^1];
    }

    /// <summary>A call that is being put together.</summary>
    sealed class Call(int? index)
    {
        readonly StringBuilder json = new();

        public int? Index => index;

        public string Id { get; private set; } = "";

        public string Name { get; private set; } = "";

        public void Add(ChatToolCall fragment)
        {
            if (Id.Length == 0) Id = fragment.Id ?? "";
            if (Name.Length == 0) Name = fragment.Function?.Name ?? "";
            switch (fragment.Function?.Arguments)
            {
                case { ValueKind: JsonValueKind.String } part: json.Append(part.GetString()); break;
                case { ValueKind: JsonValueKind.Object } whole: json.Append(whole.GetRawText()); break;
            }
        }

        /// <summary>What the model wrote; nothing at all is an empty object, unless the answer was cut off here.</summary>
        public string Arguments(bool isCut) => json.Length > 0 || isCut ? json.ToString() : "{}";
    }
}
