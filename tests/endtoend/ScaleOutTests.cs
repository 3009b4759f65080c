using Stigmer.EndToEnd.Harness;
using Stigmer.Standins;

namespace Stigmer.EndToEnd;

/// <summary>Runners that were started by hand beside the stack's own.</summary>
public sealed class ScaleOutTests
{
    [Fact]
    public async Task A_runner_by_hand_takes_work_and_lets_a_call_come_to_its_end_when_it_is_told_to_end()
    {
        await using var ollama = await Ollama.Start(
            new OllamaAnswer { Step = 1, Text = "Slow.", Hold = "slow" });
        await using var stack = await Stack.Start(ollama);
        await using var runner = await Runner(stack, ollama, concurrency: 1);
        var runs = await Busy(stack, ollama, runner);
        runner.Signal(15);
        await runner.ErrorLine(line => line.Contains("told to end", StringComparison.Ordinal));
        await ollama.Release("slow");
        (await runner.End()).Exits(0);
        foreach (var run in runs) Assert.Equal("Slow.\n", (await stack.Run("runs", "watch", run)).Exits(0).Out);
        // None was made again.
        Assert.Equal(runs.Count, ollama.Calls.Count);
    }

    [Fact]
    public async Task At_a_second_SIGTERM_a_runner_hands_back_what_it_has_and_another_goes_on()
    {
        await using var ollama = await Ollama.Start(
            new OllamaAnswer { Step = 1, Text = "Slow.", Hold = "slow" });
        await using var stack = await Stack.Start(ollama);
        await using var runner = await Runner(stack, ollama, concurrency: 1);
        var runs = await Busy(stack, ollama, runner);
        runner.Signal(15);
        await runner.ErrorLine(line => line.Contains("told to end", StringComparison.Ordinal));
        runner.Signal(15);
        (await runner.End()).Exits(0);
        await ollama.Release("slow");
        foreach (var run in runs) Assert.Equal("Slow.\n", (await stack.Run("runs", "watch", run)).Exits(0).Out);
        Assert.Equal(runs.Count + 1, ollama.Calls.Count);
    }

    /// <summary>So many runs that every runner has its hands full, the one by hand included.</summary>
    static async Task<List<string>> Busy(Stack stack, Ollama ollama, Running runner)
    {
        var runs = new List<string>();
        for (var n = 0; n <= Environment.ProcessorCount; n++) runs.Add((await stack.Run("run", "--detach", $"Run {n}")).Exits(0).Out.Trim());
        await ollama.Called(Environment.ProcessorCount + 1);
        return runs;
    }

    static async Task<Running> Runner(Stack stack, Ollama ollama, int concurrency)
    {
        var endpoint = (await stack.Status()).GetProperty("endpoint").GetString()!;
        var environment = new Dictionary<string, string>(stack.Environment)
        {
            ["STIGMER_SERVER"] = endpoint,
            ["TEMPORAL_SERVICE_ADDRESS"] = endpoint,
            ["STIGMER_TOKEN"] = File.ReadAllText(Path.Combine(stack.Home, "run", "token")).Trim(),
            ["STIGMER_LLM_PROVIDER"] = "ollama",
            ["STIGMER_LLM_BASE_URL"] = ollama.Url,
        };
        var runner = Running.Start(Running.Executable, ["agent-runner", "--concurrency", $"{concurrency}"], environment, stack.Workspace, stack.Logs);
        await runner.ErrorLine(line => line.Contains(" started ", StringComparison.Ordinal));
        return runner;
    }
}
