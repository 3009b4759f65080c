using Stigmer.EndToEnd.Harness;
using Stigmer.Standins;

namespace Stigmer.EndToEnd;

public class KilledTests
{
    [Fact]
    public async Task Killing_the_runner_between_two_steps_repeats_no_model_call()
    {
        await using var ollama = await Ollama.Start(
            new OllamaAnswer { Step = 1, Text = "One. ", Calls = [OllamaToolCall.Of("workspace_list")] },
            new OllamaAnswer { Step = 2, Text = "Two. ", Calls = [OllamaToolCall.Of("workspace_list")] },
            // The call in flight at the kill: made twice, once held for ever.
            new OllamaAnswer { Step = 3, Text = "Three. ", Hold = "never", Times = 1 },
            new OllamaAnswer { Step = 3, Text = "Three. ", Calls = [OllamaToolCall.Of("workspace_list")] },
            new OllamaAnswer { Step = 4, Text = "Done." });
        await using var stack = await Stack.Start(ollama);
        await using var running = stack.Begin("run", "Count").Input("");
        await ollama.Held("never");
        Running.Kill(await stack.Pid("agent-runner"), 9);
        Assert.Equal("Done.\n", (await running.End()).Exits(0).Out);
        Assert.Equal([1, 2, 3, 3, 4], ollama.Calls.Select(call => call.Step));
    }

    [Fact]
    public async Task Killing_the_runner_at_the_moment_of_an_answer_repeats_that_call_at_most()
    {
        await using var ollama = await Ollama.Start(
        [
            .. Enumerable.Range(1, 6).Select(step => new OllamaAnswer { Step = step, Text = $"{step}. ", Calls = [OllamaToolCall.Of("workspace_list")], Hold = $"{step}" }),
            new OllamaAnswer { Step = 7, Text = "Done." },
        ]);
        await using var stack = await Stack.Start(ollama);
        await using var running = stack.Begin("run", "Count").Input("");
        foreach (var step in (string[])["1", "2", "3", "4", "5", "6"])
        {
            await ollama.Held(step);
            var runner = step is "2" or "5" ? await stack.Pid("agent-runner") : 0;
            await ollama.Release(step);
            if (runner != 0) Running.Kill(runner, 9);
        }
        Assert.Equal("Done.\n", (await running.End()).Exits(0).Out);
        var calls = ollama.Calls.CountBy(call => call.Step).ToDictionary();
        Assert.Equal([1, 2, 3, 4, 5, 6, 7], calls.Keys.Order());
        Assert.All(calls, call => Assert.InRange(call.Value, 1, call.Key is 2 or 5 ? 2 : 1));
    }

    [Fact]
    public async Task Killing_the_server_loses_no_run_and_repeats_no_stored_call()
    {
        await using var ollama = await Ollama.Start(
            new OllamaAnswer { Step = 1, Text = "One. ", Calls = [OllamaToolCall.Of("workspace_list")] },
            new OllamaAnswer { Step = 2, Text = "Two. ", Calls = [OllamaToolCall.Of("workspace_list")], Hold = "second" },
            new OllamaAnswer { Step = 3, Text = "Done." });
        await using var stack = await Stack.Start(ollama);
        await using var running = stack.Begin("run", "Count").Input("");
        await ollama.Held("second");
        Running.Kill(await stack.Pid("stigmer-server"), 9);
        await ollama.Release("second");
        Assert.Equal("Done.\n", (await running.End()).Exits(0).Out);
        // The runner holds on to the answer that it has in hand: not even the call in flight is made again.
        Assert.Equal([1, 2, 3], ollama.Calls.Select(call => call.Step));
    }

