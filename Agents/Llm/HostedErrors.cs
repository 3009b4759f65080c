using System.Globalization;
using System.Net.Http.Headers;
using Stigmer.Config;

namespace Stigmer.Agents.Llm;

/// <summary>What goes wrong with Anthropic, with OpenAI and with servers that speak their protocols, in words for a person.</summary>
/// <param name="settings">The model asked for, and where.</param>
/// <param name="key">The key that is sent: it stands in no message, even where a server repeats it.</param>
/// <param name="time">To reckon dates in headers.</param>
sealed class HostedErrors(LlmSettings settings, Secret? key, TimeProvider time) : IServerErrors
{
    readonly bool own = Providers.IsOwnHost(settings.Provider, settings.BaseUrl);

    /// <summary>Who is complained about.</summary>
    public string Subject => own ? settings.Provider.Title() : $"The model server at {settings.BaseUrl}";

    string SomeKey => $"{settings.Provider.KeyVariable()} (or {Secrets.ChosenKeyVariable})";

    /// <inheritdoc/>
    public ModelFailure NotAnswering(Exception caught)
    {
        var (why, retryable) = ServerSaid.Unreachable(caught);
        // The provider's own host exists, and is not refused for good: a network that is away comes back.
        retryable |= own && caught is HttpRequestException { HttpRequestError: HttpRequestError.NameResolutionError or HttpRequestError.ConnectionError };
        var remedy = own || !Providers.IsLocal(settings.BaseUrl)
            ? "Check the network, HTTPS_PROXY and llm.base_url"
            : "Start it, or check llm.base_url";
        return new ModelFailure(own ? $"{Subject} cannot be reached at {settings.BaseUrl}" : $"{Subject} does not answer", why, remedy, retryable, inner: caught);
    }

    /// <inheritdoc/>
    public ModelFailure Broken(string why, bool retryable = true, Exception? caught = null) =>
        new($"{Subject} broke off its answer", why, "Try again later; if it goes on, look at the provider's status page or the server's own log", retryable, inner: caught);

    /// <summary>What came is not of this protocol. A web page comes of a wrong address, anything else of a torn stream.</summary>
    public ModelFailure NotUnderstood(string text, Exception? caught = null) => new(
        $"The answer of {Lower(Subject)} cannot be understood",
        $"it is not JSON of this protocol: {ServerSaid.Quoted(text)}",
        "Check llm.base_url, and whether a proxy answers in the place of the server",
        retryable: !text.AsSpan().TrimStart().StartsWith("<"),
        inner: caught);

    /// <summary>A body that is no stream under a status of 200: an error, or something that asking again does not change.</summary>
    public ModelFailure NoStream(string body)
    {
        var said = ServerSaid.Read(body);
        if (said.IsJson && body.Contains("\"error\"", StringComparison.Ordinal)) return InStream(said);
        return new ModelFailure(
            $"The answer of {Lower(Subject)} cannot be understood", $"it is no stream of events: {ServerSaid.Quoted(body)}",
            "Check llm.base_url, and whether a proxy answers in the place of the server", retryable: false);
    }

    /// <summary>A status other than 200.</summary>
    public ModelFailure From(int status, string body, HttpResponseHeaders headers)
    {
        var said = ServerSaid.Read(body);
        var told = headers.TryGetValues("x-should-retry", out var should) ? should.First() : null;
        if (status is >= 300 and < 400)
        {
            return new ModelFailure($"{Subject} sends us elsewhere", $"status {status}, to {headers.Location?.ToString() ?? "nowhere"}", "Set llm.base_url to the address itself", retryable: false);
        }
        return From(status, string.Create(CultureInfo.InvariantCulture, $"status {status}"), said, ServerSaid.RetryAfter(headers, time.GetUtcNow()), told, IdOf(headers));
    }

    /// <summary>An error in a stream whose status was 200 long before, or in a response that says it failed.</summary>
    public ModelFailure InStream(ServerSaid said) => From(StatusOf(said), null, said, retryAfter: null, told: null, id: null);

    ModelFailure From(int status, string? shown, ServerSaid said, TimeSpan? retryAfter, string? told, string? id)
    {
        var text = key is null ? said.Text : said.Text.Replace(key.Reveal(), "***", StringComparison.Ordinal);
        var about = string.Join(", ", new[] { shown, said.Type ?? said.Code, id }.Where(part => part is not null));
        var why = text.Length == 0 ? about : about.Length == 0 ? text : $"{text} ({about})";
        if (retryAfter > TimeSpan.FromMinutes(1)) why += string.Create(CultureInfo.InvariantCulture, $"; it says to come again in {retryAfter.Value.TotalMinutes:0.#} minutes");
        ModelFailure For(string what, string? remedy, bool retryable = false) =>
            new(what, why, remedy, retryable && told != "false", retryable ? retryAfter : null);

        // Before everything else: a rate limit may speak of tokens, too.
        var limited = status is 429 or 503 or 529 || (said.Type ?? "").StartsWith("rate_limit", StringComparison.Ordinal);
        if (!limited && said.IsTooLong) return TooLong(why, said.Window);
        if (IsQuota(status, said, retryAfter))
        {
            return For(
                $"{Subject} gives no more: the account's credit or its spending limit is used up",
                own ? $"Look at the billing page of your {settings.Provider.Title()} account, then `stigmer runs resume` the run" : "Look at your account there");
        }
        switch (status)
        {
            case 401:
                return For(
                    key is null ? $"{Subject} wants an API key" : $"{Subject} does not accept the API key",
                    $"{(key is null ? "Set" : "Check")} {SomeKey}, then run: stigmer local restart");
            case 403:
                return For($"{Subject} refuses access to {settings.Model}", $"Check what the key in {SomeKey} may use, and whether the provider serves your region");
            case 404 when IsUnknownModel(said):
                return UnknownModel(why);
            case 404 or 405:
                return For($"There is no {(settings.Provider == LlmProvider.Anthropic ? "Anthropic" : "OpenAI-compatible")} API at {settings.BaseUrl}", "Check llm.base_url");
            case 400 when IsUnknownModel(said):
                return UnknownModel(why);
            case 407:
                return For("The proxy wants a login", "Put it into HTTPS_PROXY: http://USER:PASSWORD@HOST:PORT");
            case 408 or 409 or 425 or 429 or >= 500:
                return For(
                    status == 429 ? $"{Subject} asks to slow down" : status is 503 or 529 ? $"{Subject} is overloaded" : $"{Subject} could not answer",
                    "Try again later; `stigmer runs resume` goes on from here",
                    retryable: status is not (501 or 505));
            case 400 when said.Blames("max_tokens") || said.Blames("max_output_tokens") || said.Blames("max_completion_tokens") || said.Says("max_tokens:"):
                return For($"{Subject} refused the request", "Set llm.max_tokens to less");
            default:
                return For($"{Subject} refused the request", $"Check that {settings.Model} is a chat model and that llm.base_url is right", told == "true");
        }
    }

