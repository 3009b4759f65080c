using System.Text;
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
    /// <summary>
    /// Makes the call, once: no retry in here. <paramref name="onText"/> gets the text as it streams, never a call that is
    /// written as text. The answer lacks what only the caller knows: WorkedMs, and NeedsApproval and Once of each call.
    /// </summary>
    /// <exception cref="ModelFailure">The call failed; what was shown of it is to be discarded.</exception>
    public async Task<ModelAnswer> Ask(IChatClient client, Func<string, Task> onText, CancellationToken cancel)
    {
        var names = new ToolNames(Tools.Select(tool => tool.Name));
        var options = new ChatOptions { Tools = [.. Tools.Select(tool => new WireTool(names.ToWire(tool.Name), tool))] };
        var answer = new AnswerBuilder();
        await foreach (var update in client.GetStreamingResponseAsync(
            Conversation.ToMessages(Model, Instructions, Transcript, names, Shortened.Of(Transcript)), options, cancel).ConfigureAwait(false))
        {
            answer.Add(update);
            if (update.Text is { Length: > 0 } text) await onText(text).ConfigureAwait(false);
        }
        return answer.Build(this, names);
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
    public override string Name => wireName;

    public override string Description => tool.Description;

    public override System.Text.Json.JsonElement JsonSchema => tool.Schema;
}
