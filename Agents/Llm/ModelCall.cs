using System.Text;
using System.Text.Json;
using Google.Protobuf;
using Microsoft.Extensions.AI;
using Stigmer.Agents.Tools;
using Stigmer.Config;
using Stigmer.Rpc.V1;

namespace Stigmer.Agents.Llm;

/// <summary>One model call of a run: what the model is to read, and what it may call.</summary>
/// <param name="Model">The model; recorded with the answer.</param>
/// <param name="Instructions">The agent's instructions.</param>
/// <param name="Transcript">All that was said and done, of every turn.</param>
/// <param name="Tools">What is offered.</param>
/// <param name="Step">The step of this call: ids of calls are made from it where the provider gives none.</param>
sealed record ModelCall(
    LlmSettings Model, string Instructions, IReadOnlyList<TranscriptEntry> Transcript, IReadOnlyList<ToolDeclaration> Tools, int Step)
{
    /// <summary>How often a call that the provider refuses as too long is made anew with less in it.</summary>
    const int MostFittings = 6;

    /// <summary>
    /// Makes the call, once: no retry in here, but of one that is refused as too long, with less in it. <paramref name="onText"/>
    /// gets the text as it streams, never a call that is written as text. The answer lacks what only the caller knows: WorkedMs,
    /// and NeedsApproval and Once of each call.
    /// </summary>
    /// <exception cref="ModelFailure">The call failed; what was shown of it is to be discarded.</exception>
    public async Task<ModelAnswer> Ask(IChatClient client, Func<string, Task> onText, CancellationToken cancel)
    {
        var windowed = client.GetService(typeof(IWindowed)) as IWindowed;
        var fitting = new Fitting(this);
        if (windowed is not null && await windowed.MostInput(cancel).ConfigureAwait(false) is { } most)
        {
            fitting.LeaveOut(most);
            // The reckoning errs towards too much, but not by half.
            if (fitting.Total > 2.0 * most) throw windowed.TooLong(FormattableString.Invariant($"it has about {fitting.Total / 1000:0} thousand tokens, and {most / 1000.0:0.#} thousand can be sent"));
        }
        for (var tries = 1; ; tries++)
        {
            var said = false;
            try
            {
                return await Ask(client, fitting, text => { said = true; return onText(text); }, cancel).ConfigureAwait(false);
            }
            catch (ModelFailure e) when (e.TooLong && !said && tries < MostFittings && fitting.LeaveOut(fitting.Total * 2 / 3))
            {
                // The provider counts otherwise than we do.
            }
        }
    }

    /// <summary>Whether an answer is of this call's model.</summary>
    public bool IsOfModel(ModelAnswer answer) => answer.Provider == Model.Provider.Name() && answer.Model == Model.Model;

    async Task<ModelAnswer> Ask(IChatClient client, Fitting fitting, Func<string, Task> onText, CancellationToken cancel)
    {
        var names = new ToolNames(Tools.Select(tool => tool.Name));
        var options = new ChatOptions { Tools = [.. Tools.Select(tool => new WireTool(names.ToWire(tool.Name), tool))] };
        var answer = new AnswerBuilder();
        await foreach (var update in client.GetStreamingResponseAsync(
            Conversation.ToMessages(Model, Instructions, Transcript, names, fitting.Shortened), options, cancel).ConfigureAwait(false))
        {
            answer.Add(update);
            if (update.Text is { Length: > 0 } text) await onText(text).ConfigureAwait(false);
        }
        var built = answer.Build(this, names);
        if (fitting.Added.Count == 0) return built;
        built.Shortened.AddRange(fitting.Added);
        var what = fitting.Added.Count == 1 ? "An old result of a tool was" : FormattableString.Invariant($"{fitting.Added.Count} old results of tools were");
        built.Notes.Insert(0, $"{what} left out of what the model reads: the conversation has grown too long for its window");
        return built;
    }
}

/// <summary>Puts the updates of a stream together to what the transcript keeps.</summary>
sealed class AnswerBuilder
{
    readonly StringBuilder text = new();
    readonly List<FunctionCallContent> calls = [];
    readonly List<string> notes = [];
    readonly Usage usage = new();
    string? raw;
    ChatFinishReason? finish;

