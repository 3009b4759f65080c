using System.Collections.Concurrent;
using System.IO.Pipes;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Stigmer.Agents.Tools.Mcp;
using Stigmer.Standins;

namespace Stigmer.Tests.Tools;

public sealed class McpClientTests
{
    const string Initialized = """{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"things","version":"2"}}""";

    static readonly Log Silent = new("test", TextWriter.Null, TimeProvider.System);

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Over_streams_all_pages_of_tools_are_listed_and_a_banner_or_a_ping_between_them_does_no_harm()
    {
        await using var server = new Streams(async (server, id, method, parameters) =>
        {
            switch (method)
            {
                case "initialize":
                    await server.Say("Things server, ready!");
                    await server.Answer(id, Initialized);
                    break;
                case "tools/list" when parameters.ValueKind == JsonValueKind.Undefined:
                    await server.Say("""{"jsonrpc":"2.0","id":"theirs","method":"ping"}""");
                    await server.Say("""{"jsonrpc":"2.0","id":77,"method":"roots/list"}""");
                    await server.Answer(id, """{"tools":[{"name":"a","description":"first","inputSchema":{"type":"object"}}],"nextCursor":"more"}""");
                    break;
                case "tools/list":
                    await server.Answer(id, """{"tools":[{"name":"b"},{"noname":1}]}""");
                    break;
            }
        });
        await using var client = await server.Connect();
        Assert.Equal("things 2", client.ServerName);

        var tools = await client.ListTools(Cancel);
        Assert.Equal([("a", "first"), ("b", "")], tools.Select(tool => (tool.Name, tool.Description)));
        Assert.Equal("object", tools[1].InputSchema.GetProperty("type").GetString());
        var pong = await server.Received(message => message.TryGetProperty("id", out var id) && id.ValueKind == JsonValueKind.String);
        Assert.Equal("theirs", pong.GetProperty("id").GetString());
        Assert.Equal(JsonValueKind.Object, pong.GetProperty("result").ValueKind);
        var refused = await server.Received(message => message.TryGetProperty("error", out _));
        Assert.Equal((77, -32601), (refused.GetProperty("id").GetInt32(), refused.GetProperty("error").GetProperty("code").GetInt32()));
    }

    [Fact]
    public async Task A_cancelled_call_is_told_to_the_server_and_the_next_one_is_answered()
    {
        using var hurry = new CancellationTokenSource();
        await using var server = new Streams(async (server, id, method, parameters) =>
        {
            if (method == "initialize") await server.Answer(id, Initialized);
            else if (method == "tools/call" && parameters.GetProperty("name").GetString() == "slow") await hurry.CancelAsync();
            else if (method == "tools/call") await server.Answer(id, """{"content":[{"type":"text","text":"done"}],"isError":false}""");
        });
        await using var client = await server.Connect();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => client.CallTool("slow", default, hurry.Token));
        var told = await server.Received(message => message.GetProperty("method").GetString() == "notifications/cancelled");
        var asked = await server.Received(message => message.GetProperty("method").GetString() == "tools/call");
        Assert.Equal(asked.GetProperty("id").GetInt64(), told.GetProperty("params").GetProperty("requestId").GetInt64());
        Assert.Equal(JsonValueKind.Object, asked.GetProperty("params").GetProperty("arguments").ValueKind);

