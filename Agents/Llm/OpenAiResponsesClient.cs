using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.AI;
using Stigmer.Config;

namespace Stigmer.Agents.Llm;

/// <summary>
/// OpenAI's Responses API, streamed and stateless, on its own host: the one wire on which all of its models take tools. What is
/// shown comes from the deltas of text, everything else from the items that are done.
/// </summary>
sealed class OpenAiResponsesClient : IChatClient, IWindowed
{
    /// <summary>From the request to the first byte.</summary>
    static readonly TimeSpan FirstByte = TimeSpan.FromMinutes(10);

    /// <summary>Between two events: while a model reasons none comes.</summary>
    static readonly TimeSpan Idle = TimeSpan.FromMinutes(15);

    static readonly string[] KnownEvents =
    [
        "error", "response.output_text.delta", "response.refusal.delta", "response.output_item.done", "response.completed", "response.incomplete", "response.failed",
    ];

    readonly LlmSettings settings;
    readonly Secret? key;
    readonly TimeProvider time;
    readonly Uri root;
    readonly HttpClient http;
    readonly HostedErrors errors;
    volatile bool refusesTools;
    volatile bool refusesTemperature;
    volatile bool refusesInclude;

    /// <summary>Connects to nothing yet.</summary>
    /// <exception cref="ModelFailure">The base URL is none.</exception>
    public OpenAiResponsesClient(LlmSettings settings, Secret? key, TimeProvider time, HttpMessageHandler? handler)
    {
        (this.settings, this.key, this.time) = (settings, key, time);
        root = LlmHttp.Root(settings.BaseUrl, "https://api.openai.com/v1", "/responses", "/chat/completions", "/v1");
        http = LlmHttp.Client(handler);
        errors = new HostedErrors(settings, key, time);
        refusesTemperature = !Providers.TakesTemperature(settings.Provider, settings.Model);
        refusesInclude = !Providers.Reasons(settings.Model);
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        List<ChatMessage> history = [.. messages];
        using var exchange = new Exchange(http, errors, FirstByte, time, cancellationToken, Idle);
        var request = Request(history, options);
        while (!await Send(request, exchange).ConfigureAwait(false)) request = Request(history, options);
        if (options?.Tools is { Count: > 0 } && request.Tools is null) yield return Conversation.Noted($"{settings.Model} takes no tools: it answers without them");

        var events = await exchange.Events().ConfigureAwait(false);
        var items = new List<JsonElement>();
        var shown = new StringBuilder();
        ResponsesEvent last;
        while (true)
        {
            last = await Next(events, exchange).ConfigureAwait(false);
            if (last.Type is "response.output_text.delta" or "response.refusal.delta" && last.Delta is { ValueKind: JsonValueKind.String } delta && delta.GetString() is { Length: > 0 } text)
            {
                shown.Append(text);
                yield return new ChatResponseUpdate(ChatRole.Assistant, text);
            }
            if (last.Type == "response.output_item.done" && last.Item is { ValueKind: JsonValueKind.Object } item) items.Add(item);
            if (last.Type is "response.completed" or "response.incomplete") break;
        }
        if (items.Count == 0) items.AddRange(last.Response?.Output ?? []);
        // A server that sends no deltas shows its text at the end.
        if (shown.Length == 0 && TextOf(items) is { Length: > 0 } whole) yield return new ChatResponseUpdate(ChatRole.Assistant, whole);
        foreach (var update in End(items, last, request)) yield return update;
    }

    /// <inheritdoc/>
    public ValueTask<int?> MostInput(CancellationToken cancel) =>
        new(Providers.Know(settings.Provider, settings.Model) is { Window: { } all } known ? Math.Min(known.Input ?? all, all - Math.Min(settings.MaxTokens, all / 4)) : null);

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

