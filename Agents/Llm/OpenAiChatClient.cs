using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Microsoft.Extensions.AI;
using Stigmer.Config;

namespace Stigmer.Agents.Llm;

/// <summary>
/// Chat Completions, streamed: what vLLM, LM Studio, llama.cpp and gateways speak. They differ in what they refuse: a part of a
/// request that a server can do without is left out once it said so, and remembered for the client's life.
/// </summary>
sealed class OpenAiChatClient : IChatClient, IWindowed
{
    /// <summary>The most often that one call is made anew with less in it.</summary>
    const int MostRefusals = 6;

    /// <summary>From the request to the first byte: a server on this network may load a model and read a long prompt first.</summary>
    static readonly TimeSpan FirstByte = TimeSpan.FromMinutes(30);

    readonly LlmSettings settings;
    readonly Secret? key;
    readonly TimeProvider time;
    readonly IReadOnlyList<Uri> roots;
    readonly HttpClient http;
    readonly HostedErrors errors;
    volatile Learnt learnt;

    /// <summary>What a server has said about itself.</summary>
    /// <param name="Root">Which of the possible roots it answers at.</param>
    /// <param name="CompletionTokens">It wants <c>max_completion_tokens</c>.</param>
    /// <param name="EffortNone">It takes tools only with reasoning effort <c>none</c>.</param>
    /// <param name="MostTokens">The most that an answer may have; null: as configured.</param>
    /// <param name="Window">All that a call may have, in tokens; null: it has not said so.</param>
    sealed record Learnt(int Root, bool CompletionTokens, bool EffortNone, bool NoTemperature, bool NoTools, bool NoUsage, int? MostTokens, int? Window);

    /// <summary>Connects to nothing yet.</summary>
    /// <exception cref="ModelFailure">The base URL is none.</exception>
    public OpenAiChatClient(LlmSettings settings, Secret? key, TimeProvider time, HttpMessageHandler? handler)
    {
        (this.settings, this.key, this.time) = (settings, key, time);
        roots = Roots(settings.BaseUrl);
        http = LlmHttp.Client(handler);
        errors = new HostedErrors(settings, key, time);
        var reasons = Providers.Reasons(settings.Model);
        // From 5.6 on, OpenAI's models take tools on this wire only when told not to reason; some cannot be told so.
        var none = reasons && Providers.GptVersion(settings.Model)?.CompareTo((5, 6)) >= 0 && Providers.Know(settings.Provider, settings.Model)?.NoEffortNone != true;
        learnt = new Learnt(0, reasons, none, NoTemperature: false, NoTools: false, NoUsage: false, MostTokens: null, Window: null);
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        List<ChatMessage> history = [.. messages];
        var offered = options?.Tools?.OfType<AIFunctionDeclaration>().ToList() ?? [];
        using var exchange = new Exchange(http, errors, FirstByte, time, cancellationToken);
        ChatRequest request;
        HttpResponseMessage? response;
        var refusals = 0;
        do
        {
            request = Request(history, offered, options);
            response = await Send(request, exchange, mayLearn: refusals++ < MostRefusals).ConfigureAwait(false);
        }
        while (response is null);
        if (offered.Count > 0 && request.Tools is null)
        {
            yield return Conversation.Noted($"{settings.Model} takes no tools here: it answers without them{(Providers.Reasons(settings.Model) ? "; on OpenAI's own host (without llm.base_url) it takes them" : "")}");
            offered.Clear();
        }

        var answer = new ChatAnswer(offered);
        if (LlmHttp.IsEventStream(response))
        {
            var events = await exchange.Events().ConfigureAwait(false);
            while (await Next(events, exchange).ConfigureAwait(false) is { } chunk)
            {
                if (answer.Add(chunk) is { Length: > 0 } text) yield return new ChatResponseUpdate(ChatRole.Assistant, text);
            }
        }
        else if (answer.Add(Parsed(await exchange.Whole().ConfigureAwait(false))) is { Length: > 0 } text)
        {
            yield return new ChatResponseUpdate(ChatRole.Assistant, text);
        }
        if (answer.FinishReason is null) throw errors.Broken("the stream ended before the answer did");
        foreach (var update in End(answer, request)) yield return update;
    }

    /// <inheritdoc/>
    public ValueTask<int?> MostInput(CancellationToken cancel) =>
        new(learnt.Window is { } all ? all - Math.Min(learnt.MostTokens ?? settings.MaxTokens, all / 4) : null);

    /// <inheritdoc/>
    public ModelFailure TooLong(string why) => errors.TooLong(why);

    /// <inheritdoc/>
    public Task<ChatResponse> GetResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
        GetStreamingResponseAsync(messages, options, cancellationToken).ToChatResponseAsync(cancellationToken);

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null) => serviceType.IsInstanceOfType(this) ? this : null;