        var result = await client.CallTool("quick", JsonElement.Parse("""{"n":1}"""), Cancel);
        Assert.Equal("done", result.GetProperty("content")[0].GetProperty("text").GetString());
    }

    [Fact]
    public async Task An_error_and_the_end_of_a_server_are_told_in_words()
    {
        await using var server = new Streams(async (server, id, method, parameters) =>
        {
            if (method == "initialize") await server.Answer(id, Initialized);
            else if (parameters.GetProperty("name").GetString() == "bad") await server.Say($$$"""{"jsonrpc":"2.0","id":{{{id}}},"error":{"code":-32602,"message":"no such tool"}}""");
            else server.End();
        });
        await using var client = await server.Connect();
        var refused = await Assert.ThrowsAsync<McpException>(() => client.CallTool("bad", default, Cancel));
        Assert.Equal(("no such tool", -32602), (refused.Message, refused.Code));
        await Assert.ThrowsAsync<McpException>(() => client.CallTool("deadly", default, Cancel));
        await client.Ended.WaitAsync(Cancel);
        await Assert.ThrowsAsync<McpException>(() => client.CallTool("again", default, Cancel));
    }

    [Fact]
    public async Task A_version_of_the_protocol_that_is_not_known_is_refused_by_name()
    {
        await using var server = new Streams((server, id, _, _) => server.Answer(id, """{"protocolVersion":"2031-01-01","capabilities":{}}"""));
        var refused = await Assert.ThrowsAsync<McpException>(server.Connect);
        Assert.Contains("'2031-01-01'", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Over_http_a_stream_that_ends_before_its_answer_is_taken_up_where_it_broke_off()
    {
        long? called = null;
        await using var server = await Http.Start(async (context, message) =>
        {
            if (context.Request.Method == "GET")
            {
                // The client also listens without being asked to take anything up.
                if (context.Request.Headers["Last-Event-ID"] != "e1") context.Response.StatusCode = 405;
                else await Http.Events(context, "id: e2\ndata: " + $$$"""{"jsonrpc":"2.0","id":{{{called}}},"result":{"content":[],"n":5}}""");
                return;
            }
            if (Http.Handshake(context, message, session: "s1")) return;
            called = message.GetProperty("id").GetInt64();
            await Http.Events(context, "retry: 10\nid: e1\ndata: ");
        });
        await using var client = await server.Connect(("Authorization", "Bearer of the test"));
        Assert.Equal(5, (await client.CallTool("slow", default, Cancel)).GetProperty("n").GetInt32());
        var resumed = server.Requests.Single(request => request["Last-Event-ID"] is not null);
        Assert.Equal(("s1", "2025-06-18", "Bearer of the test"), (resumed["Mcp-Session-Id"], resumed["MCP-Protocol-Version"], resumed["Authorization"]));
    }

    [Fact]
    public async Task Over_http_a_session_that_the_server_has_forgotten_is_begun_anew_and_the_call_made_in_it()
    {
        var sessions = 0;
        var changed = 0;
        await using var server = await Http.Start(async (context, message) =>
        {
            if (context.Request.Method != "POST") context.Response.StatusCode = 405;
            else if (message.GetProperty("method").GetString() == "initialize") Http.Handshake(context, message, session: $"s{++sessions}");
            else if (Http.Handshake(context, message, session: null)) return;
            else if (context.Request.Headers["Mcp-Session-Id"] == "s1") context.Response.StatusCode = 404;
            else await Http.Json(context, $$$"""{"jsonrpc":"2.0","id":{{{message.GetProperty("id").GetInt64()}}},"result":{"content":[],"in":"{{{context.Request.Headers["Mcp-Session-Id"]}}}"}}""");
        });
        await using (var client = await server.Connect())
        {
            client.ToolsChanged = () => changed++;
            Assert.Equal("s2", (await client.CallTool("x", default, Cancel)).GetProperty("in").GetString());
            Assert.Equal(1, changed);
        }
        Assert.Contains(server.Requests, request => request["method"] == "DELETE" && request["Mcp-Session-Id"] == "s2");
    }

    [Theory]
    [InlineData(401, "other credentials (401)")]
    [InlineData(404, "is not there (404)")]
    [InlineData(307, "has moved to http://127.0.0.1:1/elsewhere")]
    [InlineData(500, "answered 500")]
    public async Task Over_http_a_server_that_does_not_let_us_in_is_told_in_words(int status, string words)
    {
        await using var server = await Http.Start((context, _) =>
        {
            context.Response.StatusCode = status;
            context.Response.Headers.Location = "http://127.0.0.1:1/elsewhere";
            return Task.CompletedTask;
        });
        var refused = await Assert.ThrowsAsync<McpException>(() => server.Connect(("Authorization", "Bearer secret")));
        Assert.Contains(words, refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", refused.Message, StringComparison.Ordinal);
    }

    /// <summary>A server at the other end of two pipes.</summary>
    sealed class Streams : IAsyncDisposable
    {
        readonly AnonymousPipeServerStream toServer = new(PipeDirection.Out);
        readonly AnonymousPipeServerStream fromServer = new(PipeDirection.In);
        readonly StreamWriter says;
        readonly ConcurrentQueue<JsonElement> received = [];
        readonly SemaphoreSlim arrived = new(0);
        readonly Task serving;

        public Streams(Func<Streams, long, string, JsonElement, Task> serve)
        {
            var reader = new StreamReader(new AnonymousPipeClientStream(PipeDirection.In, toServer.ClientSafePipeHandle));
            says = new StreamWriter(new AnonymousPipeClientStream(PipeDirection.Out, fromServer.ClientSafePipeHandle)) { AutoFlush = true };
            serving = Task.Run(async () =>
            {
                while (await reader.ReadLineAsync() is { } line)
                {
                    var message = JsonElement.Parse(line);
                    received.Enqueue(message);
                    arrived.Release();
                    if (!message.TryGetProperty("method", out var method) || !message.TryGetProperty("id", out var id)) continue;
                    await serve(this, id.GetInt64(), method.GetString()!, message.TryGetProperty("params", out var parameters) ? parameters : default);
                }
            });
        }

        public Task<McpClient> Connect() => McpClient.OverStreams(toServer, fromServer, Silent, Cancel);

        public Task Say(string line) => says.WriteLineAsync(line);

        public Task Answer(long id, string result) => Say($$"""{"jsonrpc":"2.0","id":{{id}},"result":{{result}}}""");

        public void End() => says.Dispose();

        public async Task<JsonElement> Received(Func<JsonElement, bool> fits)
        {
            while (true)
            {
                if (received.Where(fits).ToList() is [var first, ..]) return first;
                await arrived.WaitAsync(Cancel);
            }
        }

        public async ValueTask DisposeAsync()
        {
            toServer.Dispose();
            await serving;
            says.Dispose();
            fromServer.Dispose();
            arrived.Dispose();
        }
    }

    /// <summary>A server of streamable HTTP that answers as a test says, and remembers what it was asked.</summary>
    sealed class Http(WebApplication app) : IAsyncDisposable
    {
        public ConcurrentQueue<IReadOnlyDictionary<string, string?>> Requests { get; private init; } = [];

        public static async Task<Http> Start(Func<HttpContext, JsonElement, Task> answer)
        {
            var requests = new ConcurrentQueue<IReadOnlyDictionary<string, string?>>();
            var app = await Loopback.Http(app => app.Run(async context =>
            {
                var headers = new List<string> { "Last-Event-ID", "Mcp-Session-Id", "MCP-Protocol-Version", "Authorization" };
                var remembered = headers.ToDictionary(name => name, name => context.Request.Headers.TryGetValue(name, out var value) ? (string?)value : null);
                remembered["method"] = context.Request.Method;
                requests.Enqueue(remembered);
                using var reader = new StreamReader(context.Request.Body);
                var body = await reader.ReadToEndAsync();
                await answer(context, body.Length > 0 ? JsonElement.Parse(body) : default);
            }));
            return new Http(app) { Requests = requests };
        }

        public Task<McpClient> Connect(params (string Name, string Value)[] headers) => McpClient.OverHttp(
            new Uri(app.Urls.Single() + "/mcp"), headers.ToDictionary(header => header.Name, header => header.Value), null, Silent, TimeProvider.System, Cancel);

        /// <summary>Answers what belongs to the handshake; false: it is something else.</summary>
        public static bool Handshake(HttpContext context, JsonElement message, string? session)
        {
            var method = message.GetProperty("method").GetString();
            if (method == "notifications/initialized")
            {
                context.Response.StatusCode = 202;
                return true;
            }
            if (method != "initialize") return false;
            context.Response.Headers["Mcp-Session-Id"] = session;
            _ = Json(context, $$"""{"jsonrpc":"2.0","id":{{message.GetProperty("id").GetInt64()}},"result":{{Initialized}}}""");
            return true;
        }

        public static Task Json(HttpContext context, string json)
        {
            context.Response.ContentType = "application/json";
            return context.Response.Body.WriteAsync(Encoding.UTF8.GetBytes(json)).AsTask();
        }

        public static Task Events(HttpContext context, string events)
        {
            context.Response.ContentType = "text/event-stream";
            return context.Response.WriteAsync(events + "\n\n");
        }

        public ValueTask DisposeAsync() => app.DisposeAsync();
    }
}
