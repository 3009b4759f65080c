using System.Runtime.CompilerServices;
using Microsoft.Extensions.AI;
using Stigmer.Agents.Tools;
using Stigmer.Config;

namespace Stigmer.Agents.Llm;

/// <summary>
/// The built-in model without intelligence: deterministic, streams, lists the workspace once and answers with what it was
/// asked and saw. It exists so that a machine without Ollama, key or network can try everything but the answer.
/// </summary>
sealed class DemoClient(LlmSettings settings) : IChatClient
{
    const string WhoIAm = "I am Stigmer's built-in demo model: I have no intelligence, I only show that everything works.";

    /// <inheritdoc/>
    public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var history = messages.ToList();
        var list = new ToolNames([WorkspaceTools.List]).ToWire(WorkspaceTools.List);
        var asked = history.LastOrDefault(message => message.Role == ChatRole.User)?.Text ?? "";
        var seen = history.SelectMany(message => message.Contents).OfType<FunctionResultContent>()
            .LastOrDefault(result => Conversation.ToolOf(result) == list);
        var calls = seen is null && options?.Tools?.Any(tool => tool.Name == list) == true;

        var answer = calls
            ? $"{WhoIAm} Let me look at the workspace."
            : $"{WhoIAm}\n\nYou asked: {asked}\n\n{(seen is null ? "I was offered no workspace to look at." : $"In the workspace I saw:\n{seen.Result}")}";
        foreach (var word in Words(answer))
        {
            cancellationToken.ThrowIfCancellationRequested();
            yield return Update(new TextContent(word));
            // Lets the caller's other work go on between two words, as a model on a wire does.
            await Task.Yield();
        }
        if (calls) yield return Update(Conversation.ToCall("", list, "{}"));
        var usage = new UsageDetails
        {
            InputTokenCount = history.Sum(message => message.Contents.Sum(content => Words(Said(content)).Count())),
            OutputTokenCount = Words(answer).Count(),
        };
        var last = Update(new UsageContent(usage));
        last.FinishReason = calls ? ChatFinishReason.ToolCalls : ChatFinishReason.Stop;
        yield return last;
    }

    /// <inheritdoc/>
    public Task<ChatResponse> GetResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
        GetStreamingResponseAsync(messages, options, cancellationToken).ToChatResponseAsync(cancellationToken);

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null) => serviceType.IsInstanceOfType(this) ? this : null;

    /// <inheritdoc/>
    public void Dispose() { }

    ChatResponseUpdate Update(AIContent content) => new(ChatRole.Assistant, [content]) { ModelId = settings.Model };

    static string Said(AIContent content) => content switch
    {
        TextContent text => text.Text,
        FunctionResultContent result => result.Result?.ToString() ?? "",
        _ => "",
    };

    /// <summary>The text in pieces, each a word with the white space before it: what this model takes for tokens.</summary>
    static IEnumerable<string> Words(string text)
    {
        var start = 0;
        for (var i = 1; i < text.Length; i++)
        {
            if (!char.IsWhiteSpace(text[i]) || char.IsWhiteSpace(text[i - 1])) continue;
            yield return text[start..i];
            start = i;
        }
        if (start < text.Length) yield return text[start..];
    }
}
