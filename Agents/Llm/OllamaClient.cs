using System.Net;
using System.Net.Http.Json;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.AI;
using Stigmer.Config;

namespace Stigmer.Agents.Llm;

/// <summary>
/// Ollama's native /api/chat, streamed. One call of it is one request, never repeated in here (but without tools, where the
/// model turns out to take none). What it learns about the model, its window above all, holds for the client's life.
/// </summary>
sealed class OllamaClient : IChatClient, IWindowed
{
    /// <summary>The window that is asked for where the configuration says nothing: enough for an agent, 2 GB of memory for a 7B model.</summary>
    public const int DefaultWindow = 32768;

    /// <summary>
    /// From the request to the first byte. Headers come when the model is loaded and has read the prompt: minutes each, on a
    /// cold disk and without a GPU; to give up would end the load too.
    /// </summary>
    static readonly TimeSpan FirstByte = TimeSpan.FromMinutes(30);

    /// <summary>For the description of a model, which Ollama reads from a small file.</summary>
    static readonly TimeSpan Description = TimeSpan.FromSeconds(30);

    readonly LlmSettings settings;
    readonly TimeProvider time;
    readonly Uri root;
    readonly HttpClient http;
    readonly OllamaErrors errors;
    int window;
    volatile bool refusesTools;

    /// <summary>Connects to nothing yet.</summary>
    /// <exception cref="ModelFailure">The base URL is none.</exception>
    public OllamaClient(LlmSettings settings, TimeProvider time, HttpMessageHandler? handler)
    {
        this.settings = settings;
        this.time = time;
        root = LlmHttp.OllamaRoot(settings.BaseUrl);
        http = LlmHttp.Client(handler);
        errors = new OllamaErrors(settings.BaseUrl, settings.Model);
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var offered = options?.Tools?.OfType<AIFunctionDeclaration>().ToList() ?? [];
        var numCtx = await Window(cancellationToken).ConfigureAwait(false);
        var request = Request([.. messages.Select(ToWire).SelectMany(message => message)], numCtx, options);

        using var exchange = new Exchange(http, errors, FirstByte, time, cancellationToken);
        var taken = offered.Count > 0 && !refusesTools && await Send(request with { Tools = [.. offered.Select(ToWire)] }, numCtx, exchange).ConfigureAwait(false);
        if (!taken)
        {
            if (offered.Count > 0) yield return Conversation.Noted($"{settings.Model} takes no tools: it answers without them. Models that take them: qwen3:8b, qwen2.5-coder:7b");
            offered.Clear();
            if (!await Send(request, numCtx, exchange).ConfigureAwait(false))
            {
                throw new ModelFailure($"Ollama refuses {settings.Model} for its tools", "none were offered", null, retryable: false);
            }
        }
        await foreach (var update in Answer(exchange, request, offered).ConfigureAwait(false)) yield return update;
    }

    /// <inheritdoc/>
    public async ValueTask<int?> MostInput(CancellationToken cancel)
    {
        var all = await Window(cancel).ConfigureAwait(false);
        // The answer gets what the conversation leaves; a quarter at least, or what it may have.
        return all - Math.Min(settings.MaxTokens, all / 4);
    }

    /// <inheritdoc/>
    public ModelFailure TooLong(string why) => errors.TooLong(why, settings.ContextWindow ?? Volatile.Read(ref window));

