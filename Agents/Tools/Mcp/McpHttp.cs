using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Stigmer.Agents.Llm;

namespace Stigmer.Agents.Tools.Mcp;

/// <summary>
/// MCP's streamable HTTP transport: each message is a POST, whose answer is JSON or a stream of events; a GET listens for what the server
/// says by itself. A stream that ends before its answer is taken up where it broke off
/// (https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http).
/// </summary>
sealed class McpHttp : IMcpTransport
{
    const string SessionHeader = "Mcp-Session-Id";

    /// <summary>The most of a JSON answer that is read, in bytes; of an event it is the same.</summary>
    const int MaxBody = 64 * 1024 * 1024;

    /// <summary>The most of a refusal that is read, in bytes.</summary>
    const int MaxRefusal = 4096;

    /// <summary>How often in a row a broken stream is taken up without that anything came of it.</summary>
    const int MostVainTries = 5;

    /// <summary>Between a stream's end and its being taken up, where the server names no time.</summary>
    static readonly TimeSpan ToRetry = TimeSpan.FromSeconds(1);

    static readonly TimeSpan LongestRetry = TimeSpan.FromSeconds(30);

    /// <summary>For the farewell.</summary>
    static readonly TimeSpan ForDelete = TimeSpan.FromSeconds(2);

    readonly Uri url;
    readonly IReadOnlyDictionary<string, string> headers;
    readonly HttpClient http;
    readonly McpReceived received;
    readonly Log log;
    readonly TimeProvider time;
    readonly CancellationTokenSource stop = new();
    readonly TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    Task listening = Task.CompletedTask;
    CancellationTokenSource? listener;
    string? version;
    string? session;

    public McpHttp(Uri url, IReadOnlyDictionary<string, string> headers, HttpMessageHandler? handler, McpReceived received, Log log, TimeProvider time)
    {
        (this.url, this.headers, this.received, this.log, this.time) = (url, headers, received, log, time);
        http = LlmHttp.Client(handler);
    }

    public Task Ended => ended.Task;

