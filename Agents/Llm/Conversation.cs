using System.Buffers;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.AI;
using Stigmer.Agents.Tools;
using Stigmer.Config;
using Stigmer.Rpc.V1;

namespace Stigmer.Agents.Llm;

/// <summary>A run's transcript as the messages that a chat client takes.</summary>
static class Conversation
{
    /// <summary>
    /// In AdditionalProperties of an update and of an assistant's message: the provider's own blocks as JSON text (thinking,
    /// signatures), which go back unchanged to the model that made them, and to no other.
    /// </summary>
    public const string Raw = "stigmer.raw";

    /// <summary>In AdditionalProperties of an update: a sentence that the person should read.</summary>
    public const string Note = "stigmer.note";

    /// <summary>The longest id of a call that every provider takes (OpenAI's Chat Completions), in characters.</summary>
    const int MaxIdLength = 40;

    /// <summary>
    /// The messages, in order. Every call gets exactly one result, directly after the answer that asked for it, since
    /// providers refuse a history where one is missing: where none is stored, the model is told so.
    /// </summary>
    public static List<ChatMessage> ToMessages(
        LlmSettings model, string instructions, IReadOnlyList<TranscriptEntry> transcript, ToolNames names, Shortened shortened)
    {
        var messages = new List<ChatMessage>(transcript.Count + 1);
        if (instructions.Length > 0) messages.Add(new ChatMessage(ChatRole.System, instructions));
        var results = transcript.Where(entry => entry.Result is not null).ToDictionary(entry => (entry.Turn, entry.Step, entry.Slot), entry => entry.Result);
        var ids = new HashSet<string>(StringComparer.Ordinal);
        foreach (var entry in transcript)
        {
            if (entry.User is { } user) messages.Add(new ChatMessage(ChatRole.User, user.Text));
            if (entry.Answer is not { } answer) continue;
            var raw = RawFor(model, answer);
            List<(ToolCall Call, string Id)> calls = [.. answer.Calls.Select(call => (call, raw is null ? IdOf(entry, call, ids) : call.Id))];
            messages.Add(ToMessage(answer, calls, raw, names));
            foreach (var (call, id) in calls)
            {
                var place = (entry.Turn, entry.Step, call.Slot);
                var result = results.GetValueOrDefault(place);
                var said = result is null ? "This call was not carried out." : shortened.Holds(place) ? Shortened.NoteOf(call, result) : result.Text;
                var content = new FunctionResultContent(id, said) { RawRepresentation = new ResultOf(names.ToWire(call.Name), result?.Ok == true) };
                messages.Add(new ChatMessage(ChatRole.Tool, [content]));
            }
        }
        return messages;
    }

    /// <summary>The provider's own blocks of an answer, where this model may read them; else null.</summary>
    public static string? RawFor(LlmSettings model, ModelAnswer answer) =>
        !answer.Raw.IsEmpty && answer.Provider == model.Provider.Name() && answer.Model == model.Model ? answer.Raw.ToStringUtf8() : null;

    /// <summary>The provider's own blocks of a message, where they are a list; null: there are none, or they are another wire's.</summary>
    public static List<JsonElement>? RawArray(ChatMessage message) =>
        message.AdditionalProperties?.GetValueOrDefault(Raw) is string raw && JsonElement.Parse(raw) is { ValueKind: JsonValueKind.Array } blocks ? [.. blocks.EnumerateArray()] : null;

    /// <summary>The name on the wire of the tool whose result this is, which Ollama wants beside it.</summary>
    public static string ToolOf(FunctionResultContent result) => (result.RawRepresentation as ResultOf)?.Tool ?? "";

    /// <summary>Whether the call failed, or was not carried out.</summary>
    public static bool IsFailed(FunctionResultContent result) => result.RawRepresentation is ResultOf { Ok: false };

    /// <summary>A call for a model's answer; <paramref name="json"/> is what the model wrote, an object if all is well.</summary>
    public static FunctionCallContent ToCall(string id, string wireName, string json) =>
        new(id, wireName, ParseObject(json)) { RawRepresentation = json };