    /// <inheritdoc/>
    public void Dispose() => http.Dispose();

    /// <summary>The headers of the answer; null where the server refuses a part of the request that it can do without.</summary>
    async Task<HttpResponseMessage?> Send(ChatRequest request, Exchange exchange, bool mayLearn)
    {
        using var message = new HttpRequestMessage(HttpMethod.Post, new Uri(roots[learnt.Root], "chat/completions"));
        LlmHttp.Bearer(message, key);
        message.Content = LlmHttp.Json(request, ChatJson.Default.ChatRequest);
        var response = await exchange.Send(message).ConfigureAwait(false);
        if ((int)response.StatusCode == 200) return response;
        var body = await exchange.Refusal().ConfigureAwait(false);
        if (mayLearn && Learn((int)response.StatusCode, ServerSaid.Read(body), request) is { } more)
        {
            learnt = more;
            return null;
        }
        var failure = errors.From((int)response.StatusCode, body, response.Headers);
        if (failure.Window is { } told) learnt = learnt with { Window = told };
        throw failure;
    }

    /// <summary>What a refusal teaches; null: nothing, it is to be told.</summary>
    Learnt? Learn(int status, ServerSaid said, ChatRequest request)
    {
        var known = learnt;
        // A base URL without /v1 that should have one.
        if (status is 404 or 405 && known.Root + 1 < roots.Count && said.Code != "model_not_found" && !said.Says(settings.Model)) return known with { Root = known.Root + 1 };
        if (status is not (400 or 404 or 422 or 500 or 501)) return null;
        if (said.IsTooLong)
        {
            // A small window that the answer's limit alone fills.
            return said.Window / 4 is { } most && most < (known.MostTokens ?? settings.MaxTokens) ? known with { MostTokens = most, Window = said.Window } : null;
        }
        if (request.MaxTokens is not null && said.Says("max_completion_tokens")) return known with { CompletionTokens = true };
        if (request.MaxCompletionTokens is not null && said.Blames("max_completion_tokens")) return known with { CompletionTokens = false };
        if (request.Temperature is not null && said.Blames("temperature")) return known with { NoTemperature = true };
        if (request.StreamOptions is not null && (said.Blames("stream_options") || said.Says("include_usage"))) return known with { NoUsage = true };
        if (said.Blames("reasoning_effort") && request.Tools is not null)
        {
            // It wants none, or takes no such word, or has no use for tools here.
            var tried = request.ReasoningEffort is not null;
            if (tried && !Providers.Reasons(settings.Model)) return known with { EffortNone = false };
            return tried || Providers.Know(settings.Provider, settings.Model)?.NoEffortNone == true ? known with { NoTools = true } : known with { EffortNone = true };
        }
        return request.Tools is not null && said.RefusesTools ? known with { NoTools = true } : null;
    }

    /// <summary>The next chunk; null where the stream says that it is done, or has ended.</summary>
    async Task<ChatChunk?> Next(SseReader events, Exchange exchange)
    {
        if (await exchange.Read(events.Next).ConfigureAwait(false) is not { } next || next.Data.AsSpan().Trim() is "[DONE]") return null;
        if (next.Name == "error") throw errors.InStream(ServerSaid.Read(next.Data));
        return Parsed(next.Data);
    }

    ChatChunk Parsed(string json)
    {
        ChatChunk? chunk;
        try
        {
            chunk = JsonSerializer.Deserialize(json, ChatJson.Default.ChatChunk);
        }
        catch (JsonException e)
        {
            throw errors.NotUnderstood(json, e);
        }
        var isError = chunk?.Error is { ValueKind: JsonValueKind.Object or JsonValueKind.String } || chunk?.Object == "error";
        return isError ? throw errors.InStream(ServerSaid.Read(json)) : chunk ?? new ChatChunk();
    }

