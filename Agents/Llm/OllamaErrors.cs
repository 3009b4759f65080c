using System.Globalization;
using System.Net;
using System.Text.Json;

namespace Stigmer.Agents.Llm;

/// <summary>What goes wrong with Ollama, in words for a person: the same words in a failing run, in <c>local</c> and in <c>status</c>.</summary>
/// <param name="baseUrl">Where Ollama is said to be.</param>
/// <param name="model">The model asked for.</param>
sealed class OllamaErrors(string baseUrl, string model) : IServerErrors
{
    const string LookAround = "`--provider demo` to look around without a model";

    /// <summary>The model refuses tools: the call is to be made again without them.</summary>
    public static bool IsToolsRefused(HttpStatusCode status, string body) =>
        status == HttpStatusCode.BadRequest && ServerSaid.Read(body).Says("does not support tools");

    /// <summary>Nothing answers there.</summary>
    public ModelFailure NotAnswering(Exception caught)
    {
        var (why, retryable) = ServerSaid.Unreachable(caught);
        return NotAnswering(why, retryable, caught);
    }

    /// <summary>Nothing answers there, for a reason that is known already.</summary>
    public ModelFailure NotAnswering(string why, bool retryable, Exception? caught = null) => new(
        $"Ollama does not answer at {baseUrl}",
        why,
        $"Start it with `ollama serve` (to install it: https://ollama.com/download), then `stigmer llm pull {model}`; or use {LookAround}",
        retryable,
        inner: caught);

    /// <summary>It answers, and does not have the model.</summary>
    public ModelFailure NotPulled() => new(
        $"Ollama does not have the model {model}",
        $"it answers at {baseUrl}, but the model was never pulled",
        $"Run `stigmer llm pull {model}`; or use {LookAround}",
        retryable: false);

    /// <summary>It cannot fetch the model.</summary>
    /// <param name="said">What it says.</param>
    /// <param name="status">The status; 0: it was 200 long before.</param>
    public ModelFailure NotPullable(ServerSaid said, int status)
    {
        if (said.Says("file does not exist") || said.Says("not found") || said.Says("invalid model name"))
        {
            return new ModelFailure(
                $"Ollama's library has no model {model}", said.Text, "Check the name and its tag at https://ollama.com/library; for example: qwen2.5-coder:7b, qwen3:8b", retryable: false);
        }
        var full = said.Says("no space left");
        return new ModelFailure(
            $"Ollama could not fetch {model}",
            status == 0 ? said.Text : $"{said.Text} (status {status.ToString(CultureInfo.InvariantCulture)})",
            full ? "Make room where Ollama keeps its models" : "Check Ollama's way to the internet; the same command goes on where it stopped",
            retryable: !full && status is 0 or 408 or 429 or >= 500);
    }

    /// <summary>A status other than 200.</summary>
    /// <param name="status">The status.</param>
    /// <param name="body">The body, or its beginning.</param>
    /// <param name="retryAfter">When it says to come again.</param>
    /// <param name="window">The window that was asked for, in tokens.</param>
    public ModelFailure From(HttpStatusCode status, string body, TimeSpan? retryAfter, int window)
    {
        var said = ServerSaid.Read(body);
        if (Known(said, window) is { } known) return known;
        var number = ((int)status).ToString(CultureInfo.InvariantCulture);
        var why = said.Text.Length > 0 ? $"{said.Text} (status {number})" : $"status {number}";
        switch (status)
        {
            case HttpStatusCode.NotFound when said.IsJson:
                return NotPulled();
            case HttpStatusCode.NotFound:
                return new ModelFailure($"There is no Ollama at {baseUrl}", why, "Check llm.base_url: Ollama's own address, such as http://localhost:11434, without /v1", false);
            case HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden:
                return new ModelFailure($"Ollama at {baseUrl} refuses access", why, "For a cloud model run `ollama signin`; behind a proxy, check llm.base_url", false);
            case HttpStatusCode.PaymentRequired:
                return new ModelFailure($"Ollama wants payment for {model}", why, "Check your plan at https://ollama.com, or choose a model that runs on this machine", false);
            case HttpStatusCode.RequestEntityTooLarge:
                return TooLong(why, window);
            case HttpStatusCode.RequestTimeout or HttpStatusCode.Conflict or HttpStatusCode.TooManyRequests or HttpStatusCode.InternalServerError or HttpStatusCode.BadGateway
                or HttpStatusCode.ServiceUnavailable or HttpStatusCode.GatewayTimeout or (HttpStatusCode)529:
                return new ModelFailure(
                    $"Ollama at {baseUrl} could not answer", why, "Look into Ollama's own log; `ollama ps` shows what it has loaded", true, retryAfter);
            default:
                return new ModelFailure($"Ollama at {baseUrl} refused the request", why, $"Check that {model} is a chat model and that llm.base_url is Ollama's own address", false);
        }
    }

    /// <summary>A line of the stream that holds an error; the status was 200 long before.</summary>
    public ModelFailure InStream(JsonElement error, int window)
    {
        var said = ServerSaid.Read(error);
        return Known(said, window)
            ?? new ModelFailure($"Ollama at {baseUrl} broke off its answer", said.Text, "Look into Ollama's own log; `ollama ps` shows what it has loaded", true);
    }

    /// <summary>The stream ended, or fell silent, before the answer did.</summary>
    public ModelFailure Broken(string why, bool retryable = true, Exception? caught = null) => new(
        $"Ollama at {baseUrl} broke off its answer", why, "Look into Ollama's own log; `ollama ps` shows what it has loaded", retryable, inner: caught);

    /// <summary>What came is not Ollama's.</summary>
    public ModelFailure NotUnderstood(string line, bool retryable, Exception caught) => new(
        $"The answer from {baseUrl} cannot be understood",
        $"it is not a line of JSON: {ServerSaid.Quoted(line)}",
        "Check llm.base_url: Ollama's own address, such as http://localhost:11434, without /v1",
        retryable,
        inner: caught);

    /// <summary>What is known by its words, whatever the status: servers differ in it.</summary>
    ModelFailure? Known(ServerSaid said, int window)
    {
        if (said.IsTooLong || (said.Says("context") && (said.Says("longer than") || said.Says("exceed")))) return TooLong(said.Text, window);
        if (said.Says("more system memory"))
        {
            return new ModelFailure(
                $"{model} does not fit into this machine's memory", said.Text, "Choose a smaller model, or set llm.context_window to less", false);
        }
        if (said.Says("model") && said.Says("not found")) return NotPulled();
        return null;
    }

    /// <summary>The conversation does not fit.</summary>
    public ModelFailure TooLong(string why, int window) => new(
        $"The conversation is longer than the window of {model}, {window.ToString(CultureInfo.InvariantCulture)} tokens",
        why,
        "Begin a new run that has less to read, or set llm.context_window to more, as far as the model and the memory allow",
        retryable: false)
    {
        TooLong = true,
    };
}
