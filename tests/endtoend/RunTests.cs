using System.Text.Json;
using Stigmer.EndToEnd.Harness;
using Stigmer.Standins;

namespace Stigmer.EndToEnd;

public class RunTests
{
    [Fact]
    public async Task Events_tell_a_run_from_beginning_to_end()
    {
        await using var ollama = await Ollama.Start(
            new OllamaAnswer { Step = 1, Text = "I look. ", Calls = [OllamaToolCall.Of("workspace_read", """{"path":"a.txt"}""")], CallsAs = "fence" },
            new OllamaAnswer { Step = 2, Text = "It says ünïcode 😀." });
        await using var stack = await Stack.Start(ollama);
        stack.Write("a.txt", "ünïcode 😀");
        var ran = (await stack.Run("run", "--json", "What does a.txt say?")).Exits(0);
        Assert.All(ran.Out, c => Assert.True(c < 128));

        var events = ran.Events;
        Assert.Equal("run", Type(events[0]));
        Assert.Matches("^[0-9a-f]{32}$", events[0].GetProperty("id").GetString());
        Assert.Equal("assistant", events[0].GetProperty("agent").GetString());
        var call = events.Single(e => Type(e) == "tool_call");
        Assert.Equal(("workspace.read", """{"path":"a.txt"}"""), (call.GetProperty("name").GetString(), call.GetProperty("arguments").GetRawText()));
        var result = events.Single(e => Type(e) == "tool_result");
        Assert.Equal((true, "ünïcode 😀"), (result.GetProperty("ok").GetBoolean(), result.GetProperty("text").GetString()));
        Assert.Equal("I look. ", Text(events, step: 1));
        Assert.Equal("It says ünïcode 😀.", Text(events, step: 2));
        var done = events[^1];
        Assert.Equal(("done", "completed", "It says ünïcode 😀.", 2), (Type(done), done.GetProperty("status").GetString(), done.GetProperty("output").GetString(), done.GetProperty("steps").GetInt32()));
        Assert.True(done.GetProperty("usage").GetProperty("inputTokens").GetInt32() > 0);
        Assert.Equal(JsonValueKind.Null, done.GetProperty("error").ValueKind);
    }

    [Fact]
    public async Task A_stream_that_broke_is_made_again_and_watchers_are_told()
    {
        await using var ollama = await Ollama.Start(
            new OllamaAnswer { Text = "Half an ans", Break = true, Times = 1 },
            new OllamaAnswer { Status = 503, Error = "server busy", RetryAfter = 0, Times = 1 },
            new OllamaAnswer { Text = "A whole answer." });
        await using var stack = await Stack.Start(ollama);
        var events = (await stack.Run("run", "--json", "Hi")).Exits(0).Events;
        Assert.Equal(2, events.Count(e => Type(e) == "retry"));
        Assert.Equal("A whole answer.", events[^1].GetProperty("output").GetString());
        Assert.Equal(3, ollama.Calls.Count);
    }

