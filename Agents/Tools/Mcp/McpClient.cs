using System.Buffers;
using System.Collections.Concurrent;
using System.Text.Json;

namespace Stigmer.Agents.Tools.Mcp;

/// <summary>A tool as an MCP server lists it.</summary>
/// <param name="Name">As the server calls it.</param>
/// <param name="Description">For the model; may be empty.</param>
/// <param name="InputSchema">The JSON schema of its arguments.</param>
sealed record McpTool(string Name, string Description, JsonElement InputSchema);

/// <summary>
/// A client of an MCP server's tools (https://modelcontextprotocol.io/specification/2025-11-25), over streams or streamable HTTP. Ours,
/// since the library of the protocol adds 8 MB to an executable of 31. It offers the server nothing: no roots, no sampling, no elicitation.
/// </summary>
sealed class McpClient : IAsyncDisposable
{
    /// <summary>The protocol's versions whose tools work alike, newest first.</summary>
    static readonly string[] Versions = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

    /// <summary>More pages of tools than any server has; one that repeats itself is not followed for ever.</summary>
    const int MostPages = 1000;

    /// <summary>https://www.jsonrpc.org/specification#error_object</summary>
    const int MethodNotFound = -32601;

    readonly ConcurrentDictionary<long, TaskCompletionSource<JsonElement>> asked = new();
    readonly SemaphoreSlim handshake = new(1);
    readonly Log log;
    IMcpTransport transport = null!;
    long lastId;
    int sessions;
    bool offersTools;

    McpClient(Log log) => this.log = log;

    /// <summary>The server's name and version, as it calls itself.</summary>
    public string ServerName { get; private set; } = "";

    /// <summary>Completes when the connection is over for good.</summary>
    public Task Ended => transport.Ended;

    /// <summary>How often it had forgotten us and a new session began, over HTTP.</summary>
    public int Sessions => Volatile.Read(ref sessions);

    /// <summary>Called when the server says that its tools are others now, or has begun anew without its memory.</summary>
    public Action? ToolsChanged { get; set; }

    /// <summary>Connects over the streams of a process, whose owner also ends it.</summary>
    /// <exception cref="McpException">There is no MCP server at the other end, or none that speaks our versions.</exception>
    public static Task<McpClient> OverStreams(Stream toServer, Stream fromServer, Log log, CancellationToken cancel) =>
        Connect(client => new McpStreams(toServer, fromServer, client.Received, log), log, cancel);

    /// <summary>Connects over streamable HTTP.</summary>
    /// <param name="url">The server's one endpoint.</param>
    /// <param name="headers">Sent with every request; may hold secrets, which are not logged.</param>
    /// <param name="handler">Instead of a handler of our own.</param>
    /// <exception cref="McpException">As for streams.</exception>
    public static Task<McpClient> OverHttp(
        Uri url, IReadOnlyDictionary<string, string> headers, HttpMessageHandler? handler, Log log, TimeProvider time, CancellationToken cancel) =>
        Connect(client => new McpHttp(url, headers, handler, client.Received, log, time), log, cancel);

    /// <summary>All tools that it offers.</summary>
    /// <exception cref="McpException">It could not tell.</exception>
    public async Task<IReadOnlyList<McpTool>> ListTools(CancellationToken cancel)
    {
        var tools = new List<McpTool>();
        if (!offersTools) return tools;
        string? cursor = null;
        for (var page = 1; page <= MostPages; page++)
        {
            var result = await Request("tools/list", cursor is null ? null : json => json.WriteString("cursor", cursor), cancel).ConfigureAwait(false);
            if (Member(result, "tools") is { ValueKind: JsonValueKind.Array } listed) tools.AddRange(listed.EnumerateArray().Select(Tool).OfType<McpTool>());
            cursor = Text(result, "nextCursor");
            if (string.IsNullOrEmpty(cursor)) return tools;
        }
        throw new McpException($"The MCP server's list of tools has no end: {MostPages} pages were read");
    }

