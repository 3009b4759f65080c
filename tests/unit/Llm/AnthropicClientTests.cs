using Stigmer.Agents.Llm;
using Stigmer.Config;
using Stigmer.Rpc.V1;
using Stigmer.Standins;

namespace Stigmer.Tests.Llm;

public class AnthropicClientTests
{
    static readonly OllamaToolCall List = OllamaToolCall.Of("workspace_list");
    static readonly OllamaToolCall Read = OllamaToolCall.Of("workspace_read", """{"path":"ä.txt","limit":3}""");

    [Fact]
    public async Task Text_and_parallel_calls_come_with_usage_and_go_back_with_their_results()
    {
        await using var run = await Hosted.Anthropic(new HostedAnswer { Step = 1, Text = "Let me look. 😀", Calls = [List, Read] }, new HostedAnswer { Step = 2, Text = "Done." });
        var first = await run.Say("What is here?").Ask();
        Assert.Equal(("Let me look. 😀", "Let me look. 😀", FinishReason.ToolCalls), (first.Text, run.Streamed, first.FinishReason));
        Assert.Equal([("workspace.list", "{}"), ("workspace.read", """{"path":"ä.txt","limit":3}""")], first.Calls.Select(call => (call.Name, call.Arguments)));
        Assert.True(first.Usage.InputTokens > 0 && first.Usage.OutputTokens > 0);
        Assert.True(first.Raw.IsEmpty);

        var second = await run.Answer("no such file", ok: false).Ask();
        Assert.Equal(("Done.", FinishReason.Stop), (second.Text, second.FinishReason));
        var messages = run.Calls[1].GetProperty("messages");
        Assert.Equal(["user", "assistant", "user"], messages.EnumerateArray().Select(message => message.GetProperty("role").GetString()));
        Assert.Equal("""{"path":"\u00E4.txt","limit":3}""", messages[1].GetProperty("content")[2].GetProperty("input").GetRawText().Replace("ä", "\\u00E4", StringComparison.Ordinal));
        Assert.True(messages[2].GetProperty("content")[1].GetProperty("is_error").GetBoolean());
        Assert.Equal("Be brief.", run.Calls[1].GetProperty("system").GetString());
        Assert.Equal(8192, run.Calls[1].GetProperty("max_tokens").GetInt32());
        Assert.False(run.Calls[1].TryGetProperty("temperature", out _));
    }

    [Fact]
    public async Task Thinking_goes_back_unchanged_to_the_model_that_thought_it_and_to_no_other()
    {
        await using var run = await Hosted.Anthropic(
            new HostedAnswer { Step = 1, Thinking = "Hm <ü> \"quoted\"\n", Text = "One moment.", Calls = [List] }, new HostedAnswer { Step = 2, Text = "Done." }, new HostedAnswer { Text = "Else." });
        var first = await run.Say("Go").Ask();
        Assert.Equal("One moment.", run.Streamed);
        Assert.Contains("signature", first.Raw.ToStringUtf8(), StringComparison.Ordinal);
        await run.Answer("a.txt").Ask();
        Assert.Equal(["thinking", "text", "tool_use"], run.Calls[1].GetProperty("messages")[1].GetProperty("content").EnumerateArray().Select(block => block.GetProperty("type").GetString()));

        run.With(settings => settings with { Model = "another" });
        await Assert.ThrowsAsync<ModelFailure>(() => run.Say("Again").Ask());
        Assert.Equal(["text", "tool_use"], run.Calls[2].GetProperty("messages")[1].GetProperty("content").EnumerateArray().Select(block => block.GetProperty("type").GetString()));
    }

    [Fact]
    public async Task Every_call_has_one_result_and_a_later_message_stands_after_them()
    {
        await using var run = await Hosted.Anthropic(new HostedAnswer { To = "Go", Calls = [List, Read] }, new HostedAnswer { To = "Never mind", Text = "Fine." });
        await run.Say("Go").Ask();
        Assert.Equal("Fine.", (await run.Say("Never mind").Ask()).Text);
        Assert.Equal(
            ["tool_result", "tool_result", "text"],
            run.Calls[1].GetProperty("messages")[2].GetProperty("content").EnumerateArray().Select(block => block.GetProperty("type").GetString()));
    }

