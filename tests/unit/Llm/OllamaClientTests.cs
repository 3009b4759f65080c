using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Time.Testing;
using Stigmer.Agents.Llm;
using Stigmer.Agents.Tools;
using Stigmer.Config;
using Stigmer.Rpc.V1;

namespace Stigmer.Tests.Llm;

public class OllamaClientTests
{
    const string Done = """{"message":{"role":"assistant","content":"yes"},"done":true,"done_reason":"stop","prompt_eval_count":5,"eval_count":1}""";

    [Fact]
    public async Task A_request_says_all_that_Ollama_would_otherwise_guess()
    {
        await using var server = await OllamaServer.Answering(Done);
        await Ask(server.Settings(window: 16384));

        var body = Assert.Single(server.Chats);
        Assert.Equal("qwen2.5-coder:7b", body.GetProperty("model").GetString());
        Assert.True(body.GetProperty("stream").GetBoolean());
        Assert.False(body.GetProperty("truncate").GetBoolean());
        Assert.False(body.GetProperty("shift").GetBoolean());
        Assert.Equal("""{"num_ctx":16384,"num_predict":8192,"temperature":0}""", body.GetProperty("options").GetRawText());
        Assert.Equal(WorkspaceTools.All.Select(tool => tool.Name.Replace('.', '_')), body.GetProperty("tools").EnumerateArray().Select(tool => tool.GetProperty("function").GetProperty("name").GetString()));
        Assert.True(server.Requests.Single().Headers.ContainsKey("Content-Length"));
    }

    [Fact]
    public async Task A_temperature_that_is_not_set_is_not_sent()
    {
        await using var server = await OllamaServer.Answering(Done);
        await Ask(server.Settings(window: 4096) with { Temperature = null });
        Assert.False(server.Chats[0].GetProperty("options").TryGetProperty("temperature", out _));
    }

    [Fact]
    public async Task A_conversation_goes_out_in_Ollamas_form()
    {
        await using var server = await OllamaServer.Answering(Done);
        var answer = new ModelAnswer { Text = "Let me see.", Provider = "ollama", Model = "qwen2.5-coder:7b", Raw = Google.Protobuf.ByteString.CopyFromUtf8(OllamaRaw.From("a thought")) };
        answer.Calls.Add(new ToolCall { Slot = 1, Id = "call_1_1", Name = "workspace.list", Arguments = """{"path":"."}""" });
        answer.Calls.Add(new ToolCall { Slot = 2, Id = "call_1_2", Name = "workspace.read", Arguments = "not JSON" });
        await Ask(server.Settings(window: 4096), instructions: "Be brief.",
            new TranscriptEntry { Turn = 1, Step = 1, User = new UserMessage { Number = 1, Text = "What is here?" } },
            new TranscriptEntry { Turn = 1, Step = 1, Slot = 0, Answer = answer },
            new TranscriptEntry { Turn = 1, Step = 1, Slot = 1, Result = new ToolResult { CallId = "call_1_1", Ok = true, Text = "a.txt" } });

        Assert.Equal(
            """
            [{"role":"system","content":"Be brief."},
            {"role":"user","content":"What is here?"},
            {"role":"assistant","content":"Let me see.","thinking":"a thought","tool_calls":[{"function":{"name":"workspace_list","arguments":{"path":"."}}},{"function":{"name":"workspace_read","arguments":{}}}]},
            {"role":"tool","content":"a.txt","tool_name":"workspace_list"},
            {"role":"tool","content":"This call was not carried out.","tool_name":"workspace_read"}]
            """.ReplaceLineEndings(""),
            server.Chats[0].GetProperty("messages").GetRawText());
    }

    [Theory]
    [InlineData("""{"model_info":{"general.architecture":"qwen2","qwen2.context_length":8192}}""", 8192)]
    [InlineData("""{"model_info":{"general.architecture":"qwen3","qwen3.context_length":262144,"clip.context_length":77}}""", 32768)]
    [InlineData("""{"model_info":{"llama.context_length":2048}}""", 2048)]
    [InlineData("""{"capabilities":["completion"]}""", 32768)]
    [InlineData("not JSON", 32768)]
    public async Task The_window_is_the_smaller_of_32768_and_what_the_model_was_trained_for(string show, int window)
    {
        await using var server = await OllamaServer.Start(
            async (context, _) => await context.Response.WriteAsync(Done),
            async context =>
            {
                context.Response.ContentType = "application/json";
                await context.Response.WriteAsync(show);
            });
        var settings = server.Settings();
        using var client = ChatClients.Create(settings);
        await Ask(settings, client);
        await Ask(settings, client);

        Assert.All(server.Chats, chat => Assert.Equal(window, chat.GetProperty("options").GetProperty("num_ctx").GetInt32()));
        Assert.Equal("""{"model":"qwen2.5-coder:7b"}""", Assert.Single(server.Requests, request => request.Path == "/api/show").Body);
    }

