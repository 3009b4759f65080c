using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Text.Json;

namespace Stigmer.Agents.Llm;

/// <summary>What goes wrong with Ollama, in words for a person: the same words in a failing run, in <c>local</c> and in <c>status</c>.</summary>
/// <param name="baseUrl">Where Ollama is said to be.</param>
/// <param name="model">The model asked for.</param>
sealed class OllamaErrors(string baseUrl, string model)
{
    /// <summary>The most that is quoted of a body that is not Ollama's JSON, in characters.</summary>
    const int QuotedLength = 500;

    const string LookAround = "`--provider demo` to look around without a model";

    /// <summary>The model refuses tools: the call is to be made again without them.</summary>
    public static bool IsToolsRefused(HttpStatusCode status, string body) =>
        status == HttpStatusCode.BadRequest && TextOf(body).Contains("does not support tools", StringComparison.OrdinalIgnoreCase);

    /// <summary>Nothing answers there.</summary>
    public ModelFailure NotAnswering(Exception caught)
    {
        var socket = Find<SocketException>(caught);
        var request = Find<HttpRequestException>(caught);
        var (why, retryable) = (socket?.SocketErrorCode, request?.HttpRequestError) switch
        {
            (SocketError.ConnectionRefused, _) => ("connection refused", false),
            (_, HttpRequestError.NameResolutionError) => ("there is no host of this name", false),
            (_, HttpRequestError.SecureConnectionError) => (Find<AuthenticationException>(caught)?.Message ?? caught.Message, false),
            (SocketError.TimedOut, _) => ("the connection timed out", true),
            _ when caught is OperationCanceledException => ("no answer in time", true),
            ({ } code, _) => ($"{socket!.Message} ({code})", true),
            _ => (caught.Message, true),
        };
        return NotAnswering(why, retryable, caught);
    }

    /// <summary>Nothing answers there, for a reason that is known already.</summary>
    public ModelFailure NotAnswering(string why, bool retryable, Exception? caught = null) => new(
        $"Ollama does not answer at {baseUrl}",
        why,
        $"Start it with `ollama serve` (to install it: https://ollama.com/download), then `ollama pull {model}`; or use {LookAround}",
        retryable,
        inner: caught);

    /// <summary>It answers, and does not have the model.</summary>
    public ModelFailure NotPulled() => new(
        $"Ollama does not have the model {model}",
        $"it answers at {baseUrl}, but the model was never pulled",
        $"Run `ollama pull {model}`; or use {LookAround}",
        retryable: false);

    /// <summary>A status other than 200.</summary>
    /// <param name="status">The status.</param>
    /// <param name="body">The body, or its beginning.</param>
    /// <param name="retryAfter">The header of this name.</param>
    /// <param name="now">To reckon a date in it.</param>
    /// <param name="window">The window that was asked for, in tokens.</param>
    public ModelFailure From(HttpStatusCode status, string body, RetryConditionHeaderValue? retryAfter, DateTimeOffset now, int window)
    {
        var said = TextOf(body);
        if (Known(said, window) is { } known) return known;
        var number = ((int)status).ToString(CultureInfo.InvariantCulture);
        var why = said.Length > 0 ? $"{said} (status {number})" : $"status {number}";
        switch (status)
        {
            case HttpStatusCode.NotFound when IsOllamas(body):
                return NotPulled();
            case HttpStatusCode.NotFound:
                return new ModelFailure($"There is no Ollama at {baseUrl}", why, "Check llm.base_url: Ollama's own address, such as http://localhost:11434, without /v1", false);
            case HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden:
                return new ModelFailure($"Ollama at {baseUrl} refuses access", why, "For a cloud model run `ollama signin`; behind a proxy, check llm.base_url", false);
            case HttpStatusCode.PaymentRequired:
                return new ModelFailure($"Ollama wants payment for {model}", why, "Check your plan at https://ollama.com, or choose a model that runs on this machine", false);
            case HttpStatusCode.RequestEntityTooLarge:
                return TooLong(why, window);
            case HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests or HttpStatusCode.InternalServerError or HttpStatusCode.BadGateway
                or HttpStatusCode.ServiceUnavailable or HttpStatusCode.GatewayTimeout or (HttpStatusCode)529:
                return new ModelFailure(
                    $"Ollama at {baseUrl} could not answer", why, "Look into Ollama's own log; `ollama ps` shows what it has loaded", true, After(retryAfter, now));
            default:
                return new ModelFailure($"Ollama at {baseUrl} refused the request", why, $"Check that {model} is a chat model and that llm.base_url is Ollama's own address", false);
        }
    }