    /// <summary>A call's arguments as JSON text.</summary>
    public static string ArgumentsOf(FunctionCallContent call)
    {
        if (call.RawRepresentation is string json) return json;
        var bytes = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(bytes))
        {
            writer.WriteStartObject();
            foreach (var (name, value) in call.Arguments ?? new Dictionary<string, object?>())
            {
                writer.WritePropertyName(name);
                if (value is JsonElement element) element.WriteTo(writer);
                else if (value is null) writer.WriteNullValue();
                else writer.WriteStringValue(value.ToString());
            }
            writer.WriteEndObject();
        }
        return Encoding.UTF8.GetString(bytes.WrittenSpan);
    }

    /// <summary>
    /// A call's arguments as an object: an empty one where the model wrote anything else, which a history must not hold. The
    /// call's result has told the model.
    /// </summary>
    public static JsonElement ObjectOf(FunctionCallContent call) => JsonElement.Parse(call.Arguments is null ? "{}" : ArgumentsOf(call));

    /// <summary>An update that is a sentence for the person.</summary>
    public static ChatResponseUpdate Noted(string note) =>
        new() { Role = ChatRole.Assistant, AdditionalProperties = new AdditionalPropertiesDictionary { [Note] = note } };

    /// <summary>The last update of an answer.</summary>
    public static ChatResponseUpdate Ended(
        IReadOnlyList<FunctionCallContent> calls, ChatFinishReason otherwise, long? inputTokens, long? outputTokens, string? raw)
    {
        var last = new ChatResponseUpdate(ChatRole.Assistant, [.. calls]) { FinishReason = calls.Count > 0 ? ChatFinishReason.ToolCalls : otherwise };
        if (inputTokens is not null || outputTokens is not null)
        {
            last.Contents.Add(new UsageContent(new UsageDetails { InputTokenCount = inputTokens, OutputTokenCount = outputTokens }));
        }
        if (raw is not null) last.AdditionalProperties = new AdditionalPropertiesDictionary { [Raw] = raw };
        return last;
    }

    /// <summary>What stands beside a result: the name of its tool on the wire, and whether all was well.</summary>
    sealed record ResultOf(string Tool, bool Ok);

    static ChatMessage ToMessage(ModelAnswer answer, List<(ToolCall Call, string Id)> calls, string? raw, ToolNames names)
    {
        var contents = new List<AIContent>();
        if (answer.Text.Length > 0) contents.Add(new TextContent(answer.Text));
        foreach (var (call, id) in calls) contents.Add(ToCall(id, names.ToWire(call.Name), call.Arguments));
        var message = new ChatMessage(ChatRole.Assistant, contents);
        if (raw is not null) message.AdditionalProperties = new AdditionalPropertiesDictionary { [Raw] = raw };
        return message;
    }

    /// <summary>
    /// The id under which a call goes out: its own, unless another call of the conversation has it (some servers count anew in
    /// each answer) or a provider other than its maker may refuse it.
    /// </summary>
    static string IdOf(TranscriptEntry entry, ToolCall call, HashSet<string> taken)
    {
        var fits = call.Id.Length is > 0 and <= MaxIdLength && call.Id.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-');
        if (fits && taken.Add(call.Id)) return call.Id;
        var id = FormattableString.Invariant($"call_{entry.Turn}_{entry.Step}_{call.Slot}");
        while (!taken.Add(id)) id += "_";
        return id;
    }

    static Dictionary<string, object?>? ParseObject(string json)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            if (document.RootElement.ValueKind != JsonValueKind.Object) return null;
            var arguments = new Dictionary<string, object?>(StringComparer.Ordinal);
            foreach (var property in document.RootElement.EnumerateObject()) arguments[property.Name] = property.Value.Clone();
            return arguments;
        }
        catch (JsonException)
        {
            // What the model wrote is kept as it is; the tool's result tells it.
            return null;
        }
    }
}
