using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Stigmer.Config;
using Stigmer.Rpc;

namespace Stigmer.Agents.Llm;

/// <summary>How requests to model servers go out.</summary>
static class LlmHttp
{
    /// <summary>
    /// A client without a timeout of its own: a cold model takes minutes to load before the first header, and giving up would
    /// end the load too. Whoever calls has timers. Loopback never goes through a proxy.
    /// </summary>
    /// <param name="handler">Instead of a handler of our own; the caller's to dispose of.</param>
    public static HttpClient Client(HttpMessageHandler? handler)
    {
        var own = handler is null;
        handler ??= new SocketsHttpHandler
        {
            Proxy = Proxy.FromEnvironment,
            ConnectCallback = Connect,
            // A redirect would turn the POST into a GET: better said than followed.
            AllowAutoRedirect = false,
            UseCookies = false,
            ConnectTimeout = TimeSpan.FromSeconds(10),
            PooledConnectionIdleTimeout = TimeSpan.FromMinutes(1),
            // A name may come to stand for another address.
            PooledConnectionLifetime = TimeSpan.FromMinutes(15),
        };
        return new HttpClient(handler, disposeHandler: own) { Timeout = Timeout.InfiniteTimeSpan };
    }

    /// <summary>
    /// As the handler connects by itself, with probes while nothing comes: a model may think for minutes, in which routers forget
    /// a silent connection, and a network that went away would be noticed only by the timers.
    /// </summary>
    static async ValueTask<Stream> Connect(SocketsHttpConnectionContext context, CancellationToken cancel)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, 30);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, 10);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, 6);
            await socket.ConnectAsync(context.DnsEndPoint, cancel).ConfigureAwait(false);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>A body with its length in front: JsonContent would send it in chunks, which small servers and proxies do not read.</summary>
    public static ByteArrayContent Json<T>(T value, JsonTypeInfo<T> type) => new(JsonSerializer.SerializeToUtf8Bytes(value, type))
    {
        Headers = { ContentType = new MediaTypeHeaderValue("application/json") },
    };

    /// <summary>Adds the key, if there is one.</summary>
    public static void Bearer(HttpRequestMessage message, Secret? key)
    {
        if (key is not null) message.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key.Reveal());
    }

    /// <summary>Whether an answer's body is a stream of events; where no type is said it is taken to be one.</summary>
    public static bool IsEventStream(HttpResponseMessage response) =>
        response.Content.Headers.ContentType?.MediaType is not { } type || type.Equals("text/event-stream", StringComparison.OrdinalIgnoreCase);

    /// <summary>The root of Ollama's API: written with or without a slash at the end, <c>/v1</c> or <c>/api</c>.</summary>
    /// <exception cref="ModelFailure">It is no http address.</exception>
    public static Uri OllamaRoot(string baseUrl) => Root(baseUrl, "http://localhost:11434", "/v1", "/api");

    /// <summary>The root of an API, with a slash at the end.</summary>
    /// <param name="baseUrl">As it is configured.</param>
    /// <param name="example">What it may look like, for the error.</param>
    /// <param name="ends">What people write at its end and does not belong to the root; taken off in this order.</param>
    /// <exception cref="ModelFailure">It is no http address.</exception>
    public static Uri Root(string baseUrl, string example, params ReadOnlySpan<string> ends)
    {
        var text = baseUrl.Trim().TrimEnd('/');
        foreach (var end in ends)
        {
            if (text.EndsWith(end, StringComparison.OrdinalIgnoreCase)) text = text[..^end.Length].TrimEnd('/');
        }
        if (Uri.TryCreate(text + "/", UriKind.Absolute, out var root) && root.Scheme is "http" or "https") return root;
        throw new ModelFailure($"{baseUrl} is not an address of a model server", null, $"Set llm.base_url to an address such as {example}", retryable: false);
    }
}