    /// <summary>Takes the next update.</summary>
    public void Add(ChatResponseUpdate update)
    {
        foreach (var content in update.Contents)
        {
            switch (content)
            {
                case TextContent part: text.Append(part.Text); break;
                case FunctionCallContent call: calls.Add(call); break;
                case UsageContent { Details: var details }:
                    usage.InputTokens += details.InputTokenCount ?? 0;
                    usage.OutputTokens += details.OutputTokenCount ?? 0;
                    break;
            }
        }
        finish = update.FinishReason ?? finish;
        if (update.AdditionalProperties is not { } more) return;
        if (more.TryGetValue(Conversation.Raw, out var blocks)) raw = blocks as string;
        if (more.TryGetValue(Conversation.Note, out var note) && note is string said) notes.Add(said);
    }

    /// <summary>The whole answer.</summary>
    public ModelAnswer Build(ModelCall of, ToolNames names)
    {
        var answer = new ModelAnswer
        {
            Text = text.ToString(),
            FinishReason = calls.Count > 0 ? FinishReason.ToolCalls : ToFinishReason(finish),
            Usage = usage,
            Provider = of.Model.Provider.Name(),
            Model = of.Model.Model,
            ReadUpTo = of.Transcript.Where(entry => entry.User is not null).Select(entry => entry.User.Number).DefaultIfEmpty().Max(),
            Raw = raw is null ? ByteString.Empty : ByteString.CopyFromUtf8(raw),
        };
        answer.Notes.AddRange(notes);
        if (answer.Text.Length == 0 && calls.Count == 0 && notes.Count == 0) answer.Notes.Add("The model answered with nothing");
        foreach (var (index, call) in calls.Index())
        {
            answer.Calls.Add(new ToolCall
            {
                Slot = index + 1,
                Id = call.CallId.Length > 0 ? call.CallId : $"call_{of.Step}_{index + 1}",
                Name = names.ToAgent(call.Name),
                Arguments = Conversation.ArgumentsOf(call),
            });
        }
        return answer;
    }

    static FinishReason ToFinishReason(ChatFinishReason? reason)
    {
        if (reason == ChatFinishReason.Length) return FinishReason.Length;
        return reason == ChatFinishReason.ContentFilter ? FinishReason.ContentFilter : FinishReason.Stop;
    }
}

/// <summary>A tool under the name that it has on the wire.</summary>
sealed class WireTool(string wireName, ToolDeclaration tool) : AIFunctionDeclaration
{
    readonly JsonElement schema = Accepted(tool.Schema);

    public override string Name => wireName;

    public override string Description => tool.Description;

    public override JsonElement JsonSchema => schema;

    /// <summary>
    /// A schema in the form that every provider takes: an object with properties. Alternatives at its top are left out, which
    /// Anthropic and OpenAI refuse; the tool itself checks what it is given.
    /// </summary>
    static JsonElement Accepted(JsonElement schema)
    {
        var isObject = schema.ValueKind == JsonValueKind.Object;
        if (isObject && schema.TryGetProperty("type", out var type) && type.ValueKind == JsonValueKind.String && type.GetString() == "object"
            && schema.TryGetProperty("properties", out var properties) && properties.ValueKind == JsonValueKind.Object
            && !schema.EnumerateObject().Any(member => member.Name is "oneOf" or "anyOf" or "allOf" or "enum" or "not"))
        {
            return schema;
        }
        var bytes = new System.Buffers.ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(bytes))
        {
            writer.WriteStartObject();
            writer.WriteString("type", "object");
            if (!isObject || !schema.TryGetProperty("properties", out var known) || known.ValueKind != JsonValueKind.Object)
            {
                writer.WriteStartObject("properties");
                writer.WriteEndObject();
            }
            foreach (var member in isObject ? schema.EnumerateObject().ToArray() : [])
            {
                if (member.Name is "type" or "oneOf" or "anyOf" or "allOf" or "enum" or "not" || (member.Name == "properties" && member.Value.ValueKind != JsonValueKind.Object)) continue;
                member.WriteTo(writer);
            }
            writer.WriteEndObject();
        }
        return JsonElement.Parse(bytes.WrittenSpan);
    }
}
