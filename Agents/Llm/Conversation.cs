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

    /// <summary>
    /// The messages, in order. Every call gets exactly one result, directly after the answer that asked for it, since
    /// providers refuse a history where one is missing: where none is stored, the model is told so.
    /// </summary>
    public static List<ChatMessage> ToMessages(
        LlmSettings model, string instructions, IReadOnlyList<TranscriptEntry> transcript, ToolNames names)
    {
        var messages = new List<ChatMessage>(transcript.Count + 1);
        if (instructions.Length > 0) messages.Add(new ChatMessage(ChatRole.System, instructions));
        var results = transcript.Where(entry => entry.Result is not null).ToDictionary(entry => (entry.Turn, entry.Step, entry.Slot), entry => entry.Result);
        foreach (var entry in transcript)
        {
            if (entry.User is { } user) messages.Add(new ChatMessage(ChatRole.User, user.Text));
            if (entry.Answer is not { } answer) continue;
            messages.Add(ToMessage(answer, model, names));
            foreach (var call in answer.Calls)
            {
                var said = results.TryGetValue((entry.Turn, entry.Step, call.Slot), out var result) ? result.Text : "This call was not carried out.";
                messages.Add(new ChatMessage(ChatRole.Tool, [new FunctionResultContent(call.Id, said) { RawRepresentation = names.ToWire(call.Name) }]));
            }
        }
        return messages;
    }

    /// <summary>The name on the wire of the tool whose result this is, which Ollama wants beside it.</summary>
    public static string ToolOf(FunctionResultContent result) => result.RawRepresentation as string ?? "";

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

    static ChatMessage ToMessage(ModelAnswer answer, LlmSettings model, ToolNames names)
    {
        var contents = new List<AIContent>();
        if (answer.Text.Length > 0) contents.Add(new TextContent(answer.Text));
        foreach (var call in answer.Calls) contents.Add(ToCall(call.Id, names.ToWire(call.Name), call.Arguments));
        var message = new ChatMessage(ChatRole.Assistant, contents);
        if (!answer.Raw.IsEmpty && answer.Provider == model.Provider.Name() && answer.Model == model.Model)
        {
            message.AdditionalProperties = new AdditionalPropertiesDictionary { [Raw] = answer.Raw.ToStringUtf8() };
        }
        return message;
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
