using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Microsoft.Extensions.AI;
using Stigmer.Config;

namespace Stigmer.Agents.Llm;

/// <summary>
/// Anthropic's Messages API, streamed. One call of it is one request, but where the model says that it has only paused. No
/// sampling parameter is sent unless the person set one and the model takes it: newer models refuse them.
/// </summary>
sealed class AnthropicClient : IChatClient, IWindowed
{
    /// <summary>The version of the API, a header without which nothing is answered.</summary>
    const string ApiVersion = "2023-06-01";

    /// <summary>The most that one answer goes on after a pause of the model.</summary>
    const int MostPauses = 8;

    /// <summary>From the request to the first byte.</summary>
    static readonly TimeSpan FirstByte = TimeSpan.FromMinutes(10);

    static readonly string[] KnownEvents = ["error", "message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop"];

    readonly LlmSettings settings;
    readonly Secret? key;
    readonly TimeProvider time;
    readonly Uri root;
    readonly HttpClient http;
    readonly HostedErrors errors;
    volatile bool refusesTemperature;
    int window;

    /// <summary>Connects to nothing yet.</summary>
    /// <exception cref="ModelFailure">The base URL is none.</exception>
    public AnthropicClient(LlmSettings settings, Secret? key, TimeProvider time, HttpMessageHandler? handler)
    {
        (this.settings, this.key, this.time) = (settings, key, time);
        root = Root(settings.BaseUrl);
        http = LlmHttp.Client(handler);
        errors = new HostedErrors(settings, key, time);
        refusesTemperature = !Providers.TakesTemperature(settings.Provider, settings.Model);
        window = Providers.Know(settings.Provider, settings.Model)?.Window ?? 0;
    }

    /// <inheritdoc/>
    public ValueTask<int?> MostInput(CancellationToken cancel) =>
        new(Volatile.Read(ref window) is > 0 and var all ? all - Math.Min(settings.MaxTokens, all / 4) : null);

    /// <inheritdoc/>
    public ModelFailure TooLong(string why) => errors.TooLong(why);

