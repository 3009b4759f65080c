using System.Globalization;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Text.Json;

namespace Stigmer.Agents.Llm;

/// <summary>What a model's server, or a proxy before it, says in place of an answer: read leniently, since each has a form of its own.</summary>
/// <param name="Text">Its message, at most 500 characters.</param>
/// <param name="Type">Its error's type, if it has one.</param>
/// <param name="Code">Its error's code.</param>
/// <param name="Param">The parameter that it blames.</param>
/// <param name="IsJson">It is an object of an API, and not a web page.</param>
sealed record ServerSaid(string Text, string? Type, string? Code, string? Param, bool IsJson)
{
    /// <summary>The most that is quoted, in characters.</summary>
    const int QuotedLength = 500;

    /// <summary>Reads a body: an error's object under <c>error</c> or by itself, a text there, JSON within that text, or whatever it is.</summary>
    public static ServerSaid Read(string body)
    {
        try
        {
            using var document = JsonDocument.Parse(body);
            return Read(document.RootElement);
        }
        catch (JsonException)
        {
            // A proxy's HTML, or plain text.
            return new ServerSaid(Quoted(body), null, null, null, IsJson: false);
        }
    }

    /// <summary>The same of JSON that was read already.</summary>
    public static ServerSaid Read(JsonElement said)
    {
        switch (said.ValueKind)
        {
            case JsonValueKind.String:
                var text = said.GetString()!;
                // llama.cpp's own error comes as JSON inside a string.
                return text.StartsWith('{') ? Read(text) : new ServerSaid(Quoted(text), null, null, null, IsJson: true);
            case JsonValueKind.Array when said.GetArrayLength() > 0:
                return Read(said[0]);
            case JsonValueKind.Object:
                if (said.TryGetProperty("error", out var error) && error.ValueKind is JsonValueKind.Object or JsonValueKind.String) return Read(error);
                foreach (var name in (ReadOnlySpan<string>)["message", "detail", "error_description", "msg"])
                {
                    if (!said.TryGetProperty(name, out var message) || message.ValueKind != JsonValueKind.String) continue;
                    return Read(message) with { Type = Member(said, "type"), Code = Member(said, "code"), Param = Member(said, "param") };
                }
                return new ServerSaid(Quoted(said.GetRawText()), Member(said, "type"), Member(said, "code"), Member(said, "param"), IsJson: true);
            default:
                return new ServerSaid(Quoted(said.GetRawText()), null, null, null, IsJson: true);
        }
    }

    /// <summary>Whether the text, the type or the code holds these words, in any case.</summary>
    public bool Says(string words) =>
        Text.Contains(words, StringComparison.OrdinalIgnoreCase)
        || Type?.Contains(words, StringComparison.OrdinalIgnoreCase) == true
        || Code?.Contains(words, StringComparison.OrdinalIgnoreCase) == true;

    /// <summary>Whether it is this parameter that it does not take.</summary>
    public bool Blames(string parameter) => Param == parameter || Says($"'{parameter}'") || Says($"`{parameter}`") || Says($"\"{parameter}\"") || Text.StartsWith(parameter + " ", StringComparison.OrdinalIgnoreCase);

    /// <summary>The model, or the server as it was started, takes no tools.</summary>
    public bool RefusesTools =>
        Param is "tools" or "tool_choice"
        || (Says("tool") && (Says("not support") || Says("unsupported") || Says("--enable-auto-tool-choice") || Says("--jinja") || Says("not available") || Says("no endpoints found")));

    /// <summary>It says that the prompt does not fit into the window, in the words of one of the servers that are known.</summary>
    public bool IsTooLong =>
        Code == "context_length_exceeded" || Type is "exceed_context_size_error" or "request_too_large"
        || Says("prompt is too long") || Says("input is too long") || Says("input length and `max_tokens` exceed")
        || ((Says("context length") || Says("context size") || Says("context window") || Says("context limit") || Says("maximum context") || Says("maximum model length"))
            && (Says("longer than") || Says("exceed") || Says("too long") || Says("too large") || Says("maximum") || Says("only") || Says("greater than") || Says("overflow")));