    /// <summary>False where the model refuses a part of the request that it can do without: what, is remembered.</summary>
    async Task<bool> Send(ResponsesRequest request, Exchange exchange)
    {
        using var message = new HttpRequestMessage(HttpMethod.Post, new Uri(root, "v1/responses"));
        LlmHttp.Bearer(message, key);
        message.Content = LlmHttp.Json(request, ResponsesJson.Default.ResponsesRequest);
        var response = await exchange.Send(message).ConfigureAwait(false);
        if ((int)response.StatusCode == 200)
        {
            return LlmHttp.IsEventStream(response) ? true : throw errors.NoStream(await exchange.Refusal().ConfigureAwait(false));
        }
        var body = await exchange.Refusal().ConfigureAwait(false);
        if ((int)response.StatusCode == 400)
        {
            var said = ServerSaid.Read(body);
            if (request.Temperature is not null && said.Blames("temperature")) return !(refusesTemperature = true);
            if (request.Include is not null && (said.Blames("include") || said.Says("encrypted content"))) return !(refusesInclude = true);
            if (request.Tools is not null && said.RefusesTools) return !(refusesTools = true);
        }
        throw errors.From((int)response.StatusCode, body, response.Headers);
    }

    async Task<ResponsesEvent> Next(SseReader events, Exchange exchange)
    {
        if (await exchange.Read(events.Next).ConfigureAwait(false) is not { } next) throw errors.Broken("the stream ended before the answer did");
        ResponsesEvent? data;
        try
        {
            data = JsonSerializer.Deserialize(next.Data, ResponsesJson.Default.ResponsesEvent);
        }
        catch (JsonException) when (next.TypeOfData() is { } unknown && !KnownEvents.Contains(unknown))
        {
            // Of a later time: its members may have other types.
            return new ResponsesEvent { Type = unknown };
        }
        catch (JsonException e)
        {
            throw errors.NotUnderstood(next.Data, e);
        }
        var type = data?.Type ?? next.Name;
        if (type == "error") throw errors.InStream(ServerSaid.Read(next.Data));
        if (type == "response.failed") throw errors.InStream(data?.Response?.Error is { ValueKind: JsonValueKind.Object } error ? ServerSaid.Read(error) : ServerSaid.Read(next.Data));
        return (data ?? new ResponsesEvent()) with { Type = type };
    }

    IEnumerable<ChatResponseUpdate> End(List<JsonElement> items, ResponsesEvent last, ResponsesRequest request)
    {
        var reason = last.Type == "response.incomplete" ? last.Response?.IncompleteDetails?.Reason ?? "unknown" : null;
        var why = reason == "max_output_tokens" ? string.Create(CultureInfo.InvariantCulture, $"it reached llm.max_tokens ({request.MaxOutputTokens})") : $"the reason given is {reason}";
        var cut = reason is not null && items.Count > 0 && IsCall(items[^1]) && !IsWholeObject(Member(items[^1], "arguments")) ? Member(items[^1], "name") : null;
        if (cut is not null) items.RemoveAt(items.Count - 1);
        var calls = items.Where(IsCall).Select(item => Conversation.ToCall(Member(item, "call_id"), Member(item, "name"), Member(item, "arguments") is { Length: > 0 } json ? json : "{}")).ToList();
        if (cut is not null && calls.Count == 0)
        {
            throw ModelFailure.CutOff(cut, why);
        }
        if (cut is not null) yield return Conversation.Noted($"The answer was cut off in the middle of a call of {cut}, which is not carried out: {why}");
        else if (reason == "content_filter") yield return Conversation.Noted("The answer is cut off: OpenAI's content filter ended it");
        else if (reason is not null) yield return Conversation.Noted($"The answer is cut off: {why}");
        var refused = items.Any(item => Parts(item).Any(part => Member(part, "type") == "refusal"));
        if (refused) yield return Conversation.Noted($"{settings.Model} refused to answer");

        var finish = refused || reason == "content_filter" ? ChatFinishReason.ContentFilter : reason is null ? ChatFinishReason.Stop : ChatFinishReason.Length;
        yield return Conversation.Ended(calls, finish, last.Response?.Usage?.InputTokens, last.Response?.Usage?.OutputTokens, RawOf(items));
    }