    [Fact]
    public async Task A_server_that_describes_no_models_answers_all_the_same()
    {
        await using var server = await OllamaServer.Answering(Done);
        Assert.Equal("yes", (await Ask(server.Settings())).Text);
        Assert.Equal(32768, server.Chats[0].GetProperty("options").GetProperty("num_ctx").GetInt32());
    }

    [Theory]
    [InlineData("")]
    [InlineData("/")]
    [InlineData("/v1")]
    [InlineData("/v1/")]
    [InlineData("/api")]
    public async Task The_base_URL_may_end_as_people_write_it(string end)
    {
        await using var server = await OllamaServer.Answering(Done);
        Assert.Equal("yes", (await Ask(server.Settings(window: 4096) with { BaseUrl = server.Url + end })).Text);
    }

    [Fact]
    public async Task A_model_that_refuses_tools_is_asked_without_them_from_then_on_and_the_person_is_told()
    {
        await using var server = await OllamaServer.Start(async (context, body) =>
        {
            if (body.TryGetProperty("tools", out _))
            {
                context.Response.StatusCode = 400;
                await context.Response.WriteAsync("""{"error":"registry.ollama.ai/library/gemma:2b does not support tools"}""");
                return;
            }
            await context.Response.WriteAsync(Done);
        });
        var settings = server.Settings(window: 4096);
        using var client = ChatClients.Create(settings);
        var answer = await Ask(settings, client);
        Assert.Equal("yes", answer.Text);
        Assert.Contains("takes no tools", Assert.Single(answer.Notes), StringComparison.Ordinal);
        Assert.Single((await Ask(settings, client)).Notes);
        Assert.Equal(3, server.Chats.Count);
    }