    [Fact]
    public async Task Words_and_standard_input_make_the_prompt()
    {
        await using var ollama = await Ollama.Start(new OllamaAnswer { Text = "Fine." });
        await using var stack = await Stack.Start(ollama);
        await using var running = stack.Begin("run", "Review", "this:", "-").Input("a diff\n");
        Assert.Equal("Fine.\n", (await running.End()).Exits(0).Out);
        Assert.StartsWith("Review this:", Assert.Single(ollama.Calls).Prompt, StringComparison.Ordinal);
        Assert.Contains("a diff", ollama.Calls[0].Prompt, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_detached_run_goes_on_and_is_watched_listed_and_read()
    {
        await using var ollama = await Ollama.Start(new OllamaAnswer { Text = "Late, but here.", Hold = "first" });
        await using var stack = await Stack.Start(ollama);
        var id = (await stack.Run("run", "--detach", "Take your time")).Exits(0).Out.Trim();
        await ollama.Held("first");
        Assert.Equal("running", (await stack.Run("runs", "get", id[..8], "--json")).Exits(0).Json.GetProperty("status").GetString());
        await using var watching = stack.Begin("runs", "watch", "last").Input("");
        await ollama.Release("first");
        Assert.Equal("Late, but here.\n", (await watching.End()).Exits(0).Out);
        var listed = (await stack.Run("runs", "list", "--json")).Exits(0).Json.GetProperty("runs").EnumerateArray().Single();
        Assert.Equal((id, "completed"), (listed.GetProperty("id").GetString(), listed.GetProperty("status").GetString()));
    }

    [Fact]
    public async Task Cancelling_a_run_ends_its_model_call()
    {
        await using var ollama = await Ollama.Start(new OllamaAnswer { Text = "Never.", Hold = "for-ever" });
        await using var stack = await Stack.Start(ollama);
        await using var running = stack.Begin("run", "--json", "Hi").Input("");
        await ollama.Held("for-ever");
        (await stack.Run("runs", "cancel", "last")).Exits(0);
        var ended = (await running.End()).Exits(1);
        Assert.Equal("cancelled", ended.Events[^1].GetProperty("status").GetString());
        await Eventually(() => ollama.Journal().Any(line => line.Ended == "aborted"));
    }

    [Fact]
    public async Task Ctrl_C_cancels_the_run()
    {
        await using var ollama = await Ollama.Start(new OllamaAnswer { Text = "Never.", Hold = "for-ever" });
        await using var stack = await Stack.Start(ollama);
        await using var running = stack.Begin("run", "Hi").Input("");
        await ollama.Held("for-ever");
        running.Signal(2);
        (await running.End()).Exits(130);
        var run = (await stack.Run("runs", "get", "last", "--json")).Exits(0).Json;
        Assert.Equal("cancelled", run.GetProperty("status").GetString());
    }

    [Fact]
    public async Task A_limit_of_steps_ends_a_run_as_such()
    {
        await using var ollama = await Ollama.Start(new OllamaAnswer { Calls = [OllamaToolCall.Of("workspace_list")] });
        await using var stack = await Stack.Start(ollama);
        var done = (await stack.Run("run", "--json", "--max-steps", "2", "Go on")).Exits(1).Events[^1];
        Assert.Equal(("limit_reached", "max_steps"), (done.GetProperty("status").GetString(), done.GetProperty("limit").GetString()));
        Assert.Equal(2, ollama.Calls.Count);
    }

    [Fact]
    public async Task A_model_that_takes_no_tools_answers_without_them_and_the_person_is_told()
    {
        await using var ollama = await Ollama.Start(new OllamaScript { Models = [new OllamaModel { Capabilities = ["completion"] }], Answers = [new OllamaAnswer { Text = "Plain." }] });
        await using var stack = await Stack.Start(ollama);
        var ran = (await stack.Run("run", "Hi")).Exits(0);
        Assert.Equal("Plain.\n", ran.Out);
        Assert.Contains("takes no tools", ran.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_prompt_that_is_too_long_fails_with_what_to_do_and_is_not_cut()
    {
        await using var ollama = await Ollama.Start(new OllamaScript { Models = [new OllamaModel { Context = 2048 }], Answers = [new OllamaAnswer { Text = "?" }] });
        await using var stack = await Stack.Start(ollama);
        await using var running = stack.Begin("run", "-").Input(new string('x', 20_000));
        var ran = (await running.End()).Exits(1);
        Assert.Contains("longer than the window of qwen2.5-coder:7b, 2048 tokens", ran.Error, StringComparison.Ordinal);
        Assert.Contains("context_window", ran.Error, StringComparison.Ordinal);
    }

    static string? Type(JsonElement e) => e.GetProperty("type").GetString();

    static string Text(IEnumerable<JsonElement> events, int step) =>
        string.Concat(events.Where(e => Type(e) == "text" && e.GetProperty("step").GetInt32() == step).Select(e => e.GetProperty("text").GetString()));

    /// <summary>For what another process writes to a file, of which there is no event.</summary>
    static async Task Eventually(Func<bool> holds)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (!holds()) await Task.Delay(50, limit.Token);
    }
}