    IEnumerable<ChatResponseUpdate> End(ChatAnswer answer, ChatRequest request)
    {
        var (rest, calls) = answer.Finish();
        var cut = answer.FinishReason == "length";
        var most = string.Create(CultureInfo.InvariantCulture, $"it reached llm.max_tokens ({request.MaxTokens ?? request.MaxCompletionTokens}) or the end of the model's window");
        if (cut && calls.Count == 0 && answer.IsCallAsText) throw ModelFailure.CutOff("a tool", most);
        if (rest.Length > 0) yield return new ChatResponseUpdate(ChatRole.Assistant, rest);
        if (cut && calls is [.., { Arguments: null } last])
        {
            calls.RemoveAt(calls.Count - 1);
            if (calls.Count == 0)
            {
                throw ModelFailure.CutOff(last.Name, most);
            }
            yield return Conversation.Noted($"The answer was cut off in the middle of a call of {last.Name}, which is not carried out: {most}");
        }
        else if (cut)
        {
            yield return Conversation.Noted($"The answer is cut off: {most}");
        }
        if (answer.FinishReason == "content_filter") yield return Conversation.Noted("The answer is cut off: a content filter ended it");
        else if (answer.IsRefusal) yield return Conversation.Noted($"{settings.Model} refused to answer");
        var finish = cut ? ChatFinishReason.Length : answer.IsRefusal || answer.FinishReason == "content_filter" ? ChatFinishReason.ContentFilter : ChatFinishReason.Stop;
        yield return Conversation.Ended(calls, finish, answer.InputTokens, answer.OutputTokens, answer.Raw());
    }

    ChatRequest Request(List<ChatMessage> messages, List<AIFunctionDeclaration> offered, ChatOptions? options)
    {
        var known = learnt;
        var tools = known.NoTools ? [] : offered.Select(tool => new OllamaTool("function", new OllamaToolFunction(tool.Name, tool.Description, tool.JsonSchema))).ToList();
        var effort = known.EffortNone && tools.Count > 0 ? "none" : null;
        var most = options?.MaxOutputTokens ?? settings.MaxTokens;
        most = Math.Min(most, Math.Min(known.MostTokens ?? most, Providers.Know(settings.Provider, settings.Model)?.Output ?? most));
        // Whoever thinks in the loop of its tools may want its thoughts back; of an earlier turn they are refused.
        var lastUser = messages.FindLastIndex(message => message.Role == ChatRole.User);
        return new ChatRequest
        {
            Model = settings.Model,
            Messages = [.. messages.Index().SelectMany(each => ToWire(each.Item, inLoop: each.Index > lastUser))],
            Tools = tools.Count > 0 ? tools : null,
            MaxTokens = known.CompletionTokens ? null : most,
            MaxCompletionTokens = known.CompletionTokens ? most : null,
            Temperature = known.NoTemperature || (effort is null && !Providers.TakesTemperature(settings.Provider, settings.Model)) ? null : options?.Temperature ?? settings.Temperature,
            ReasoningEffort = effort,
            StreamOptions = known.NoUsage ? null : new ChatStreamOptions(true),
        };
    }

    static IEnumerable<ChatWireMessage> ToWire(ChatMessage message, bool inLoop)
    {
        var results = message.Contents.OfType<FunctionResultContent>().ToList();
        if (results.Count > 0) return results.Select(result => new ChatWireMessage { Role = "tool", Content = result.Result?.ToString() ?? "", ToolCallId = result.CallId });
        var calls = message.Contents.OfType<FunctionCallContent>().Select(call => new ChatToolCall
        {
            Id = call.CallId,
            Type = "function",
            // A string that holds an object: templates of servers read it.
            Function = new ChatFunction { Name = call.Name, Arguments = JsonSerializer.SerializeToElement(Conversation.ObjectOf(call).GetRawText(), ChatJson.Default.String) },
        }).ToList();
        if (message.Role == ChatRole.Assistant && calls.Count == 0 && message.Text.Length == 0) return [];
        var raw = inLoop && message.AdditionalProperties?.GetValueOrDefault(Conversation.Raw) is string json ? ChatAnswer.ReadRaw(json) : null;
        return [new ChatWireMessage
        {
            Role = message.Role.Value,
            // Empty and not absent: the templates of some servers fail on null.
            Content = message.Text,
            ToolCalls = calls.Count > 0 ? calls : null,
            ReasoningContent = raw?.ReasoningContent,
            Reasoning = raw?.Reasoning,
        }];
    }

    /// <summary>
    /// Where the API may be: a version at the end of the base URL settles it; a bare host has it under /v1; anything else is
    /// taken as written first.
    /// </summary>
    internal static IReadOnlyList<Uri> Roots(string baseUrl)
    {
        var root = LlmHttp.Root(baseUrl, "http://localhost:8000/v1", "/chat/completions");
        var last = root.AbsolutePath.Trim('/').Split('/')[^1];
        if (last.Length > 1 && last[0] is 'v' or 'V' && char.IsAsciiDigit(last[1])) return [root];
        var versioned = new Uri(root, "v1/");
        return last.Length == 0 ? [versioned, root] : [root, versioned];
    }
}