    public async Task Send(ReadOnlyMemory<byte> message, long? request, CancellationToken cancel)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel, stop.Token);
        try
        {
            using var post = Request(HttpMethod.Post, "application/json", "text/event-stream");
            post.Content = new ReadOnlyMemoryContent(message) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } };
            var isHandshake = version is null || IsInitialize(message.Span);
            // A handshake begins a session, and names none.
            if (isHandshake) post.Headers.Remove(SessionHeader);
            using var response = await http.SendAsync(post, HttpCompletionOption.ResponseHeadersRead, either.Token).ConfigureAwait(false);
            if (!response.IsSuccessStatusCode) throw await Refused(response, isHandshake, either.Token).ConfigureAwait(false);
            if (isHandshake) session = response.Headers.TryGetValues(SessionHeader, out var given) ? given.First() : null;
            if (request is { } id) await ReadAnswer(response, id, either.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (IsOfConnection(e))
        {
            throw new McpException($"The MCP server at {Place} cannot be reached: {Innermost(e)}", inner: e);
        }
        catch (OperationCanceledException e) when (!cancel.IsCancellationRequested)
        {
            throw new McpException("The connection to the MCP server has been closed", inner: e);
        }
    }

    public void Agreed(string protocolVersion)
    {
        version = protocolVersion;
        listener?.Cancel();
        listener?.Dispose();
        listener = CancellationTokenSource.CreateLinkedTokenSource(stop.Token);
        listening = Listen(listener.Token);
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync().ConfigureAwait(false);
        await listening.ConfigureAwait(false);
        listener?.Dispose();
        if (session is not null) await Leave().ConfigureAwait(false);
        http.Dispose();
        stop.Dispose();
        ended.TrySetResult();
    }

    string Place => url.GetComponents(UriComponents.SchemeAndServer | UriComponents.Path, UriFormat.UriEscaped);

    HttpRequestMessage Request(HttpMethod method, params ReadOnlySpan<string> accepts)
    {
        var request = new HttpRequestMessage(method, url);
        foreach (var type in accepts) request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue(type));
        foreach (var (name, value) in headers) request.Headers.TryAddWithoutValidation(name, value);
        if (version is not null) request.Headers.TryAddWithoutValidation("MCP-Protocol-Version", version);
        if (session is not null) request.Headers.TryAddWithoutValidation(SessionHeader, session);
        return request;
    }

    async Task ReadAnswer(HttpResponseMessage response, long id, CancellationToken cancel)
    {
        if (response.Content.Headers.ContentType?.MediaType?.Equals("text/event-stream", StringComparison.OrdinalIgnoreCase) != true)
        {
            var bytes = await Body(response, MaxBody, cancel).ConfigureAwait(false);
            if (bytes.Length == 0 || Parse(bytes) is not { } message || !received(message, id)) throw new McpException($"The MCP server at {Place} answered with something else than the result");
            return;
        }
        var stream = await Read(response, id, new Position(null, null), cancel).ConfigureAwait(false);
        for (var vain = 0; !stream.Answered;)
        {
            if (stream.LastEventId is null || vain == MostVainTries) throw new McpException($"The MCP server at {Place} ended the stream before its answer");
            await Task.Delay(stream.Wait(vain), time, cancel).ConfigureAwait(false);
            var before = stream.LastEventId;
            try
            {
                stream = await Resume(id, stream, cancel).ConfigureAwait(false);
                vain = stream.LastEventId == before ? vain + 1 : 0;
            }
            catch (Exception e) when (IsOfConnection(e))
            {
                vain++;
            }
        }
    }

    async Task<Position> Resume(long? id, Position from, CancellationToken cancel)
    {
        using var get = Request(HttpMethod.Get, "text/event-stream");
        if (from.LastEventId is not null) get.Headers.TryAddWithoutValidation("Last-Event-ID", from.LastEventId);
        using var response = await http.SendAsync(get, HttpCompletionOption.ResponseHeadersRead, cancel).ConfigureAwait(false);
        if (!response.IsSuccessStatusCode) throw await Refused(response, isHandshake: false, cancel).ConfigureAwait(false);
        return await Read(response, id, from, cancel).ConfigureAwait(false);
    }

    /// <summary>Where a stream stands.</summary>
    sealed record Position(string? LastEventId, TimeSpan? Retry, bool Answered = false)
    {
        public TimeSpan Wait(int vain) => Retry ?? (ToRetry * Math.Pow(2, vain) is var longer && longer < LongestRetry ? longer : LongestRetry);
    }

    /// <summary>Hands on what comes, until the answer has, or the stream ends.</summary>
    async Task<Position> Read(HttpResponseMessage response, long? id, Position from, CancellationToken cancel)
    {
        var events = new SseReader(await response.Content.ReadAsStreamAsync(cancel).ConfigureAwait(false));
        Position Now(bool answered) => new(events.LastEventId ?? from.LastEventId, events.Retry ?? from.Retry, answered);
        try
        {
            while (await events.Next(cancel).ConfigureAwait(false) is { } next)
            {
                // The first event of a stream may be empty: it only gives the id with which the stream is taken up.
                if (next.Name is not ("" or "message") || next.Data.Length == 0) continue;
                if (Parse(Encoding.UTF8.GetBytes(next.Data)) is { } message && received(message, id) && id is not null) return Now(answered: true);
            }
        }
        catch (Exception e) when (e is IOException or HttpRequestException)
        {
            log.Debug("an MCP server's stream broke", ("server", Place), ("error", Innermost(e)));
        }
        return Now(answered: false);
    }

    /// <summary>Listens for what the server says by itself, as long as it offers that.</summary>
    async Task Listen(CancellationToken cancel)
    {
        var at = new Position(null, null);
        for (var vain = 0; !cancel.IsCancellationRequested;)
        {
            try
            {
                var begun = time.GetTimestamp();
                at = await Resume(null, at, cancel).ConfigureAwait(false);
                vain = time.GetElapsedTime(begun) > LongestRetry ? 0 : vain + 1;
            }
            catch (McpException e)
            {
                // 405: it says nothing by itself. What else is refused will be told by the next request.
                log.Debug("an MCP server is not listened to", ("server", Place), ("why", e.Message));
                return;
            }
            catch (Exception e) when (IsOfConnection(e))
            {
                vain++;
            }
            catch (OperationCanceledException) when (cancel.IsCancellationRequested)
            {
                return;
            }
            try
            {
                await Task.Delay(at.Wait(Math.Min(vain, MostVainTries)), time, cancel).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    async Task<McpException> Refused(HttpResponseMessage response, bool isHandshake, CancellationToken cancel)
    {
        var status = response.StatusCode;
        var said = Encoding.UTF8.GetString(await Body(response, MaxRefusal, cancel).ConfigureAwait(false)).Trim();
        // The protocol says 404; servers of its own examples say 400 and speak of the session.
        if (!isHandshake && session is not null
            && (status == HttpStatusCode.NotFound || (status == HttpStatusCode.BadRequest && said.Contains("session", StringComparison.OrdinalIgnoreCase))))
        {
            return new McpSessionLost();
        }
        var what = status switch
        {
            HttpStatusCode.Unauthorized => "wants other credentials (401): look at the server's headers in the agent's file",
            HttpStatusCode.Forbidden => "forbids it (403): look at the server's headers in the agent's file",
            HttpStatusCode.NotFound => "is not there (404): look at the server's url in the agent's file",
            >= HttpStatusCode.MultipleChoices and < HttpStatusCode.BadRequest => $"has moved to {response.Headers.Location}: write that url into the agent's file",
            _ => $"answered {(int)status}",
        };
        return new McpException($"The MCP server at {Place} {what}{(said.Length > 0 && status >= HttpStatusCode.BadRequest ? $": {Shortened(said)}" : "")}");
    }

    async Task Leave()
    {
        using var limit = new CancellationTokenSource(ForDelete, time);
        try
        {
            using var delete = Request(HttpMethod.Delete);
            using var response = await http.SendAsync(delete, HttpCompletionOption.ResponseHeadersRead, limit.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is OperationCanceledException || IsOfConnection(e))
        {
            // It will forget us by itself.
            log.Debug("an MCP server was not told that the session is over", ("server", Place), ("error", e.Message));
        }
    }

    JsonElement? Parse(ReadOnlySpan<byte> json)
    {
        try
        {
            return JsonElement.Parse(json);
        }
        catch (JsonException)
        {
            log.Warn("an MCP server sent what is no message", ("server", Place), ("text", Shortened(Encoding.UTF8.GetString(json[..Math.Min(json.Length, 800)]))));
            return null;
        }
    }

    static async Task<byte[]> Body(HttpResponseMessage response, int most, CancellationToken cancel)
    {
        await using var stream = await response.Content.ReadAsStreamAsync(cancel).ConfigureAwait(false);
        using var body = new MemoryStream();
        var buffer = new byte[16 * 1024];
        while (body.Length < most && await stream.ReadAsync(buffer, cancel).ConfigureAwait(false) is > 0 and var read) body.Write(buffer, 0, (int)Math.Min(read, most - body.Length));
        return body.ToArray();
    }

    static bool IsInitialize(ReadOnlySpan<byte> message) => message.IndexOf("\"method\":\"initialize\""u8) >= 0;

    static bool IsOfConnection(Exception e) => e is HttpRequestException or IOException or InvalidDataException;

    static string Innermost(Exception e) => e.InnerException is { } inner ? Innermost(inner) : e.Message;

    static string Shortened(string text) => text.Length <= 300 ? text : text[..300] + "…";
}
