using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Stigmer.Agents.Llm;
using Stigmer.Config;
using Stigmer.Rpc.V1;
using Stigmer.Standins;

namespace Stigmer.Tests.Llm;

public class OpenAiClientTests
{
    static readonly OllamaToolCall List = OllamaToolCall.Of("workspace_list");
    static readonly OllamaToolCall Read = OllamaToolCall.Of("workspace_read", """{"path":"ä.txt","limit":3}""");
    static readonly HostedModel Sol = new("gpt-6.2-sol");
    static readonly HostedModel Local = new("qwen3", Temperature: true);

    /// <summary>On OpenAI's own host, as far as the client can tell.</summary>
    static async Task<Hosted> Own(HostedModel model, params HostedAnswer[] answers)
    {
        var run = await Hosted.OpenAi(model, answers);
        var standin = run.Settings.BaseUrl;
        var settings = run.Settings with { BaseUrl = "http://api.openai.com/v1" };
        run.With(_ => settings, ChatClients.Create(settings, new Secret(Hosted.Key), handler: new AnthropicClientTests.Rerouted(standin)));
        return run;
    }

    [Theory]
    [InlineData("own")]
    [InlineData("gpt-6-luna")]
    [InlineData("qwen3")]
    public async Task Text_and_parallel_calls_come_with_usage_and_go_back_with_their_results(string kind)
    {
        HostedAnswer[] answers = [new() { Step = 1, Text = "Let me look. 😀", Calls = [List, Read] }, new() { Step = 2, Text = "Done." }];
        await using var run = kind == "own" ? await Own(Sol, answers) : await Hosted.OpenAi(new HostedModel(kind), answers);
        var first = await run.Say("What is here?").Ask();
        Assert.Equal(("Let me look. 😀", "Let me look. 😀", FinishReason.ToolCalls), (first.Text, run.Streamed, first.FinishReason));
        Assert.Equal([("workspace.list", "{}"), ("workspace.read", """{"path":"ä.txt","limit":3}""")], first.Calls.Select(call => (call.Name, call.Arguments)));
        Assert.True(first.Usage.InputTokens > 0 && first.Usage.OutputTokens > 0);
        var second = await run.Answer("no such file", ok: false).Ask();
        Assert.Equal(("Done.", FinishReason.Stop), (second.Text, second.FinishReason));
        Assert.Empty(second.Notes);
        Assert.Equal(2, run.Calls.Count);
        Assert.Contains(run.Ends, end => end == "answered");
    }