    /// <summary>What the text says about the window, in tokens: the number after "maximum context length is", "&gt;" and the like.</summary>
    public int? Window
    {
        get
        {
            // Anthropic: 214000 tokens > 200000 maximum; 190000 + 20000 > 200000.
            foreach (var before in (ReadOnlySpan<string>)[" > ", "context length is ", "context length of only ", "context length of ", "maximum model length of ", "context size (", "window of "])
            {
                var at = Text.IndexOf(before, StringComparison.OrdinalIgnoreCase);
                if (at < 0) continue;
                var digits = Text.AsSpan(at + before.Length).TrimStart();
                var length = 0;
                while (length < digits.Length && (char.IsAsciiDigit(digits[length]) || digits[length] == ',')) length++;
                var number = digits[..length].ToString().Replace(",", "", StringComparison.Ordinal);
                if (int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var tokens) && tokens >= 256) return tokens;
            }
            return null;
        }
    }

    /// <summary>When to come again: <c>retry-after-ms</c>, or <c>retry-after</c> in seconds or as a date; null: nothing is said.</summary>
    public static TimeSpan? RetryAfter(HttpResponseHeaders headers, DateTimeOffset now)
    {
        if (headers.TryGetValues("retry-after-ms", out var exact)
            && double.TryParse(exact.First(), NumberStyles.Float, CultureInfo.InvariantCulture, out var milliseconds) && milliseconds is >= 0 and < 1e12)
        {
            return TimeSpan.FromMilliseconds(milliseconds);
        }
        var after = headers.RetryAfter?.Delta ?? (headers.RetryAfter?.Date - now);
        // The header's own type takes whole seconds only; some servers send fractions.
        if (after is null && headers.TryGetValues("retry-after", out var written)
            && double.TryParse(written.First(), NumberStyles.Float, CultureInfo.InvariantCulture, out var seconds) && seconds is >= 0 and < 1e9)
        {
            after = TimeSpan.FromSeconds(seconds);
        }
        return after < TimeSpan.Zero ? TimeSpan.Zero : after;
    }

    /// <summary>Why a server cannot be reached, in words, and whether that may pass.</summary>
    public static (string Why, bool Retryable) Unreachable(Exception caught)
    {
        var socket = Find<SocketException>(caught);
        var request = Find<HttpRequestException>(caught);
        return (socket?.SocketErrorCode, request?.HttpRequestError) switch
        {
            (SocketError.ConnectionRefused, _) => ("connection refused", false),
            (_, HttpRequestError.NameResolutionError) => ("there is no host of this name", false),
            (_, HttpRequestError.SecureConnectionError) => (Find<AuthenticationException>(caught)?.Message ?? caught.Message, false),
            (_, HttpRequestError.ProxyTunnelError) => ($"the proxy refuses the way: {request!.Message}", false),
            (_, HttpRequestError.InvalidResponse) => ($"what answers there does not speak HTTP: {request!.Message}", false),
            (SocketError.TimedOut, _) => ("the connection timed out", true),
            _ when caught is OperationCanceledException => ("no answer in time", true),
            ({ } code, _) => ($"{socket!.Message} ({code})", true),
            _ => (caught.Message, true),
        };
    }

    /// <summary>The beginning of a text.</summary>
    public static string Quoted(string text)
    {
        text = text.Trim();
        return text.Length <= QuotedLength ? text : text[..(char.IsHighSurrogate(text[QuotedLength - 1]) ? QuotedLength - 1 : QuotedLength)] + "…";
    }

    static string? Member(JsonElement said, string name) => !said.TryGetProperty(name, out var member) ? null : member.ValueKind switch
    {
        JsonValueKind.String => member.GetString(),
        JsonValueKind.Number => member.GetRawText(),
        _ => null,
    };

    static T? Find<T>(Exception? caught) where T : Exception
    {
        for (; caught is not null; caught = caught.InnerException)
        {
            if (caught is T found) return found;
        }
        return null;
    }
}