    /// <inheritdoc/>
    public Task<ChatResponse> GetResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
        GetStreamingResponseAsync(messages, options, cancellationToken).ToChatResponseAsync(cancellationToken);

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null) => serviceType.IsInstanceOfType(this) ? this : null;

    /// <inheritdoc/>
    public void Dispose() => http.Dispose();

    /// <summary>False where the model refuses tools, which is remembered.</summary>
    async Task<bool> Send(OllamaRequest request, int numCtx, Exchange exchange)
    {
        using var message = new HttpRequestMessage(HttpMethod.Post, new Uri(root, "api/chat"));
        message.Content = LlmHttp.Json(request, OllamaJson.Default.OllamaRequest);
        var response = await exchange.Send(message).ConfigureAwait(false);
        if (response.StatusCode == HttpStatusCode.OK) return true;

        var body = await exchange.Refusal().ConfigureAwait(false);
        if (request.Tools is null || !OllamaErrors.IsToolsRefused(response.StatusCode, body))
        {
            throw errors.From(response.StatusCode, body, ServerSaid.RetryAfter(response.Headers, time.GetUtcNow()), numCtx);
        }
        refusesTools = true;
        return false;
    }

    async IAsyncEnumerable<ChatResponseUpdate> Answer(
        Exchange exchange, OllamaRequest request, IReadOnlyList<AIFunctionDeclaration> offered)
    {
        var text = offered.Count > 0 ? new TextCalls(offered.Select(tool => tool.Name)) : null;
        var thinking = new StringBuilder();
        var calls = new List<FunctionCallContent>();
        var lines = await exchange.Lines().ConfigureAwait(false);
        while (true)
        {
            var chunk = await Next(lines, request.Options.NumCtx, exchange).ConfigureAwait(false);
            thinking.Append(chunk.Message?.Thinking);
            foreach (var call in chunk.Message?.ToolCalls ?? [])
            {
                if (call.Function?.Name is not { Length: > 0 } name) continue;
                calls.Add(Conversation.ToCall(call.Id is { ValueKind: JsonValueKind.String } id ? id.GetString()! : "", name, ArgumentsOf(call.Function)));
            }
            if (chunk.Message?.Content is { Length: > 0 } content)
            {
                var shown = text is null ? content : text.Push(content);
                if (shown.Length > 0) yield return new ChatResponseUpdate(ChatRole.Assistant, shown);
            }
            if (!chunk.Done) continue;

            if (text?.Finish(calls.Count > 0) is { } rest)
            {
                if (chunk.DoneReason == "length" && text.IsHeld && calls.Count == 0 && rest.Calls.Count == 0) throw ModelFailure.CutOff("a tool", Full(request));
                if (rest.Text.Length > 0) yield return new ChatResponseUpdate(ChatRole.Assistant, rest.Text);
                calls.AddRange(rest.Calls.Select(call => Conversation.ToCall("", call.Name, call.Arguments)));
            }
            if (IsShortened(chunk, request)) yield return Conversation.Noted("The conversation is longer than the model's window; Ollama left out part of it");
            if (chunk.DoneReason == "length")
            {
                yield return Conversation.Noted($"The answer is cut off: {Full(request)}");
            }
            yield return Conversation.Ended(
                calls, chunk.DoneReason == "length" ? ChatFinishReason.Length : ChatFinishReason.Stop, chunk.PromptEvalCount, chunk.EvalCount,
                thinking.Length > 0 ? OllamaRaw.From(thinking.ToString()) : null);
            yield break;
        }
    }

    /// <summary>The next line of the answer, which is not an error.</summary>
    async Task<OllamaChunk> Next(LineReader lines, int numCtx, Exchange exchange)
    {
        var line = await exchange.Read(lines.NextFilled).ConfigureAwait(false);
        if (line is not { } bytes) throw errors.Broken("the stream ended before the answer did");
        OllamaChunk? chunk;
        try
        {
            chunk = JsonSerializer.Deserialize(bytes.Span, OllamaJson.Default.OllamaChunk);
        }
        catch (JsonException e)
        {
            // A web page tells a wrong address; anything else, a stream cut in the middle of a line.
            throw errors.NotUnderstood(Encoding.UTF8.GetString(bytes.Span), retryable: bytes.Span.TrimStart(" \t"u8)[0] != (byte)'<', e);
        }
        if (chunk?.Error is { ValueKind: not (JsonValueKind.Null or JsonValueKind.Undefined) } error) throw errors.InStream(error, numCtx);
        return chunk ?? new OllamaChunk();
    }

    /// <summary>
    /// num_ctx: what is configured, else the smaller of 32768 and what the model was trained for. Decided once, since a change
    /// of it reloads the model. A server that does not describe the model gets 32768, which it cuts to what it has.
    /// </summary>
    async Task<int> Window(CancellationToken cancel)
    {
        if (settings.ContextWindow is { } configured) return configured;
        if (Volatile.Read(ref window) is > 0 and var known) return known;
        var decided = Math.Min(DefaultWindow, await TrainedWindow(cancel).ConfigureAwait(false) ?? DefaultWindow);
        return Interlocked.CompareExchange(ref window, decided, 0) is > 0 and var others ? others : decided;
    }

    async Task<int?> TrainedWindow(CancellationToken cancel)
    {
        using var timer = new CancellationTokenSource(Description, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel, timer.Token);
        try
        {
            using var asked = LlmHttp.Json(new OllamaShowRequest(settings.Model), OllamaJson.Default.OllamaShowRequest);
            using var response = await http.PostAsync(new Uri(root, "api/show"), asked, either.Token).ConfigureAwait(false);
            // Whatever is wrong, the call itself will tell it better: a proxy may not even have this path.
            if (!response.IsSuccessStatusCode) return null;
            var show = await response.Content.ReadFromJsonAsync(OllamaJson.Default.OllamaShow, either.Token).ConfigureAwait(false);
            return show?.ModelInfo is { } info ? TrainedWindow(info) : null;
        }
        catch (JsonException)
        {
            return null;
        }
        catch (OperationCanceledException) when (timer.IsCancellationRequested && !cancel.IsCancellationRequested)
        {
            return null;
        }
        catch (Exception e) when (e is HttpRequestException or IOException || (e is OperationCanceledException && !cancel.IsCancellationRequested))
        {
            throw errors.NotAnswering(e);
        }
    }

    internal static int? TrainedWindow(IReadOnlyDictionary<string, JsonElement> info)
    {
        var architecture = info.TryGetValue("general.architecture", out var name) && name.ValueKind == JsonValueKind.String ? name.GetString() : null;
        foreach (var (key, value) in info)
        {
            var isWindow = architecture is null ? key.EndsWith(".context_length", StringComparison.Ordinal) : key == architecture + ".context_length";
            if (isWindow && value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var tokens) && tokens > 0) return tokens;
        }
        return null;
    }

    OllamaRequest Request(IReadOnlyList<OllamaMessage> messages, int numCtx, ChatOptions? options) => new()
    {
        Model = settings.Model,
        Messages = messages,
        Options = new OllamaOptions
        {
            NumCtx = numCtx,
            NumPredict = options?.MaxOutputTokens ?? settings.MaxTokens,
            Temperature = options?.Temperature is { } temperature ? temperature : settings.Temperature,
        },
    };

    static OllamaTool ToWire(AIFunctionDeclaration tool) =>
        new("function", new OllamaToolFunction(tool.Name, tool.Description, tool.JsonSchema));

    static IEnumerable<OllamaMessage> ToWire(ChatMessage message)
    {
        var results = message.Contents.OfType<FunctionResultContent>().ToList();
        if (results.Count > 0)
        {
            return results.Select(result => new OllamaMessage { Role = "tool", Content = result.Result?.ToString() ?? "", ToolName = Conversation.ToolOf(result) });
        }
        var calls = message.Contents.OfType<FunctionCallContent>().Select(ToWire).ToList();
        return [new OllamaMessage
        {
            Role = message.Role.Value,
            Content = message.Text,
            Thinking = message.AdditionalProperties?.GetValueOrDefault(Conversation.Raw) is string raw ? OllamaRaw.ThinkingOf(raw) : null,
            ToolCalls = calls.Count > 0 ? calls : null,
        }];
    }

    static OllamaCall ToWire(FunctionCallContent call) =>
        new() { Function = new OllamaFunction { Name = call.Name, Arguments = Conversation.ObjectOf(call) } };

    /// <summary>What the model wrote, as JSON text: some servers send the object as a string.</summary>
    static string ArgumentsOf(OllamaFunction function) => function.Arguments switch
    {
        { ValueKind: JsonValueKind.String } text => text.GetString()!,
        { ValueKind: not (JsonValueKind.Null or JsonValueKind.Undefined) } value => value.GetRawText(),
        _ => "{}",
    };

    static string Full(OllamaRequest request) =>
        FormattableString.Invariant($"it reached llm.max_tokens ({request.Options.NumPredict}) or the end of the model's window ({request.Options.NumCtx})");

    /// <summary>
    /// An older server, which does not know truncate, cut the prompt in silence: to half of the window and two tokens, where the
    /// text has so many characters that no tokenizer makes that few tokens of it.
    /// </summary>
    static bool IsShortened(OllamaChunk chunk, OllamaRequest request) =>
        chunk.PromptEvalCount is { } read && Math.Abs(read - (request.Options.NumCtx / 2)) <= 8
        && request.Messages.Sum(message => (long)(message.Content?.Length ?? 0)) / 4 > request.Options.NumCtx * 3L / 4;
}

/// <summary>What the transcript keeps of an answer for the model that gave it.</summary>
sealed record OllamaRaw(string Thinking)
{
    /// <summary>As JSON text.</summary>
    public static string From(string thinking) => JsonSerializer.Serialize(new OllamaRaw(thinking), OllamaRawJson.Default.OllamaRaw);

    /// <summary>The thinking; null where the text is none of ours.</summary>
    public static string? ThinkingOf(string raw)
    {
        try
        {
            return JsonSerializer.Deserialize(raw, OllamaRawJson.Default.OllamaRaw)?.Thinking;
        }
        catch (JsonException)
        {
            // Without it the conversation goes on all the same.
            return null;
        }
    }
}

/// <summary>JSON of <see cref="OllamaRaw"/>.</summary>
[System.Text.Json.Serialization.JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[System.Text.Json.Serialization.JsonSerializable(typeof(OllamaRaw))]
sealed partial class OllamaRawJson : System.Text.Json.Serialization.JsonSerializerContext;