    /// <summary>A line of the stream that holds an error; the status was 200 long before.</summary>
    public ModelFailure InStream(JsonElement error, int window)
    {
        var said = TextOf(error);
        return Known(said, window)
            ?? new ModelFailure($"Ollama at {baseUrl} broke off its answer", said, "Look into Ollama's own log; `ollama ps` shows what it has loaded", true);
    }

    /// <summary>The stream ended, or fell silent, before the answer did.</summary>
    public ModelFailure Broken(string why, bool retryable = true, Exception? caught = null) => new(
        $"Ollama at {baseUrl} broke off its answer", why, "Look into Ollama's own log; `ollama ps` shows what it has loaded", retryable, inner: caught);

    /// <summary>What came is not Ollama's.</summary>
    public ModelFailure NotUnderstood(string line, bool retryable, Exception caught) => new(
        $"The answer from {baseUrl} cannot be understood",
        $"it is not a line of JSON: {Quoted(line)}",
        "Check llm.base_url: Ollama's own address, such as http://localhost:11434, without /v1",
        retryable,
        inner: caught);

    /// <summary>What Ollama says in a body: the text under <c>error</c>, else the beginning of whatever it is.</summary>
    internal static string TextOf(string body)
    {
        try
        {
            using var document = JsonDocument.Parse(body);
            if (document.RootElement.ValueKind == JsonValueKind.Object && document.RootElement.TryGetProperty("error", out var error)) return TextOf(error);
        }
        catch (JsonException)
        {
            // A proxy's HTML, or plain text: quoted below.
        }
        return Quoted(body);
    }

    static string TextOf(JsonElement error)
    {
        if (error.ValueKind == JsonValueKind.Object && error.TryGetProperty("message", out var message)) return TextOf(message);
        if (error.ValueKind == JsonValueKind.Object && error.TryGetProperty("error", out var inner)) return TextOf(inner);
        if (error.ValueKind != JsonValueKind.String) return Quoted(error.GetRawText());
        var text = error.GetString() ?? "";
        // llama.cpp's own error comes as JSON inside the string.
        return text.StartsWith('{') ? TextOf(text) : Quoted(text);
    }

    static string Quoted(string text)
    {
        text = text.Trim();
        return text.Length <= QuotedLength ? text : text[..(char.IsHighSurrogate(text[QuotedLength - 1]) ? QuotedLength - 1 : QuotedLength)] + "…";
    }

    static bool IsOllamas(string body)
    {
        try
        {
            using var document = JsonDocument.Parse(body);
            return document.RootElement.ValueKind == JsonValueKind.Object && document.RootElement.TryGetProperty("error", out _);
        }
        catch (JsonException)
        {
            return false;
        }
    }

    static TimeSpan? After(RetryConditionHeaderValue? header, DateTimeOffset now)
    {
        var after = header?.Delta ?? (header?.Date - now);
        return after < TimeSpan.Zero ? TimeSpan.Zero : after;
    }

    static T? Find<T>(Exception? caught) where T : Exception
    {
        for (; caught is not null; caught = caught.InnerException)
        {
            if (caught is T found) return found;
        }
        return null;
    }

    /// <summary>What is known by its words, whatever the status: servers differ in it.</summary>
    ModelFailure? Known(string said, int window)
    {
        bool Says(string words) => said.Contains(words, StringComparison.OrdinalIgnoreCase);
        if (Says("context") && (Says("longer than") || Says("exceed") || Says("too long") || Says("too large"))) return TooLong(said, window);
        if (Says("more system memory"))
        {
            return new ModelFailure(
                $"{model} does not fit into this machine's memory", said, "Choose a smaller model, or set llm.context_window to less", false);
        }
        if (Says("model") && Says("not found")) return NotPulled();
        return null;
    }

    ModelFailure TooLong(string why, int window) => new(
        $"The conversation is longer than the window of {model}, {window.ToString(CultureInfo.InvariantCulture)} tokens",
        why,
        "Begin a new run that has less to read, or set llm.context_window to more, as far as the model and the memory allow",
        retryable: false);
}
