using Stigmer.EndToEnd.Harness;
using Stigmer.Standins;

namespace Stigmer.EndToEnd;

public class FirstRunTests
{
    [Fact]
    public async Task A_first_run_with_the_embedded_engine_from_start_to_stop()
    {
        await using var ollama = await Ollama.Start(
            new OllamaAnswer { Step = 1, Calls = [OllamaToolCall.Of("workspace_list", """{"min_bytes":1000000}""")], CallsAs = "bare" },
            new OllamaAnswer { Step = 2, Text = "Only big.bin – größer als 1 MB." });
        await using var stack = Stack.Create(ollama);
        await File.WriteAllBytesAsync(Path.Combine(stack.Workspace, "big.bin"), new byte[2_000_000], TestContext.Current.CancellationToken);

        var started = (await stack.Run("local", "--embedded")).Exits(0);
        var status = await stack.Status();
        var endpoint = status.GetProperty("endpoint").GetString();
        Assert.Equal(
            [
                "✓ Using Ollama (no API key required)",
                "✓ Using the embedded engine",
                "✓ Starting stigmer-server...",
                "✓ Starting agent-runner...",
                $"✓ Ready! Stigmer is running on {endpoint}",
            ],
            started.Lines);
        Assert.Equal("", started.Error);

        Assert.True(status.GetProperty("running").GetBoolean() && status.GetProperty("ready").GetBoolean());
        Assert.Equal("embedded", status.GetProperty("temporal").GetProperty("mode").GetString());
        Assert.True(status.GetProperty("llm").GetProperty("reachable").GetBoolean() && status.GetProperty("llm").GetProperty("modelAvailable").GetBoolean());
        Assert.All(status.GetProperty("components").EnumerateArray(), component => Assert.Equal("ready", component.GetProperty("state").GetString()));

        var ran = (await stack.Run("run", "Which", "files", "here", "are", "larger", "than", "1 MB?")).Exits(0);
        Assert.Equal("Only big.bin – größer als 1 MB.\n", ran.Out);
        Assert.Equal([(1, "Which files here are larger than 1 MB?"), (2, "Which files here are larger than 1 MB?")], ollama.Calls);
        Assert.Contains("big.bin  2000000 bytes (2.0 MB)", ollama.Journal().Last(line => line.Body is not null).Body!.Value.GetRawText(), StringComparison.Ordinal);

        Assert.Equal($"✓ Stigmer is already running on {endpoint}\n", (await stack.Run("local")).Exits(0).Out);
        Assert.Contains("agent-runner", (await stack.Run("local", "logs")).Exits(0).Out, StringComparison.Ordinal);
        var restarted = (await stack.Run("local", "restart")).Exits(0);
        Assert.Equal("✓ Daemon restarted successfully", restarted.Lines[^1]);
        Assert.Equal("Stopping daemon...\n✓ Daemon stopped successfully\n", (await stack.Run("local", "stop")).Exits(0).Out);
        Assert.Empty(stack.Processes());
        Assert.False(Path.Exists(Path.Combine(stack.Home, "run", "control.sock")));
        Assert.Equal("Daemon is not running\n", (await stack.Run("local", "stop")).Exits(0).Out);
        Assert.Contains("✗ Stopped", (await stack.Run("local", "status")).Exits(3).Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_a_flag_said_at_the_start_is_no_change_of_the_configuration()
    {
        await using var stack = Stack.Create();
        stack.Configure("backend: { local: { endpoint: \"localhost:0\", llm: { provider: demo }, temporal: { port: 0 } } }");
        (await stack.Run("local", "--embedded")).Exits(0);
        Assert.Equal("", (await stack.Run("local")).Exits(0).Error);
        stack.Environment["STIGMER_LLM_MAX_TOKENS"] = "100";
        Assert.Contains("llm.max_tokens is 100 (was 8192)", (await stack.Run("local")).Exits(0).Error, StringComparison.Ordinal);
        Assert.Equal(System.Text.Json.JsonValueKind.Null, (await stack.Status()).GetProperty("llm").GetProperty("baseUrl").ValueKind);
    }

    [Theory]
    [InlineData("local start >&- 2>&- <&-")]
    [InlineData("run hi >&-")]
    [InlineData("run --json hi >&-")]
    [InlineData("runs list --json >/dev/full")]
    [InlineData("runs list >/dev/full 2>/dev/full")]
    public async Task A_standard_stream_that_is_closed_or_full_is_no_crash(string command)
    {
        await using var stack = await Stack.Start();
        await using var shell = Running.Start("/bin/sh", ["-c", $"\"$0\" {command}", Running.Executable], stack.Environment, stack.Workspace, stack.Logs).Input("");
        var ended = await shell.End();
        Assert.DoesNotContain("Unhandled exception", ended.Error, StringComparison.Ordinal);
        Assert.InRange(ended.ExitCode, 0, 1);
    }

    [Fact]
    public async Task The_demo_model_needs_nothing_at_all()
    {
        await using var stack = await Stack.Start();
        stack.Write("hello.txt", "hello");
        var ran = (await stack.Run("run", "What is here?")).Exits(0);
        Assert.Contains("demo model", ran.Out, StringComparison.Ordinal);
        Assert.Contains("What is here?", ran.Out, StringComparison.Ordinal);
        Assert.Contains("hello.txt  5 bytes", ran.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Run_starts_a_stack_that_is_not_running_and_says_so()
    {
        await using var stack = Stack.Create();
        var ran = (await stack.Run("run", "Hi")).Exits(0);
        Assert.Contains("demo model", ran.Out, StringComparison.Ordinal);
        Assert.Contains("Starting the stack", ran.Error, StringComparison.Ordinal);
        (await stack.Run("local", "status")).Exits(0);
    }
}