    /// <summary>The conversation does not fit.</summary>
    public ModelFailure TooLong(string why, int? window = null) => new(
        $"The conversation is longer than the window of {settings.Model}",
        why,
        $"Begin a new run that has less to read{(own ? ", or choose a model with a larger window" : ", or start the server with a larger context")}",
        retryable: false)
    {
        TooLong = true,
        Window = window,
    };

    /// <summary>It answers, and what it lists is something else.</summary>
    public ModelFailure NotListed(IReadOnlyList<string> names) => new(
        $"{Subject} does not list the model {settings.Model}",
        names.Count == 0 ? "it lists none" : $"it lists {string.Join(", ", names.Take(5))}{(names.Count > 5 ? $" and {names.Count - 5} more" : "")}",
        "llm.model, STIGMER_LLM_MODEL or --model names one",
        retryable: false);

    ModelFailure UnknownModel(string why)
    {
        // A gateway serves the provider's models by their names; any other server has its own.
        var isTheirs = own || settings.Provider == LlmProvider.Anthropic || Providers.GptVersion(settings.Model) is not null;
        var known = isTheirs ? Providers.Nearest(settings.Provider, settings.Model) : null;
        return new ModelFailure(
            $"{Subject} does not know the model {settings.Model}",
            why,
            (known is null ? "" : $"Did you mean {known}? ") + "`stigmer llm list` shows the models there; llm.model, STIGMER_LLM_MODEL or --model names one",
            retryable: false);
    }

    bool IsUnknownModel(ServerSaid said) =>
        said.Code == "model_not_found"
        // A wrong path is answered with the same type.
        || (said.Type is "not_found_error" or "NotFoundError" && (said.Says("model") || said.Says(settings.Model)))
        || (said.IsJson && said.Says("model") && (said.Says("not found") || said.Says("does not exist") || said.Says("not exist") || said.Says("unknown model") || said.Says("has been deprecated")));

    /// <summary>Money, which no waiting brings back.</summary>
    bool IsQuota(int status, ServerSaid said, TimeSpan? retryAfter)
    {
        if (status == 402 || said.Type is "billing_error" or "insufficient_quota" || said.Code is "insufficient_quota" or "credit_balance_exhausted" or "billing_hard_limit_reached") return true;
        var money = said.Says("credit balance") || said.Says("spend") || said.Says("usage limit") || said.Says("billing") || said.Says("exceeded your current quota");
        return money && (status is 400 or 403 || (status == 429 && retryAfter is null));
    }

    /// <summary>The status that an error in a stream would have had, by its type or code; 500 where nothing tells.</summary>
    static int StatusOf(ServerSaid said) => (said.Type, said.Code) switch
    {
        ("authentication_error", _) or (_, "invalid_api_key") => 401,
        ("billing_error", _) => 402,
        ("permission_error", _) => 403,
        ("not_found_error", _) or (_, "model_not_found") => 404,
        ("request_too_large", _) => 413,
        ("rate_limit_error" or "insufficient_quota" or "tokens" or "requests", _) or (_, "rate_limit_exceeded" or "slow_down" or "insufficient_quota") => 429,
        ("api_error" or "server_error", _) or (_, "server_error") => 500,
        (_, "server_is_overloaded") => 503,
        ("timeout_error", _) => 504,
        ("overloaded_error", _) => 529,
        ("invalid_request_error", _) or (_, "invalid_prompt") => 400,
        (_, { Length: 3 } code) when int.TryParse(code, NumberStyles.None, CultureInfo.InvariantCulture, out var status) && status is >= 400 and < 600 => status,
        _ => 500,
    };

    static string? IdOf(HttpResponseHeaders headers)
    {
        foreach (var name in (ReadOnlySpan<string>)["request-id", "x-request-id"])
        {
            if (headers.TryGetValues(name, out var id)) return id.First();
        }
        return null;
    }

    // A title keeps its capital, a sentence's first word does not.
    static string Lower(string subject) => subject.StartsWith("The ", StringComparison.Ordinal) ? "the " + subject[4..] : subject;
}