    [Fact]
    public async Task A_prompt_that_an_old_server_cut_in_silence_is_noticed()
    {
        await using var server = await OllamaServer.Answering("""{"message":{"content":"yes"},"done":true,"prompt_eval_count":2050}""");
        var answer = await Ask(server.Settings(window: 4096), "", new TranscriptEntry { User = new UserMessage { Number = 1, Text = new string('a', 13_000) } });
        Assert.Contains("left out part", Assert.Single(answer.Notes), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(404, """{"error":"model 'qwen2.5-coder:7b' not found"}""", false, "does not have the model qwen2.5-coder:7b", "`stigmer llm pull qwen2.5-coder:7b`")]
    [InlineData(404, "404 page not found", false, "There is no Ollama at", "without /v1")]
    [InlineData(400, """{"error":"the prompt is longer than the context length currently available to the model"}""", false, "longer than the window of qwen2.5-coder:7b, 4096 tokens", "context_window")]
    [InlineData(400, """{"error":"{\"error\":{\"code\":400,\"message\":\"the request exceeds the available context size\",\"type\":\"exceed_context_size_error\"}}"}""", false, "longer than the window", "context_window")]
    [InlineData(400, """{"error":"invalid options: num_ctx"}""", false, "refused the request", "llm.base_url")]
    [InlineData(401, """{"error":"unauthorized","signin_url":"https://ollama.com/x"}""", false, "refuses access", "ollama signin")]
    [InlineData(402, """{"error":"payment required"}""", false, "wants payment", "ollama.com")]
    [InlineData(408, "", true, "could not answer", "log")]
    [InlineData(413, "<html>Request Entity Too Large</html>", false, "longer than the window", "context_window")]
    [InlineData(429, """{"error":"too many requests"}""", true, "could not answer", "log")]
    [InlineData(500, """{"error":"llama runner process has terminated"}""", true, "could not answer", "log")]
    [InlineData(500, """{"error":"model requires more system memory (8.1 GiB) than is available (3.9 GiB)"}""", false, "does not fit into this machine's memory", "smaller model")]
    [InlineData(502, "<html>Bad Gateway</html>", true, "could not answer", "log")]
    [InlineData(503, """{"error":"server busy, please try again. maximum pending requests exceeded"}""", true, "could not answer", "log")]
    [InlineData(504, "", true, "could not answer", "log")]
    [InlineData(529, "", true, "could not answer", "log")]
    [InlineData(301, "", false, "refused the request", "llm.base_url")]
    public async Task Every_kind_of_refusal_says_what_to_do(int status, string body, bool retryable, string what, string remedy)
    {
        await using var server = await OllamaServer.Start(async (context, _) =>
        {
            context.Response.StatusCode = status;
            await context.Response.WriteAsync(body);
        });
        var failure = await Assert.ThrowsAsync<ModelFailure>(() => Ask(server.Settings(window: 4096)));
        Assert.Equal(retryable, failure.Retryable);
        Assert.Contains(what, failure.What, StringComparison.Ordinal);
        Assert.Contains(remedy, failure.Remedy, StringComparison.Ordinal);
        Assert.Single(server.Chats);
    }

    [Fact]
    public async Task The_servers_word_on_when_to_try_again_is_kept()
    {
        var now = DateTimeOffset.UnixEpoch;
        TimeSpan? After(string name, string value)
        {
            using var response = new HttpResponseMessage();
            response.Headers.TryAddWithoutValidation(name, value);
            return ServerSaid.RetryAfter(response.Headers, now);
        }
        Assert.Equal(TimeSpan.FromSeconds(7), After("Retry-After", "7"));
        Assert.Equal(TimeSpan.FromSeconds(0.5), After("Retry-After", "0.5"));
        Assert.Equal(TimeSpan.FromMilliseconds(1250), After("retry-after-ms", "1250"));
        Assert.Equal(TimeSpan.FromSeconds(9), After("Retry-After", now.AddSeconds(9).ToString("R")));
        Assert.Equal(TimeSpan.Zero, After("Retry-After", now.AddSeconds(-9).ToString("R")));
        Assert.Null(After("Retry-After", "soon"));

        await using var server = await OllamaServer.Start((context, _) =>
        {
            context.Response.StatusCode = 429;
            context.Response.Headers.RetryAfter = "3";
            return Task.CompletedTask;
        });
        var failure = await Assert.ThrowsAsync<ModelFailure>(() => Ask(server.Settings(window: 4096)));
        Assert.Equal(TimeSpan.FromSeconds(3), failure.RetryAfter);
    }

    [Fact]
    public async Task Nobody_there_says_how_to_start_and_to_install_it_and_names_the_demo()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var url = $"http://127.0.0.1:{((IPEndPoint)taken.LocalEndpoint).Port}";
        taken.Stop();
        var failure = await Assert.ThrowsAsync<ModelFailure>(() => Ask(new LlmSettings(LlmProvider.Ollama, "qwen3:8b", url, 10, null, null, null)));
        Assert.False(failure.Retryable);
        Assert.Equal($"Ollama does not answer at {url}", failure.What);
        Assert.Equal("connection refused", failure.Why);
        Assert.Contains("`ollama serve`", failure.Remedy, StringComparison.Ordinal);
        Assert.Contains("https://ollama.com/download", failure.Remedy, StringComparison.Ordinal);
        Assert.Contains("`stigmer llm pull qwen3:8b`", failure.Remedy, StringComparison.Ordinal);
        Assert.Contains("--provider demo", failure.Remedy, StringComparison.Ordinal);

        var status = await OllamaStatus.Check(url, "qwen3:8b", TestContext.Current.CancellationToken);
        Assert.Equal((false, false, failure.Message, failure.Remedy), (status.Reachable, status.ModelAvailable, status.Detail, status.Remedy));
    }

    [Fact]
    public async Task A_connection_that_breaks_in_the_middle_can_be_tried_again()
    {
        await using var server = await OllamaServer.Start(async (context, _) =>
        {
            await context.Response.WriteAsync("""{"message":{"content":"ye"}}""" + "\n");
            await context.Response.Body.FlushAsync();
            context.Abort();
        });
        var failure = await Assert.ThrowsAsync<ModelFailure>(() => Ask(server.Settings(window: 4096)));
        Assert.True(failure.Retryable);
    }

