using System.Globalization;
using Stigmer.EndToEnd.Harness;
using Stigmer.Standins;

namespace Stigmer.EndToEnd;

/// <summary>Agents with tools of their own: an MCP server over stdio, files that are written, commands that are run.</summary>
public sealed class ToolsTests
{
    static readonly string Server = Path.Combine(AppContext.BaseDirectory, "Stigmer.Standins");

    static string Agent(Stack stack, string tools = "") => $$"""
        name: worker
        instructions: Do what you are asked.
        mcp_servers:
          s: { command: "{{Server}}", args: [mcp, "{{Journal(stack)}}"], env: { DOTNET_ROOT: "{{Path.GetFullPath(Path.Combine(Path.GetDirectoryName(typeof(object).Assembly.Location)!, "..", "..", ".."))}}", GIVEN: "${GIVEN}" } }
        {{tools}}
        """;

    static string Journal(Stack stack) => Path.Combine(stack.Home, "journal");

    static OllamaAnswer Calls(int step, string tool, string arguments = "{}") => new() { Step = step, Calls = [OllamaToolCall.Of(tool, arguments)] };

    static async Task<Stack> Start(Ollama ollama, string tools = "")
    {
        var stack = Stack.Create(ollama);
        stack.Environment["GIVEN"] = "something";
        stack.Write("agent.yaml", Agent(stack, tools));
        (await stack.Run("agent", "apply", "-f", "agent.yaml")).Exits(0);
        return stack;
    }

    /// <summary>The text of the result of a step's first call.</summary>
    static async Task<string> ResultOf(Stack stack, string run, int step) => (await stack.Run("runs", "get", run, "--json")).Exits(0).Json
        .GetProperty("transcript").EnumerateArray().Single(entry => entry.GetProperty("step").GetInt32() == step && entry.GetProperty("role").GetString() == "assistant")
        .GetProperty("results")[0].GetProperty("text").GetString()!;

    [Fact]
    public async Task An_agent_uses_its_server_which_remembers_over_turns_and_ends_with_the_stack()
    {
        await using var ollama = await Ollama.Start(
            new OllamaAnswer { To = "first", Step = 1, Calls = [OllamaToolCall.Of("s_remember", """{"text":"blue"}""")] },
            new OllamaAnswer { To = "first", Step = 2, Text = "Noted." },
            new OllamaAnswer { To = "second", Step = 1, Calls = [OllamaToolCall.Of("s_recall"), OllamaToolCall.Of("s_spawn")] },
            new OllamaAnswer { To = "second", Step = 2, Text = "Blue." });
        await using var stack = await Start(ollama);
        Assert.Equal("Noted.\n", (await stack.Run("run", "-a", "worker", "first")).Exits(0).Out);
        Assert.Equal("Blue.\n", (await stack.Run("runs", "send", "last", "second")).Exits(0).Out);
        var journal = await File.ReadAllLinesAsync(Journal(stack), TestContext.Current.CancellationToken);
        Assert.Single(journal, line => line.StartsWith("start", StringComparison.Ordinal));
        var results = (await stack.Run("runs", "get", "last", "--json")).Exits(0).Json.GetProperty("transcript").EnumerateArray()
            .SelectMany(entry => entry.GetProperty("results").EnumerateArray()).Select(result => result.GetProperty("text").GetString()!).ToList();
        Assert.Equal(["noted", "blue"], results[..2]);
        (await stack.Run("local", "stop")).Exits(0);
        Assert.False(Directory.Exists($"/proc/{results[2]}"), "what the server started has outlived the stack");
        Assert.False(Directory.Exists($"/proc/{journal[0].Split(' ')[1]}"), "the server has outlived the stack");
    }

    [Fact]
    public async Task A_variable_that_is_not_set_fails_the_run_before_its_first_model_call()
    {
        await using var ollama = await Ollama.Start(new OllamaAnswer { Text = "never" });
        await using var stack = Stack.Create(ollama);
        stack.Write("agent.yaml", Agent(stack));
        (await stack.Run("agent", "apply", "-f", "agent.yaml")).Exits(0);
        var run = (await stack.Run("run", "-a", "worker", "hello")).Exits(1);
        Assert.Contains("GIVEN is not set", run.Error, StringComparison.Ordinal);
        Assert.Contains("stigmer local restart", run.Error, StringComparison.Ordinal);
        Assert.Empty(ollama.Calls);
    }

    [Fact]
    public async Task The_assistant_writes_and_runs_with_a_yes_and_nothing_of_a_killed_runner_is_left_or_repeated_in_silence()
    {
        await using var ollama = await Ollama.Start(
            Calls(1, "workspace_write", """{"path":"a/b.txt","content":"hello"}"""),
            Calls(2, "workspace_run", """{"command":"echo x >> times; setsid sleep 1000 & echo $! > pid.new; mv pid.new pid; wait"}"""),
            new OllamaAnswer { Step = 3, Text = "Done." });
        await using var stack = await Stack.Start(ollama);
        var cancel = TestContext.Current.CancellationToken;
        var id = (await stack.Run("run", "--detach", "--yes", "go")).Exits(0).Out.Trim();
        var pid = Path.Combine(stack.Workspace, "pid");
        while (!File.Exists(pid)) await Task.Delay(20, cancel);
        var sleeper = int.Parse(await File.ReadAllTextAsync(pid, cancel), CultureInfo.InvariantCulture);
        Running.Kill(await stack.Pid("agent-runner"), 9);
        Assert.Equal("Done.\n", (await stack.Run("runs", "watch", id)).Exits(0).Out);
        Assert.False(Directory.Exists($"/proc/{sleeper}"), "what the command started has outlived its runner");
        Assert.Equal("hello", await File.ReadAllTextAsync(Path.Combine(stack.Workspace, "a", "b.txt"), cancel));
        Assert.Equal("x\n", await File.ReadAllTextAsync(Path.Combine(stack.Workspace, "times"), cancel));
        Assert.Contains("unknown", await ResultOf(stack, id, 2), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_whose_runner_is_killed_is_started_anew_and_the_model_is_told_what_was_lost()
    {
        await using var ollama = await Ollama.Start(
            Calls(1, "s_remember", """{"text":"blue"}"""),
            new OllamaAnswer { Step = 2, Hold = "here", Calls = [OllamaToolCall.Of("s_recall")] },
            new OllamaAnswer { Step = 3, Text = "Gone." });
        await using var stack = await Start(ollama);
        var id = (await stack.Run("run", "--detach", "-a", "worker", "go")).Exits(0).Out.Trim();
        await ollama.Held("here");
        Running.Kill(await stack.Pid("agent-runner"), 9);
        await ollama.Release("here");
        Assert.Equal("Gone.\n", (await stack.Run("runs", "watch", id)).Exits(0).Out);
        Assert.Contains("what it kept in memory is gone", await ResultOf(stack, id, 2), StringComparison.Ordinal);
        var started = (await File.ReadAllLinesAsync(Journal(stack), TestContext.Current.CancellationToken)).Where(line => line.StartsWith("start", StringComparison.Ordinal)).ToList();
        Assert.Equal(2, started.Count);
        Assert.False(Directory.Exists($"/proc/{started[0].Split(' ')[1]}"), "the first server has outlived its runner");
    }
}