    [Fact]
    public async Task Reasoning_goes_back_unchanged_to_the_model_that_reasoned_and_to_no_other()
    {
        await using var run = await Own(Sol, new HostedAnswer { Step = 1, Thinking = "Hm.\n\"ü\"", Text = "One moment.", Calls = [List] }, new HostedAnswer { Text = "Done." });
        await run.Say("Go").Ask();
        await run.Answer("a.txt").Ask();
        Assert.Equal(["message", "reasoning", "message", "function_call", "function_call_output"], run.Calls[1].GetProperty("input").EnumerateArray().Select(item => item.GetProperty("type").GetString()));
        var entries = run.Transcript.ToList();
        var other = run.Settings with { Model = "gpt-6-luna" };
        Assert.DoesNotContain(Conversation.ToMessages(other, "", entries, new([]), new()), message => message.AdditionalProperties is not null);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_call_that_was_cut_off_is_not_made_and_said(bool own)
    {
        HostedAnswer[] answers = [new() { To = "one", Text = "I write. ", Calls = [List, Read], CutsCall = true }, new() { To = "two", Calls = [Read], CutsCall = true }];
        await using var run = own ? await Own(Sol, answers) : await Hosted.OpenAi(Local, answers);
        var answer = await run.Say("one").Ask();
        Assert.Equal("workspace.list", Assert.Single(answer.Calls).Name);
        Assert.Contains("cut off in the middle of a call of workspace_read", Assert.Single(answer.Notes), StringComparison.Ordinal);
        var failure = await Assert.ThrowsAsync<ModelFailure>(() => run.Answer("a").Say("two").Ask());
        Assert.False(failure.Retryable);
        Assert.Contains("llm.max_tokens", failure.Remedy, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_stream_that_breaks_in_any_way_is_to_be_made_again(bool own)
    {
        HostedAnswer[] answers =
        [
            new() { To = "break", Text = "Half an", Break = true }, new() { To = "end", Text = "Half an", WithoutEnd = true },
            new() { To = "torn", Text = "Half an", Malformed = true }, new() { To = "error", Text = "Half an", Error = "The server had an error" },
            new() { To = "failed", Text = "Half an", Error = "Rate limit", ErrorType = "rate_limit_exceeded", Stop = "failed" },
        ];
        await using var run = own ? await Own(Sol, answers) : await Hosted.OpenAi(Local, answers);
        foreach (var kind in (string[])["break", "end", "torn", "error", "failed"])
        {
            Assert.True((await Assert.ThrowsAsync<ModelFailure>(() => run.Say(kind).Ask())).Retryable, kind);
        }
    }

    [Fact]
    public async Task Refusals_and_filters_are_said()
    {
        HostedAnswer[] answers = [new() { To = "bad", Text = "No.", Stop = "refusal" }, new() { To = "filter", Text = "I", Stop = "content_filter" }];
        foreach (var own in (bool[])[true, false])
        {
            await using var run = own ? await Own(Sol, answers) : await Hosted.OpenAi(Local, answers);
            var refused = await run.Say("bad").Ask();
            Assert.Equal(("No.", FinishReason.ContentFilter), (refused.Text, refused.FinishReason));
            Assert.Contains("refused to answer", Assert.Single(refused.Notes), StringComparison.Ordinal);
            var filtered = await run.Say("filter").Ask();
            Assert.Equal(FinishReason.ContentFilter, filtered.FinishReason);
            Assert.Contains("content filter", Assert.Single(filtered.Notes), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_compatible_server_gets_neither_what_only_OpenAI_takes_nor_a_second_chance_to_say_so()
    {
        await using var run = await Hosted.OpenAi(Local, new HostedAnswer { Text = "Yes." });
        run.With(settings => settings with { Temperature = 0.5 });
        await run.Say("Hi").Ask();
        Assert.Equal(8192, Assert.Single(run.Calls).GetProperty("max_tokens").GetInt32());
        Assert.Equal(0.5, run.Calls[0].GetProperty("temperature").GetDouble());
        await using var luna = await Hosted.OpenAi(new HostedModel("gpt-6-luna"), new HostedAnswer { Text = "Yes." });
        await luna.Say("Hi").Ask();
        var body = Assert.Single(luna.Calls);
        Assert.Equal(("none", 8192), (body.GetProperty("reasoning_effort").GetString(), body.GetProperty("max_completion_tokens").GetInt32()));
    }

    [Fact]
    public async Task What_a_server_can_do_without_is_left_out_once_it_refused_it()
    {
        await using var run = await Hosted.OpenAi(new HostedModel("tiny", Context: 4096, Tools: false), new HostedAnswer { Text = "Plain." });
        run.With(settings => settings with { Temperature = 0.5 });
        var first = await run.Say("Hi").Ask();
        Assert.Equal("Plain.", first.Text);
        Assert.Contains("takes no tools", Assert.Single(first.Notes), StringComparison.Ordinal);
        var calls = run.Calls.Count;
        Assert.Single((await run.Say("Again").Ask()).Notes);
        Assert.Equal(calls + 1, run.Calls.Count);
        Assert.Equal(1024, run.Calls[^1].GetProperty("max_tokens").GetInt32());

        // A model that takes tools on OpenAI's own host alone.
        await using var sol = await Hosted.OpenAi(Sol, new HostedAnswer { Text = "Plain." });
        Assert.Contains("OpenAI's own host", Assert.Single((await sol.Say("Hi").Ask()).Notes), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(401, "invalid_api_key", "Incorrect API key provided", false, "does not accept the API key", "OPENAI_API_KEY")]
    [InlineData(403, "forbidden", "no", false, "refuses access to gpt-6.2-sol", "OPENAI_API_KEY")]
    [InlineData(404, "model_not_found", "The model `gpt-6.2-sol` does not exist", false, "does not know the model gpt-6.2-sol", "Did you mean gpt-6")]
    [InlineData(400, "context_length_exceeded", "Your input exceeds the context window of this model.", false, "longer than the window of gpt-6.2-sol", "less to read")]
    [InlineData(429, "insufficient_quota", "You exceeded your current quota", false, "credit or its spending limit", "billing")]
    [InlineData(429, "rate_limit_exceeded", "Rate limit reached", true, "asks to slow down", "later")]
    [InlineData(429, "slow_down", "Slow down", true, "asks to slow down", "later")]
    [InlineData(500, "server_error", "oops", true, "could not answer", "later")]
    [InlineData(503, "server_is_overloaded", "busy", true, "is overloaded", "later")]
    public async Task Each_error_says_what_to_do_and_whether_it_may_pass(int status, string code, string message, bool retryable, string what, string remedy)
    {
        await using var run = await Own(Sol, new HostedAnswer { Status = status, ErrorType = code, Error = message });
        var failure = await Assert.ThrowsAsync<ModelFailure>(() => run.Say("Hi").Ask());
        Assert.Equal(retryable, failure.Retryable);
        Assert.Contains(what, failure.What, StringComparison.Ordinal);
        Assert.Contains(remedy, failure.Remedy, StringComparison.Ordinal);
        Assert.Contains(message, failure.Why, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "/v1/chat/completions")]
    [InlineData("/", "/v1/chat/completions")]
    [InlineData("/v1", "/v1/chat/completions")]
    [InlineData("/v1/", "/v1/chat/completions")]
    [InlineData("/v1/chat/completions", "/v1/chat/completions")]
    [InlineData("/gateway", "/gateway/v1/chat/completions")]
    [InlineData("/gateway/openai", "/gateway/openai/chat/completions")]
    public async Task The_base_URL_may_end_as_people_write_it(string end, string path)
    {
        await using var server = await Loopback.Http(app => app.Run(async context =>
        {
            context.Response.StatusCode = context.Request.Path == path ? 200 : 404;
            context.Response.ContentType = "text/event-stream";
            await context.Response.WriteAsync("data: {\"choices\":[{\"delta\":{\"content\":\"yes\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
        }));
        Assert.Equal("yes", (await Asked(server.Urls.Single() + end)).Text);
    }

    [Theory]
    [InlineData("parallel calls with one index", """
        data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"workspace_list","arguments":"{}"}}]}}]}

        data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"b","function":{"name":"workspace_read","arguments":{"path":"x"}}}]},"finish_reason":"tool_calls"}]}
        """)]
    [InlineData("neither index nor id", """
        data: {"choices":[{"delta":{"tool_calls":[{"function":{"name":"workspace_list","arguments":"{}"}},{"function":{"name":"workspace_read","arguments":"{\"path\":"}}]}}]}

        data: {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"\"x\"}"}}]},"finish_reason":"stop"}],"usage":null}
        """)]
    [InlineData("calls written as text", """
        data: {"choices":[{"delta":{"content":"{\"name\":\"workspace_list\",\"arguments\":{}}\n{\"name\":\"workspace_read\",\"arguments\":{\"path\":\"x\"}}"},"finish_reason":"stop"}]}
        """)]
    public async Task Calls_are_told_apart_whatever_a_server_leaves_out(string form, string stream)
    {
        await using var server = await Loopback.Http(app => app.Run(async context =>
        {
            context.Response.ContentType = "text/event-stream";
            await context.Response.WriteAsync(stream + "\n\n");
        }));
        var answer = await Asked(server.Urls.Single());
        Assert.True(answer.Calls.Count == 2, form);
        Assert.Equal(["workspace.list {}", "workspace.read {\"path\":\"x\"}"], answer.Calls.Select(call => $"{call.Name} {call.Arguments}"));
        Assert.Equal("", answer.Text);
    }

    [Theory]
    [InlineData("""data: {"choices":[{"delta":{"content":"{\"name\":\"workspace_read\",\"arguments\":{\"path\":"},"finish_reason":"length"}]}""", "text/event-stream", false, "cut off in the middle of a call")]
    [InlineData("""{"choices":[{"message":{"content":null,"tool_calls":[]}}]}""", "application/json", true, "broke off")]
    [InlineData("""{"error":{"message":"overloaded","type":"overloaded_error"}}""", "application/json", true, "overloaded")]
    public async Task Odd_ends_are_told_apart(string body, string type, bool retryable, string what)
    {
        await using var server = await Loopback.Http(app => app.Run(async context =>
        {
            context.Response.ContentType = type;
            await context.Response.WriteAsync(body + "\n\n");
        }));
        var failure = await Assert.ThrowsAsync<ModelFailure>(() => Asked(server.Urls.Single()));
        Assert.Equal((retryable, true), (failure.Retryable, failure.Message.Contains(what, StringComparison.Ordinal)));
    }

    [Fact]
    public async Task A_server_that_does_not_stream_is_understood()
    {
        await using var server = await Loopback.Http(app => app.Run(async context =>
        {
            context.Response.ContentType = "application/json";
            await context.Response.WriteAsync("""{"choices":[{"message":{"role":"assistant","content":"Whole."},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2}}""");
        }));
        var answer = await Asked(server.Urls.Single());
        Assert.Equal(("Whole.", 7), (answer.Text, answer.Usage.InputTokens));
    }

    [Theory]
    [InlineData("http://127.0.0.1:8000", true)]
    [InlineData("http://localhost:1234/v1", true)]
    [InlineData("http://192.168.1.7:8000/v1", true)]
    [InlineData("http://[fd00::1]:8000/v1", true)]
    [InlineData("http://vllm:8000/v1", true)]
    [InlineData("http://host.docker.internal:1234/v1", true)]
    [InlineData("https://api.groq.com/openai/v1", false)]
    [InlineData("https://172.32.0.1/v1", false)]
    public void A_server_on_this_network_needs_no_key(string url, bool isLocal)
    {
        Assert.Equal(isLocal ? null : "OPENAI_API_KEY", Providers.NeededKey(LlmProvider.OpenAI, url));
        Assert.Equal("ANTHROPIC_API_KEY", Providers.NeededKey(LlmProvider.Anthropic, url));
    }

    static async Task<ModelAnswer> Asked(string url)
    {
        var settings = new LlmSettings(LlmProvider.OpenAI, "qwen3", url, 100, null, null, null);
        using var client = ChatClients.Create(settings);
        return await new ModelCall(settings, "", [new TranscriptEntry { User = new UserMessage { Number = 1, Text = "Hi" } }], Stigmer.Agents.Tools.WorkspaceTools.All, 1).Ask(
            client, _ => Task.CompletedTask, TestContext.Current.CancellationToken);
    }
}