    [Fact]
    public async Task A_call_that_was_cut_off_is_not_made_and_said()
    {
        await using var run = await Hosted.Anthropic(new HostedAnswer { To = "one", Text = "I write. ", Calls = [List, Read], CutsCall = true }, new HostedAnswer { To = "two", Calls = [Read], CutsCall = true });
        var answer = await run.Say("one").Ask();
        Assert.Equal("workspace.list", Assert.Single(answer.Calls).Name);
        Assert.Contains("cut off in the middle of a call of workspace_read", Assert.Single(answer.Notes), StringComparison.Ordinal);
        var failure = await Assert.ThrowsAsync<ModelFailure>(() => run.Answer("a").Say("two").Ask());
        Assert.False(failure.Retryable);
        Assert.Contains("llm.max_tokens", failure.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Ends_other_than_the_usual_ones_are_said()
    {
        await using var run = await Hosted.Anthropic(
            new HostedAnswer { To = "long", Text = "I beg", Stop = "max_tokens" },
            new HostedAnswer { To = "full", Text = "I beg", Stop = "model_context_window_exceeded" },
            new HostedAnswer { To = "bad", Text = "No.", Stop = "refusal" },
            new HostedAnswer { To = "slow", Text = "I pause, ", Stop = "pause_turn", Times = 1 },
            new HostedAnswer { Step = 2, Text = "and go on.", Stop = "end_turn" },
            new HostedAnswer { To = "empty" });
        var cut = await run.Say("long").Ask();
        Assert.Equal((FinishReason.Length, "The answer is cut off: it reached llm.max_tokens (8192)"), (cut.FinishReason, Assert.Single(cut.Notes)));
        var full = await run.Say("full").Ask();
        Assert.Equal((FinishReason.Length, "The answer is cut off: the model's window is full"), (full.FinishReason, Assert.Single(full.Notes)));
        var refused = await run.Say("bad").Ask();
        Assert.Equal((FinishReason.ContentFilter, "claude-sonnet-5-5 refused to answer: this is about biology"), (refused.FinishReason, Assert.Single(refused.Notes)));
        Assert.Equal("I pause, and go on.", (await run.Say("slow").Ask()).Text);
        Assert.Equal("The model answered with nothing", Assert.Single((await run.Say("empty").Ask()).Notes));
    }

    [Theory]
    [InlineData(400, "invalid_request_error", "prompt is too long: 214000 tokens > 200000 maximum", null, false, "longer than the window of claude-sonnet-5-5", "less to read")]
    [InlineData(400, "invalid_request_error", "messages.0: something", null, false, "Anthropic refused the request", "chat model")]
    [InlineData(400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", null, false, "credit or its spending limit", "billing")]
    [InlineData(402, "billing_error", "pay", null, false, "credit or its spending limit", "billing")]
    [InlineData(403, "permission_error", "no", null, false, "refuses access to claude-sonnet-5-5", "ANTHROPIC_API_KEY")]
    [InlineData(404, "not_found_error", "model: claude-sonnet-5-5", null, false, "does not know the model claude-sonnet-5-5", "Did you mean claude-")]
    [InlineData(404, "not_found_error", "Not Found", null, false, "There is no Anthropic API at", "llm.base_url")]
    [InlineData(413, "request_too_large", "Request exceeds the maximum allowed number of bytes.", null, false, "longer than the window", "less to read")]
    [InlineData(429, "rate_limit_error", "This request would exceed your organization's rate limit of 30,000 input tokens per minute", "7", true, "asks to slow down", "later")]
    [InlineData(429, "rate_limit_error", "You have reached your specified API usage limits: spend", null, false, "credit or its spending limit", "billing")]
    [InlineData(500, "api_error", "Internal server error", null, true, "could not answer", "later")]
    [InlineData(504, "timeout_error", "late", null, true, "could not answer", "later")]
    [InlineData(529, "overloaded_error", "Overloaded", null, true, "is overloaded", "later")]
    public async Task Each_error_says_what_to_do_and_whether_it_may_pass(int status, string type, string message, string? retryAfter, bool retryable, string what, string remedy)
    {
        await using var run = await Hosted.Anthropic(new HostedAnswer { Status = status, ErrorType = type, Error = message, RetryAfter = retryAfter });
        // As on Anthropic's own host, whose name stands in the sentences.
        run.With(settings => settings with { BaseUrl = Providers.DefaultBaseUrl(LlmProvider.Anthropic) }, ChatClients.Create(
            run.Settings with { BaseUrl = "http://api.anthropic.com" }, new Secret(Hosted.Key), handler: new Rerouted(run.Settings.BaseUrl)));
        var failure = await Assert.ThrowsAsync<ModelFailure>(() => run.Say("Hi").Ask());
        Assert.Equal((retryable, retryAfter is null || !retryable ? null : (TimeSpan?)TimeSpan.FromSeconds(7)), (failure.Retryable, failure.RetryAfter));
        Assert.Contains(what, failure.What, StringComparison.Ordinal);
        Assert.Contains(remedy, failure.Remedy, StringComparison.Ordinal);
        Assert.Contains(message, failure.Why, StringComparison.Ordinal);
        Assert.Contains("req_1", failure.Why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_key_that_is_not_taken_is_named_by_its_variable_and_never_shown()
    {
        await using var run = await Hosted.Anthropic(new HostedAnswer());
        run.With(settings => settings, ChatClients.Create(run.Settings, new Secret(Hosted.Key + "x")));
        var failure = await Assert.ThrowsAsync<ModelFailure>(() => run.Say("Hi").Ask());
        Assert.Contains("does not accept the API key", failure.What, StringComparison.Ordinal);
        Assert.Contains("ANTHROPIC_API_KEY", failure.Remedy, StringComparison.Ordinal);
        Assert.Contains("invalid key: ***", failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(Hosted.Key, failure.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_stream_that_breaks_in_any_way_is_to_be_made_again()
    {
        await using var run = await Hosted.Anthropic(
            new HostedAnswer { To = "break", Text = "Half an", Break = true },
            new HostedAnswer { To = "end", Text = "Half an", WithoutEnd = true },
            new HostedAnswer { To = "torn", Text = "Half an", Malformed = true },
            new HostedAnswer { To = "overloaded", Text = "Half an", Error = "Overloaded" },
            new HostedAnswer { To = "invalid", Error = "messages: no", ErrorType = "invalid_request_error" });
        foreach (var kind in (string[])["break", "end", "torn", "overloaded"])
        {
            Assert.True((await Assert.ThrowsAsync<ModelFailure>(() => run.Say(kind).Ask())).Retryable, kind);
            // Of a connection that breaks, what was on its way may be lost.
            if (kind != "break") Assert.Equal("Half an", run.Streamed);
        }
        Assert.False((await Assert.ThrowsAsync<ModelFailure>(() => run.Say("invalid").Ask())).Retryable);
    }

    [Fact]
    public async Task A_web_page_in_place_of_an_answer_is_said_at_once()
    {
        await using var run = await Hosted.Anthropic(new HostedAnswer { Html = "<html>Please log in</html>" });
        var failure = await Assert.ThrowsAsync<ModelFailure>(() => run.Say("Hi").Ask());
        Assert.False(failure.Retryable);
        Assert.Contains("Please log in", failure.Why, StringComparison.Ordinal);
        Assert.Contains("llm.base_url", failure.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_temperature_is_sent_only_to_a_model_that_takes_one()
    {
        await using var run = await Hosted.Anthropic(new HostedModel("claude-sonnet-4-5", Temperature: true), new HostedAnswer { Text = "Yes." });
        run.With(settings => settings with { Temperature = 0.3, BaseUrl = settings.BaseUrl + "/v1/", MaxTokens = 100_000 });
        await run.Say("Hi").Ask();
        Assert.Equal((0.3, 64_000), (run.Calls[0].GetProperty("temperature").GetDouble(), run.Calls[0].GetProperty("max_tokens").GetInt32()));
        Assert.False(Providers.TakesTemperature(LlmProvider.Anthropic, "claude-opus-4-7"));
        Assert.True(Providers.TakesTemperature(LlmProvider.Anthropic, "claude-opus-4-6"));
        Assert.False(Providers.TakesTemperature(LlmProvider.Anthropic, "claude-haiku-5-5"));
    }

    /// <summary>Sends requests for another host to a stand-in.</summary>
    internal sealed class Rerouted(string to) : DelegatingHandler(new SocketsHttpHandler())
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            request.RequestUri = new Uri(new Uri(to), request.RequestUri!.PathAndQuery);
            return base.SendAsync(request, cancellationToken);
        }
    }
}