    /// <summary>
    /// The items as they came, to be sent again unchanged in their place; null where none is the model's alone. Reasoning that is
    /// not encrypted cannot be read again, nor reasoning after which nothing stands.
    /// </summary>
    static string? RawOf(List<JsonElement> items)
    {
        List<JsonElement> kept = [.. items.Where(item => Member(item, "type") switch { "message" or "function_call" => true, "reasoning" => Member(item, "encrypted_content").Length > 0, _ => false })];
        while (kept.Count > 0 && Member(kept[^1], "type") == "reasoning") kept.RemoveAt(kept.Count - 1);
        return kept.Any(item => Member(item, "type") == "reasoning") ? JsonSerializer.Serialize(kept, ResponsesJson.Default.ListJsonElement) : null;
    }

    ResponsesRequest Request(IReadOnlyList<ChatMessage> messages, ChatOptions? options)
    {
        var system = string.Join("\n\n", messages.Where(message => message.Role == ChatRole.System).Select(message => message.Text));
        var tools = refusesTools ? null : options?.Tools?.OfType<AIFunctionDeclaration>().Select(tool => new ResponsesTool(tool.Name, tool.Description, tool.JsonSchema)).ToList();
        var most = options?.MaxOutputTokens ?? settings.MaxTokens;
        return new ResponsesRequest
        {
            Model = settings.Model,
            Instructions = system.Length > 0 ? system : null,
            Input = [.. messages.Where(message => message.Role != ChatRole.System).SelectMany(ToItems)],
            Tools = tools is { Count: > 0 } ? tools : null,
            ParallelToolCalls = tools is { Count: > 0 } ? true : null,
            // Fewer than 16 are refused.
            MaxOutputTokens = Math.Max(16, Math.Min(most, Providers.Know(settings.Provider, settings.Model)?.Output ?? most)),
            Temperature = refusesTemperature ? null : options?.Temperature ?? settings.Temperature,
            Include = refusesInclude ? null : ["reasoning.encrypted_content"],
        };
    }

    static IEnumerable<JsonElement> ToItems(ChatMessage message)
    {
        if (Conversation.RawArray(message) is { } raw) return raw;
        return message.Contents.Select(content => content switch
        {
            TextContent text when text.Text.Length > 0 => message.Role == ChatRole.Assistant
                ? new ResponsesItem("message") { Role = "assistant", Content = [new("output_text", text.Text)] }
                : new ResponsesItem("message") { Role = "user", Content = [new("input_text", text.Text)] },
            FunctionCallContent call => new ResponsesItem("function_call") { CallId = call.CallId, Name = call.Name, Arguments = Conversation.ObjectOf(call).GetRawText() },
            FunctionResultContent result => new ResponsesItem("function_call_output") { CallId = result.CallId, Output = result.Result?.ToString() ?? "" },
            _ => null,
        }).OfType<ResponsesItem>().Select(item => JsonSerializer.SerializeToElement(item, ResponsesJson.Default.ResponsesItem));
    }

    static string TextOf(IEnumerable<JsonElement> items) => string.Concat(items.SelectMany(Parts).Select(part => Member(part, "text") + Member(part, "refusal")));

    /// <summary>The parts of a message's content; none of any other item.</summary>
    static IEnumerable<JsonElement> Parts(JsonElement item) =>
        Member(item, "type") == "message" && item.TryGetProperty("content", out var content) && content.ValueKind == JsonValueKind.Array ? content.EnumerateArray() : [];

    static bool IsCall(JsonElement item) => Member(item, "type") == "function_call";

    static bool IsWholeObject(string json) => Conversation.ToCall("", "", json).Arguments is not null;

    static string Member(JsonElement item, string name) =>
        item.ValueKind == JsonValueKind.Object && item.TryGetProperty(name, out var member) && member.ValueKind == JsonValueKind.String ? member.GetString()! : "";
}