    [Fact]
    public async Task A_model_may_take_minutes_to_load_and_then_may_not_fall_silent()
    {
        var time = new FakeTimeProvider();
        var asked = new TaskCompletionSource();
        var load = new TaskCompletionSource();
        await using var server = await OllamaServer.Start(async (context, _) =>
        {
            asked.SetResult();
            await load.Task;
            await context.Response.WriteAsync("""{"message":{"content":"ye"}}""" + "\n");
            await context.Response.Body.FlushAsync();
            await Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
        });
        var settings = server.Settings(window: 4096);
        using var client = ChatClients.Create(settings, time: time);
        var shown = new TaskCompletionSource();
        var asking = new ModelCall(settings, "", [], [], 1).Ask(
            client,
            _ =>
            {
                shown.SetResult();
                return Task.CompletedTask;
            },
            TestContext.Current.CancellationToken);
        await asked.Task;
        time.Advance(TimeSpan.FromMinutes(20));
        load.SetResult();
        await shown.Task;
        time.Advance(TimeSpan.FromMinutes(5));
        var failure = await Assert.ThrowsAsync<ModelFailure>(() => asking);
        Assert.True(failure.Retryable);
        Assert.Contains("sent nothing for 5 minutes", failure.Why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Cancelling_ends_the_call_at_the_server_too()
    {
        using var cancel = new CancellationTokenSource();
        var aborted = new TaskCompletionSource();
        await using var server = await OllamaServer.Start(async (context, _) =>
        {
            context.RequestAborted.Register(() => aborted.SetResult());
            await cancel.CancelAsync();
            await aborted.Task;
        });
        var settings = server.Settings(window: 4096);
        using var client = ChatClients.Create(settings);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => new ModelCall(settings, "", [], [], 1).Ask(client, _ => Task.CompletedTask, cancel.Token));
        await aborted.Task;
    }

    [Theory]
    [InlineData("qwen2.5-coder:7b", "qwen2.5-coder:7b", true)]
    [InlineData("Qwen2.5-Coder:7B", "qwen2.5-coder:7b", true)]
    [InlineData("qwen2.5-coder:latest", "qwen2.5-coder", true)]
    [InlineData("qwen2.5-coder:7b", "qwen2.5-coder", false)]
    [InlineData("hf.co/someone/model:latest", "hf.co/someone/model", true)]
    [InlineData("localhost:5000/model:latest", "localhost:5000/model", true)]
    [InlineData(null, "qwen3", false)]
    public void A_model_without_a_tag_is_the_latest(string? listed, string asked, bool same) => Assert.Equal(same, OllamaStatus.IsSame(listed, asked));

    [Theory]
    [InlineData("""{"models":[{"name":"qwen3:8b"}]}""", 404, true, true, null)]
    [InlineData("""{"models":[]}""", 404, true, false, "`stigmer llm pull qwen3:8b`")]
    [InlineData("""{"models":[]}""", 200, true, true, null)]
    [InlineData("""{"models":null}""", 404, true, false, "`stigmer llm pull qwen3:8b`")]
    [InlineData("<html>", 404, false, false, "without /v1")]
    public async Task The_status_says_whether_the_model_can_be_used(string tags, int show, bool reachable, bool available, string? remedy)
    {
        await using var server = await OllamaServer.Start((_, _) => Task.CompletedTask, async context =>
        {
            if (context.Request.Path == "/api/show") context.Response.StatusCode = show;
            else await context.Response.WriteAsync(tags);
        });
        var status = await OllamaStatus.Check(server.Url, "qwen3:8b", TestContext.Current.CancellationToken);
        Assert.Equal((reachable, available), (status.Reachable, status.ModelAvailable));
        if (remedy is null) Assert.Null(status.Problem);
        else Assert.Contains(remedy, status.Remedy, StringComparison.Ordinal);
    }

    static async Task<ModelAnswer> Ask(LlmSettings settings, string instructions = "", params TranscriptEntry[] transcript)
    {
        using var client = ChatClients.Create(settings);
        return await Ask(settings, client, instructions, transcript);
    }

    static Task<ModelAnswer> Ask(LlmSettings settings, Microsoft.Extensions.AI.IChatClient client, string instructions = "", params TranscriptEntry[] transcript) =>
        new ModelCall(settings, instructions, transcript, WorkspaceTools.All, 1).Ask(client, _ => Task.CompletedTask, TestContext.Current.CancellationToken);
}
