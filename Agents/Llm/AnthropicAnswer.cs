using System.Buffers;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.AI;

namespace Stigmer.Agents.Llm;

/// <summary>Puts the events of a stream together to an answer. What it does not know it leaves out, as Anthropic asks of clients.</summary>
sealed class AnthropicAnswer
{
    readonly List<Block> blocks = [];
    long? input;
    long? output;
    long outputBefore;
    int first;

    /// <summary>The message has come to its end.</summary>
    public bool IsWhole { get; private set; }

    /// <summary>Why it ended; null: not told yet.</summary>
    public string? StopReason { get; private set; }

    /// <summary>With the stop reason refusal: what it says about it.</summary>
    public string? Refusal { get; private set; }

    /// <summary>Tokens read, those from a cache included.</summary>
    public long? InputTokens => input;

    /// <summary>Tokens written, thinking included.</summary>
    public long? OutputTokens => output is null ? null : output + outputBefore;

    /// <summary>The tool whose call was being written when the answer was cut off; null: none.</summary>
    public string? CutOff => IsCut && blocks is [.., { Type: "tool_use", IsComplete: false } last] ? last.Name : null;

    bool IsCut => StopReason is "max_tokens" or "model_context_window_exceeded";

    /// <summary>Takes the next event; the text that it adds.</summary>
    public string? Add(AnthropicEvent data)
    {
        switch (data.Type)
        {
            case "message_start":
                Count(data.Message?.Usage);
                break;
            case "content_block_start" when data.ContentBlock is { ValueKind: JsonValueKind.Object } start:
                var block = new Block(start, data.Index is { } index ? first + index : blocks.Count);
                blocks.Add(block);
                return block.Type == "text" ? block.Text.ToString() : null;
            case "content_block_delta" when data.Delta is { } delta:
                var at = data.Index is { } of ? first + of : blocks.Count - 1;
                return blocks.Find(each => each.Index == at)?.Add(delta);
            case "message_delta":
                Count(data.Usage);
                StopReason = data.Delta?.StopReason ?? StopReason;
                if (data.Delta?.StopDetails is { ValueKind: JsonValueKind.Object } details) Refusal = ServerSaid.Read(details).Text;
                break;
            case "message_stop":
                IsWhole = true;
                break;
        }
        return null;
    }

    /// <summary>What has been written so far, as a message's content; a further message goes on with it.</summary>
    public List<JsonElement> Pause()
    {
        var written = blocks.Where(block => block.Index >= first).ToList();
        first = blocks.Count == 0 ? 0 : blocks.Max(block => block.Index) + 1;
        outputBefore += output ?? 0;
        output = null;
        IsWhole = false;
        StopReason = null;
        return [.. written.Where(block => block.IsKnown).Select(block => block.ToJson())];
    }

    /// <summary>The calls, in order; not one that was cut off.</summary>
    public IReadOnlyList<FunctionCallContent> Calls() =>
        [.. Kept().Where(block => block.Type == "tool_use").Select(block => Conversation.ToCall(block.Id, block.Name, block.Arguments))];

    /// <summary>
    /// The blocks as they came, to be sent again unchanged; null where nothing in them is the model's alone, for then the text
    /// and the calls say it all.
    /// </summary>
    public string? Raw()
    {
        var kept = Kept();
        if (kept.All(block => block.Type is "text" or "tool_use")) return null;
        // A message may not end with thinking.
        while (kept is [.., { Type: "thinking" or "redacted_thinking" }]) kept.RemoveAt(kept.Count - 1);
        if (kept.Count == 0) return null;
        var bytes = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(bytes))
        {
            writer.WriteStartArray();
            foreach (var block in kept) block.Write(writer);
            writer.WriteEndArray();
        }
        return Encoding.UTF8.GetString(bytes.WrittenSpan);
    }

    List<Block> Kept() => [.. blocks.Where(block => block.IsKnown && !(IsCut && block == blocks[^1] && block.Type == "tool_use" && !block.IsComplete))];

    void Count(AnthropicUsage? usage)
    {
        if (usage?.InputTokens is { } read) input = read + (usage.CacheCreationInputTokens ?? 0) + (usage.CacheReadInputTokens ?? 0);
        output = usage?.OutputTokens ?? output;
    }

    /// <summary>A block of the answer: as it began, and what was added.</summary>
    sealed class Block
    {
        readonly JsonElement start;
        readonly StringBuilder json = new();
        readonly StringBuilder thinking = new();
        readonly StringBuilder signature = new();

        public Block(JsonElement start, int index)
        {
            this.start = start;
            Index = index;
            Text.Append(Member("text"));
            thinking.Append(Member("thinking"));
            signature.Append(Member("signature"));
        }

        public int Index { get; }

        public StringBuilder Text { get; } = new();

        public string Type => Member("type");

        public string Id => Member("id");

        public string Name => Member("name");

        /// <summary>What the model wrote; an empty input comes without a single delta.</summary>
        public string Arguments
        {
            get
            {
                if (json.Length > 0) return json.ToString();
                return start.TryGetProperty("input", out var given) && given.ValueKind == JsonValueKind.Object ? given.GetRawText() : "{}";
            }
        }

        /// <summary>The call's arguments came whole: an object tells its own end, an empty one that nothing was written of does not.</summary>
        public bool IsComplete
        {
            get
            {
                if (json.Length == 0) return false;
                try
                {
                    using var _ = JsonDocument.Parse(json.ToString());
                    return true;
                }
                catch (JsonException)
                {
                    return false;
                }
            }
        }

        /// <summary>It may be sent again: its type is known, and nothing that the server asks for is missing.</summary>
        public bool IsKnown => Type switch
        {
            "text" => !string.IsNullOrWhiteSpace(Text.ToString()),
            "thinking" => signature.Length > 0,
            "redacted_thinking" => true,
            "tool_use" => Id.Length > 0 && Name.Length > 0,
            _ => false,
        };

        public string? Add(AnthropicDelta delta)
        {
            switch (delta.Type)
            {
                case "text_delta":
                    Text.Append(delta.Text);
                    return Type == "text" ? delta.Text : null;
                case "input_json_delta":
                    json.Append(delta.PartialJson);
                    break;
                case "thinking_delta":
                    thinking.Append(delta.Thinking);
                    break;
                case "signature_delta":
                    signature.Append(delta.Signature);
                    break;
            }
            return null;
        }

        public JsonElement ToJson()
        {
            var bytes = new ArrayBufferWriter<byte>();
            using (var writer = new Utf8JsonWriter(bytes)) Write(writer);
            return JsonElement.Parse(bytes.WrittenSpan);
        }

        /// <summary>The block with all that it began with, and with what was added in the place of what it began with.</summary>
        public void Write(Utf8JsonWriter writer)
        {
            writer.WriteStartObject();
            foreach (var member in start.EnumerateObject())
            {
                if (member.Name is not ("text" or "thinking" or "signature" or "input")) member.WriteTo(writer);
            }
            switch (Type)
            {
                case "text":
                    writer.WriteString("text", Text.ToString());
                    break;
                case "thinking":
                    writer.WriteString("thinking", thinking.ToString());
                    writer.WriteString("signature", signature.ToString());
                    break;
                case "tool_use":
                    writer.WritePropertyName("input");
                    Conversation.ObjectOf(Conversation.ToCall(Id, Name, Arguments)).WriteTo(writer);
                    break;
            }
            writer.WriteEndObject();
        }

        string Member(string name) => start.TryGetProperty(name, out var member) && member.ValueKind == JsonValueKind.String ? member.GetString()! : "";
    }
}