    [Fact]
    public async Task Killing_the_daemon_takes_every_child_along_and_the_next_start_goes_on()
    {
        await using var ollama = await Ollama.Start(
            new OllamaAnswer { Step = 1, Text = "One. ", Calls = [OllamaToolCall.Of("workspace_list")] },
            new OllamaAnswer { Step = 2, Text = "Held.", Hold = "never", Times = 1 },
            new OllamaAnswer { Step = 2, Text = "Done." });
        await using var stack = await Stack.Start(ollama);
        var id = (await stack.Run("run", "--detach", "Count")).Exits(0).Out.Trim();
        await ollama.Held("never");
        Running.Kill((await stack.Status()).GetProperty("pid").GetInt32(), 9);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        // Of the end of processes that are no children of this one there is no event.
        while (stack.Processes().Count > 0) await Task.Delay(50, limit.Token);
        (await stack.Run("local", "status")).Exits(3);
        (await stack.Run("local")).Exits(0);
        Assert.Equal("Done.\n", (await stack.Run("runs", "watch", id)).Exits(0).Out);
        Assert.Equal([1, 2, 2], ollama.Calls.Select(call => call.Step));
        // Known to have ended with its daemon: nobody waited for 15 s of its silence.
        Assert.Contains("A runner takes the place of one that ended", stack.Logs());
        Assert.DoesNotContain("A runner is away", stack.Logs());
    }

    [Fact]
    public async Task A_runner_that_was_killed_right_before_the_stack_was_stopped_keeps_nobody_waiting_after_the_next_start()
    {
        await using var ollama = await Ollama.Start(
            new OllamaAnswer { Step = 1, Text = "Held.", Hold = "never", Times = 1 },
            new OllamaAnswer { Step = 1, Text = "Done." });
        await using var stack = await Stack.Start(ollama);
        var id = (await stack.Run("run", "--detach", "Count")).Exits(0).Out.Trim();
        await ollama.Held("never");
        // A server that cannot be told: no successor takes the place of the runner any more.
        var (server, runner) = (await stack.Pid("stigmer-server"), await stack.Pid("agent-runner"));
        Running.Kill(server, 19);
        Running.Kill(runner, 9);
        (await stack.Run("local", "stop", "--timeout", "1s")).Exits(0);
        (await stack.Run("local")).Exits(0);
        Assert.Equal("Done.\n", (await stack.Run("runs", "watch", id)).Exits(0).Out);
        Assert.DoesNotContain("A runner is away", stack.Logs());
    }

    [Fact]
    public async Task A_hundred_and_twenty_steps_are_as_many_model_calls_over_kills_and_new_histories()
    {
        await using var ollama = await Ollama.Start(
            [new OllamaAnswer { Step = 60, Text = "Held.", Hold = "sixty", Times = 1 }, .. Ollama.ToolsThenAnswer(120, "Done.")]);
        await using var stack = await Stack.Start(ollama);
        await using var running = stack.Begin("run", "--max-steps", "200", "Count").Input("");
        await ollama.Held("sixty");
        Running.Kill(await stack.Pid("agent-runner"), 9);
        Running.Kill(await stack.Pid("stigmer-server"), 9);
        Assert.EndsWith("Done.\n", (await running.End()).Exits(0).Out);
        Assert.Equal([.. Enumerable.Range(1, 60), .. Enumerable.Range(60, 61)], ollama.Calls.Select(call => call.Step));
    }

    [Fact]
    public async Task The_end_of_a_terminal_is_nothing_to_the_daemon()
    {
        await using var stack = await Stack.Start();
        var daemon = (await stack.Status()).GetProperty("pid").GetInt32();
        Running.Kill(daemon, 1);
        // The kernel delivers a process's signals one after the other: what comes after it is answered by who survived it.
        Assert.Equal(daemon, (await stack.Status()).GetProperty("pid").GetInt32());
        (await stack.Run("local", "stop")).Exits(0);
        Assert.Contains("ended", File.ReadAllLines(Path.Combine(stack.Home, "logs", "daemon.log"))[^1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_run_in_progress_when_the_stack_was_stopped_completes_after_the_next_start()
    {
        await using var ollama = await Ollama.Start(
            new OllamaAnswer { Step = 1, Text = "One. ", Calls = [OllamaToolCall.Of("workspace_list")] },
            new OllamaAnswer { Step = 2, Text = "Held.", Hold = "never", Times = 1 },
            new OllamaAnswer { Step = 2, Text = "Done." });
        await using var stack = await Stack.Start(ollama);
        var id = (await stack.Run("run", "--detach", "Count")).Exits(0).Out.Trim();
        await ollama.Held("never");
        (await stack.Run("local", "stop")).Exits(0);
        Assert.Empty(stack.Processes());
        (await stack.Run("local")).Exits(0);
        Assert.Equal("Done.\n", (await stack.Run("runs", "watch", id)).Exits(0).Out);
        Assert.Equal([1, 2, 2], ollama.Calls.Select(call => call.Step));
    }
}