    /// <summary>Calls a tool; its result object as the server sent it: content, structuredContent, isError.</summary>
    /// <param name="name">As the server calls it.</param>
    /// <param name="arguments">An object; undefined: an empty one.</param>
    /// <param name="cancel">Tells the server that nobody waits any more.</param>
    /// <exception cref="McpException">The server refused, or the connection broke: whether the tool ran is then unknown.</exception>
    public Task<JsonElement> CallTool(string name, JsonElement arguments, CancellationToken cancel) => Request(
        "tools/call",
        json =>
        {
            json.WriteString("name", name);
            json.WritePropertyName("arguments");
            if (arguments.ValueKind == JsonValueKind.Object)
            {
                arguments.WriteTo(json);
            }
            else
            {
                json.WriteStartObject();
                json.WriteEndObject();
            }
        },
        cancel);

    public async ValueTask DisposeAsync()
    {
        await transport.DisposeAsync().ConfigureAwait(false);
        handshake.Dispose();
    }

    static async Task<McpClient> Connect(Func<McpClient, IMcpTransport> transport, Log log, CancellationToken cancel)
    {
        var client = new McpClient(log);
        client.transport = transport(client);
        _ = client.FailWhenEnded();
        try
        {
            await client.Initialize(cancel).ConfigureAwait(false);
            return client;
        }
        catch
        {
            await client.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    async Task Initialize(CancellationToken cancel)
    {
        var result = await Ask(
            "initialize",
            json =>
            {
                json.WriteString("protocolVersion", Versions[0]);
                json.WriteStartObject("capabilities");
                json.WriteEndObject();
                json.WriteStartObject("clientInfo");
                json.WriteString("name", "stigmer");
                json.WriteString("version", Build.Version);
                json.WriteEndObject();
            },
            cancel).ConfigureAwait(false);
        var version = Text(result, "protocolVersion") ?? "";
        if (!Versions.Contains(version, StringComparer.Ordinal)) throw new McpException($"The MCP server speaks version '{version}' of the protocol; known here are {string.Join(", ", Versions)}");
        var info = Member(result, "serverInfo") ?? default;
        ServerName = $"{Text(info, "name")} {Text(info, "version")}".Trim();
        offersTools = Member(Member(result, "capabilities") ?? default, "tools") is not null;
        transport.Agreed(version);
        await Notify("notifications/initialized", null, cancel).ConfigureAwait(false);
    }

    /// <summary>Asks, and once more where the server had forgotten the session.</summary>
    async Task<JsonElement> Request(string method, Action<Utf8JsonWriter>? parameters, CancellationToken cancel)
    {
        var session = Volatile.Read(ref sessions);
        try
        {
            return await Ask(method, parameters, cancel).ConfigureAwait(false);
        }
        catch (McpSessionLost)
        {
            await BeginAgain(session, cancel).ConfigureAwait(false);
        }
        return await Ask(method, parameters, cancel).ConfigureAwait(false);
    }

    async Task BeginAgain(int lost, CancellationToken cancel)
    {
        await handshake.WaitAsync(cancel).ConfigureAwait(false);
        try
        {
            // Whoever asked at the same moment may have done it.
            if (sessions != lost) return;
            log.Warn("an MCP server has forgotten the session; a new one begins", ("server", ServerName));
            await Initialize(cancel).ConfigureAwait(false);
            Volatile.Write(ref sessions, lost + 1);
        }
        finally
        {
            handshake.Release();
        }
        ToolsChanged?.Invoke();
    }

    async Task<JsonElement> Ask(string method, Action<Utf8JsonWriter>? parameters, CancellationToken cancel)
    {
        var id = Interlocked.Increment(ref lastId);
        var answer = new TaskCompletionSource<JsonElement>(TaskCreationOptions.RunContinuationsAsynchronously);
        asked[id] = answer;
        try
        {
            if (transport.Ended.IsCompleted) throw new McpException("The MCP server has ended");
            var sending = transport.Send(Message(id, method, parameters), id, cancel);
            await Task.WhenAny(answer.Task, sending).ConfigureAwait(false);
            if (!answer.Task.IsCompleted) await sending.ConfigureAwait(false);
            // A stream that fails after its answer has come concerns nobody.
            else _ = sending.ContinueWith(static failed => failed.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
            return await answer.Task.WaitAsync(cancel).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            // The protocol forbids to cancel the handshake: there the connection ends.
            if (method != "initialize") await TellCancelled(id).ConfigureAwait(false);
            throw;
        }
        finally
        {
            asked.TryRemove(id, out _);
        }
    }

    async Task TellCancelled(long id)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        try
        {
            await Notify("notifications/cancelled", json => json.WriteNumber("requestId", id), limit.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is McpException or OperationCanceledException)
        {
            log.Debug("an MCP server could not be told that a call is cancelled", ("server", ServerName), ("error", e.Message));
        }
    }

    Task Notify(string method, Action<Utf8JsonWriter>? parameters, CancellationToken cancel) => transport.Send(Message(null, method, parameters), null, cancel);

    async Task FailWhenEnded()
    {
        await transport.Ended.ConfigureAwait(false);
        foreach (var waiting in asked.Values) waiting.TrySetException(new McpException("The MCP server has ended before it answered"));
    }

    /// <summary>Takes a message, or several in an array, as a version of the protocol has them.</summary>
    bool Received(JsonElement message, long? request)
    {
        if (message.ValueKind == JsonValueKind.Array) return message.EnumerateArray().Select(each => Received(each, request)).ToList().Contains(true);
        if (message.ValueKind != JsonValueKind.Object) return false;
        if (Text(message, "method") is { } method)
        {
            if (Member(message, "id") is { } theirs) _ = Answer(theirs.Clone(), method);
            else if (method == "notifications/tools/list_changed") ToolsChanged?.Invoke();
            return false;
        }
        if (Member(message, "id") is not { ValueKind: JsonValueKind.Number } id || !id.TryGetInt64(out var number) || !asked.TryGetValue(number, out var waiting)) return false;
        if (Member(message, "error") is { } error) waiting.TrySetException(Refused(error));
        else waiting.TrySetResult(Member(message, "result") is { } result ? result.Clone() : default);
        return number == request;
    }

    /// <summary>Answers what the server asks: that we live, and that we offer nothing else.</summary>
    async Task Answer(JsonElement id, string method)
    {
        try
        {
            await transport.Send(
                Write(json =>
                {
                    json.WritePropertyName("id");
                    id.WriteTo(json);
                    json.WriteStartObject(method == "ping" ? "result" : "error");
                    if (method != "ping")
                    {
                        json.WriteNumber("code", MethodNotFound);
                        json.WriteString("message", $"This client does not offer {method}");
                    }
                    json.WriteEndObject();
                }),
                null,
                CancellationToken.None).ConfigureAwait(false);
        }
        catch (McpException e)
        {
            log.Debug("an MCP server's request could not be answered", ("server", ServerName), ("method", method), ("error", e.Message));
        }
    }

    static McpException Refused(JsonElement error)
    {
        var code = Member(error, "code") is { ValueKind: JsonValueKind.Number } number && number.TryGetInt32(out var value) ? value : 0;
        return new McpException(Text(error, "message") is { Length: > 0 } said ? said : "The MCP server answered with an error that says nothing", code);
    }

    static McpTool? Tool(JsonElement tool)
    {
        if (Text(tool, "name") is not { Length: > 0 } name) return null;
        var schema = Member(tool, "inputSchema") is { ValueKind: JsonValueKind.Object } given ? given.Clone() : JsonElement.Parse("""{"type":"object"}"""u8);
        return new McpTool(name, Text(tool, "description") ?? Text(tool, "title") ?? "", schema);
    }

    static byte[] Message(long? id, string method, Action<Utf8JsonWriter>? parameters) => Write(json =>
    {
        if (id is { } number) json.WriteNumber("id", number);
        json.WriteString("method", method);
        if (parameters is null) return;
        json.WriteStartObject("params");
        parameters(json);
        json.WriteEndObject();
    });

    static byte[] Write(Action<Utf8JsonWriter> members)
    {
        var bytes = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(bytes))
        {
            json.WriteStartObject();
            json.WriteString("jsonrpc", "2.0");
            members(json);
            json.WriteEndObject();
        }
        return bytes.WrittenSpan.ToArray();
    }

    static JsonElement? Member(JsonElement of, string name) => of.ValueKind == JsonValueKind.Object && of.TryGetProperty(name, out var value) ? value : null;

    static string? Text(JsonElement of, string name) => Member(of, name) is { ValueKind: JsonValueKind.String } text ? text.GetString() : null;
}