    /// <inheritdoc/>
    public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var request = Request([.. messages], options);
        var answer = new AnthropicAnswer();
        using var exchange = new Exchange(http, errors, FirstByte, time, cancellationToken);
        for (var pauses = 0; ; pauses++)
        {
            while (!await Send(request, exchange).ConfigureAwait(false)) request = request with { Temperature = null };
            var events = await exchange.Events().ConfigureAwait(false);
            while (!answer.IsWhole)
            {
                if (answer.Add(await Next(events, exchange).ConfigureAwait(false)) is { Length: > 0 } text) yield return new ChatResponseUpdate(ChatRole.Assistant, text);
            }
            if (answer.StopReason != "pause_turn" || pauses == MostPauses) break;
            // The model goes on where it paused when it is shown what it has written.
            request = request with { Messages = [.. request.Messages, new AnthropicMessage("assistant", answer.Pause())] };
        }
        foreach (var note in Notes(answer, request.MaxTokens)) yield return Conversation.Noted(note);
        var calls = answer.Calls();
        if (calls.Count == 0 && answer.CutOff is { } cut)
        {
            throw ModelFailure.CutOff(cut, Why(answer, request.MaxTokens));
        }
        yield return Conversation.Ended(calls, answer.StopReason switch
        {
            "max_tokens" or "model_context_window_exceeded" or "pause_turn" => ChatFinishReason.Length,
            "refusal" => ChatFinishReason.ContentFilter,
            _ => ChatFinishReason.Stop,
        }, answer.InputTokens, answer.OutputTokens, answer.Raw());
    }

    /// <inheritdoc/>
    public Task<ChatResponse> GetResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
        GetStreamingResponseAsync(messages, options, cancellationToken).ToChatResponseAsync(cancellationToken);

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null) => serviceType.IsInstanceOfType(this) ? this : null;

    /// <inheritdoc/>
    public void Dispose() => http.Dispose();

    /// <summary>False where the model takes no temperature, which is remembered.</summary>
    async Task<bool> Send(AnthropicRequest request, Exchange exchange)
    {
        using var message = new HttpRequestMessage(HttpMethod.Post, new Uri(root, "v1/messages"));
        Authorize(message, key);
        message.Content = LlmHttp.Json(request, AnthropicJson.Default.AnthropicRequest);
        var response = await exchange.Send(message).ConfigureAwait(false);
        if ((int)response.StatusCode != 200)
        {
            var body = await exchange.Refusal().ConfigureAwait(false);
            if ((int)response.StatusCode == 400 && request.Temperature is not null && ServerSaid.Read(body).Blames("temperature")) return !(refusesTemperature = true);
            var failure = errors.From((int)response.StatusCode, body, response.Headers);
            // A model that the table does not know tells its window so.
            if (failure.Window is { } told) Volatile.Write(ref window, told);
            throw failure;
        }
        return LlmHttp.IsEventStream(response) ? true : throw errors.NoStream(await exchange.Refusal().ConfigureAwait(false));
    }

    /// <summary>The root of the API: written with or without a slash at the end, <c>/v1</c> or <c>/v1/messages</c>.</summary>
    /// <exception cref="ModelFailure">It is no http address.</exception>
    public static Uri Root(string baseUrl) => LlmHttp.Root(baseUrl, "https://api.anthropic.com", "/messages", "/v1");

    /// <summary>The headers of every request.</summary>
    public static void Authorize(HttpRequestMessage message, Secret? key)
    {
        message.Headers.Add("anthropic-version", ApiVersion);
        if (key is not null) message.Headers.Add("x-api-key", key.Reveal());
    }

    async Task<AnthropicEvent> Next(SseReader events, Exchange exchange)
    {
        if (await exchange.Read(events.Next).ConfigureAwait(false) is not { } next) throw errors.Broken("the stream ended before the answer did");
        AnthropicEvent? data;
        try
        {
            data = JsonSerializer.Deserialize(next.Data, AnthropicJson.Default.AnthropicEvent);
        }
        catch (JsonException) when (next.TypeOfData() is { } unknown && !KnownEvents.Contains(unknown))
        {
            // Of a later time: its members may have other types.
            return new AnthropicEvent { Type = unknown };
        }
        catch (JsonException e)
        {
            throw errors.NotUnderstood(next.Data, e);
        }
        var type = data?.Type ?? next.Name;
        if (type == "error" || data?.Error is { ValueKind: JsonValueKind.Object }) throw errors.InStream(ServerSaid.Read(data?.Error ?? JsonElement.Parse(next.Data)));
        return (data ?? new AnthropicEvent()) with { Type = type };
    }

    AnthropicRequest Request(IReadOnlyList<ChatMessage> messages, ChatOptions? options)
    {
        var system = string.Join("\n\n", messages.Where(message => message.Role == ChatRole.System).Select(message => message.Text));
        var tools = options?.Tools?.OfType<AIFunctionDeclaration>().Select(tool => new AnthropicTool(tool.Name, tool.Description, tool.JsonSchema)).ToList();
        var most = options?.MaxOutputTokens ?? settings.MaxTokens;
        return new AnthropicRequest
        {
            Model = settings.Model,
            MaxTokens = Math.Min(most, Providers.Know(settings.Provider, settings.Model)?.Output ?? most),
            System = system.Length > 0 ? system : null,
            Messages = ToWire(messages),
            Tools = tools is { Count: > 0 } ? tools : null,
            Temperature = refusesTemperature ? null : options?.Temperature ?? settings.Temperature,
        };
    }

    /// <summary>
    /// Messages whose roles alternate: the results of one answer's calls stand together in the message after it, before any text.
    /// Blocks of white space alone are refused and left out.
    /// </summary>
    static List<AnthropicMessage> ToWire(IReadOnlyList<ChatMessage> messages)
    {
        var wire = new List<AnthropicMessage>();
        foreach (var message in messages.Where(message => message.Role != ChatRole.System))
        {
            var role = message.Role == ChatRole.Assistant ? "assistant" : "user";
            var blocks = Conversation.RawArray(message) is { } raw
                ? raw
                : message.Contents.SelectMany(ToBlock).ToList();
            if (blocks.Count == 0) continue;
            if (wire.Count > 0 && wire[^1].Role == role) wire[^1].Content.AddRange(blocks);
            else wire.Add(new AnthropicMessage(role, blocks));
        }
        return wire;
    }

    static IEnumerable<JsonElement> ToBlock(AIContent content)
    {
        switch (content)
        {
            case TextContent text when !string.IsNullOrWhiteSpace(text.Text):
                yield return Element(new AnthropicBlock("text") { Text = text.Text });
                break;
            case FunctionCallContent call:
                yield return Element(new AnthropicBlock("tool_use") { Id = call.CallId, Name = call.Name, Input = Conversation.ObjectOf(call) });
                break;
            case FunctionResultContent result:
                var said = result.Result?.ToString();
                yield return Element(new AnthropicBlock("tool_result")
                {
                    ToolUseId = result.CallId,
                    Content = string.IsNullOrWhiteSpace(said) ? null : said,
                    IsError = Conversation.IsFailed(result) ? true : null,
                });
                break;
        }
    }

    static JsonElement Element(AnthropicBlock block) => JsonSerializer.SerializeToElement(block, AnthropicJson.Default.AnthropicBlock);

    IEnumerable<string> Notes(AnthropicAnswer answer, int maxTokens)
    {
        if (answer.StopReason is "max_tokens" or "model_context_window_exceeded")
        {
            yield return answer.CutOff is { } tool
                ? $"The answer was cut off in the middle of a call of {tool}, which is not carried out: {Why(answer, maxTokens)}"
                : $"The answer is cut off: {Why(answer, maxTokens)}";
        }
        if (answer.StopReason == "refusal") yield return $"{settings.Model} refused to answer{(answer.Refusal is { } why ? $": {why}" : "")}";
        if (answer.StopReason == "pause_turn") yield return $"{settings.Model} paused again and again, and its answer is not complete";
    }

    static string Why(AnthropicAnswer answer, int maxTokens) => answer.StopReason == "max_tokens"
        ? string.Create(CultureInfo.InvariantCulture, $"it reached llm.max_tokens ({maxTokens})")
        : "the model's window is full";
}
