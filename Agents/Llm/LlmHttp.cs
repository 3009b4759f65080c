using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Stigmer.Agents.Llm;

/// <summary>How requests to model servers go out.</summary>
static class LlmHttp
{
    /// <summary>
    /// A client without a timeout of its own: a cold model takes minutes to load before the first header, and giving up would
    /// end the load too. Whoever calls has timers. Loopback never goes through a proxy: .NET has no such bypass by itself.
    /// </summary>
    /// <param name="server">Where the requests go.</param>
    /// <param name="handler">Instead of a handler of our own; the caller's to dispose of.</param>
    public static HttpClient Client(Uri server, HttpMessageHandler? handler)
    {
        var own = handler is null;
        handler ??= new SocketsHttpHandler
        {
            UseProxy = !server.IsLoopback,
            // A redirect would turn the POST into a GET: better said than followed.
            AllowAutoRedirect = false,
            UseCookies = false,
            ConnectTimeout = TimeSpan.FromSeconds(10),
            PooledConnectionIdleTimeout = TimeSpan.FromMinutes(1),
        };
        return new HttpClient(handler, disposeHandler: own) { Timeout = Timeout.InfiniteTimeSpan };
    }

    /// <summary>A body with its length in front: JsonContent would send it in chunks, which small servers and proxies do not read.</summary>
    public static ByteArrayContent Json<T>(T value, JsonTypeInfo<T> type) => new(JsonSerializer.SerializeToUtf8Bytes(value, type))
    {
        Headers = { ContentType = new MediaTypeHeaderValue("application/json") },
    };

    /// <summary>The root of Ollama's API: written with or without a slash at the end, <c>/v1</c> or <c>/api</c>.</summary>
    /// <exception cref="ModelFailure">It is no http address.</exception>
    public static Uri OllamaRoot(string baseUrl)
    {
        var text = baseUrl.Trim().TrimEnd('/');
        foreach (var end in (ReadOnlySpan<string>)["/v1", "/api"])
        {
            if (text.EndsWith(end, StringComparison.OrdinalIgnoreCase)) text = text[..^end.Length];
        }
        if (Uri.TryCreate(text + "/", UriKind.Absolute, out var root) && root.Scheme is "http" or "https") return root;
        throw new ModelFailure($"{baseUrl} is not an address of Ollama", null, "Set llm.base_url to an address such as http://localhost:11434", retryable: false);
    }
}
