using System.Text.Json;
using Stigmer.EndToEnd.Harness;
using Stigmer.Standins;

namespace Stigmer.EndToEnd;

public class AgentTests
{
    [Fact]
    public async Task Agents_are_applied_all_or_none_and_read_back_as_files_that_change_nothing()
    {
        await using var stack = Stack.Create();
        stack.Write("good.yaml", "name: good\ninstructions: |\n  Be good.\n\n  Always.\ntools: { approve: [ workspace.list ] }\nlimits: { max_steps: 3, timeout: 90s }\n");
        stack.Write("bad.yaml", "name: bad\ninstructions: x\nlimits: { max_steps: lots }\n");
        // Nothing is started for what is not valid.
        var refused = (await stack.Run("agent", "apply", "-f", "good.yaml", "bad.yaml")).Exits(2);
        Assert.Contains("bad.yaml:3:22: limits.max_steps is \"lots\": it must be a whole number", refused.Error, StringComparison.Ordinal);
        (await stack.Run("agent", "list")).Exits(3);

        // Applying starts the stack.
        Assert.Contains("good created", (await stack.Run("agent", "apply", "-f", "good.yaml")).Exits(0).Out, StringComparison.Ordinal);
        (await stack.Run("agent", "apply", "-f", "bad.yaml", "-f", "good.yaml")).Exits(2);
        var file = (await stack.Run("agent", "get", "good")).Exits(0).Out;
        await using var again = stack.Begin("agent", "apply", "-f", "-", "--json").Input(file);
        var applied = Assert.Single((await again.End()).Exits(0).Json.GetProperty("agents").EnumerateArray());
        Assert.Equal(("unchanged", 1), (applied.GetProperty("change").GetString(), applied.GetProperty("version").GetInt32()));
        var got = (await stack.Run("agent", "get", "good", "--json")).Exits(0).Json;
        Assert.Equal(("Be good.\n\nAlways.\n", "90s"), (got.GetProperty("instructions").GetString(), got.GetProperty("limits").GetProperty("timeout").GetString()));
        Assert.Contains("did you mean good?", (await stack.Run("run", "-a", "goood", "Hi")).Exits(1).Error, StringComparison.Ordinal);
        (await stack.Run("agent", "delete", "good")).Exits(0);
        (await stack.Run("agent", "get", "good")).Exits(1);
    }

    [Fact]
    public async Task Without_a_terminal_a_run_waits_for_a_yes_that_is_given_later_also_after_a_restart()
    {
        await using var ollama = await Ollama.Start(
            new OllamaAnswer { Step = 1, Calls = [OllamaToolCall.Of("workspace_run", """{"command":"echo done > a.txt"}""")] }, new OllamaAnswer { Step = 2, Text = "I ran it." });
        await using var stack = await Stack.Start(ollama);
        var waits = (await stack.Run("run", "Run it")).Exits(1);
        Assert.Equal("", waits.Out);
        Assert.Contains("`stigmer runs approve ", waits.Error, StringComparison.Ordinal);
        Assert.Contains("--yes", waits.Error, StringComparison.Ordinal);
        Assert.Equal("waiting", (await stack.Run("runs", "get", "last", "--json")).Json.GetProperty("status").GetString());

        (await stack.Run("local", "restart")).Exits(0);
        await using var watching = stack.Begin("runs", "watch", "last", "--json").Input("");
        await watching.Line(line => line.Contains("\"approval\"", StringComparison.Ordinal));
        Assert.Contains("Approved workspace.run", (await stack.Run("runs", "approve", "last")).Exits(0).Out, StringComparison.Ordinal);
        Assert.Equal("completed", (await watching.End()).Exits(0).Events[^1].GetProperty("status").GetString());
        Assert.True(File.Exists(Path.Combine(stack.Workspace, "a.txt")));
        // Once is enough.
        (await stack.Run("runs", "approve", "last")).Exits(1);

        // The next turn, with everything before it.
        var sent = stack.Begin("runs", "send", "last", "And", "-", "--json").Input("again?");
        await using (sent)
        {
            await sent.Line(line => line.Contains("\"approval\"", StringComparison.Ordinal));
            (await stack.Run("runs", "deny", "last", "--reason", "once was enough")).Exits(0);
            var denied = (await sent.End()).Exits(0).Events.Single(e => e.GetProperty("type").GetString() == "tool_result");
            Assert.Equal(JsonValueKind.False, denied.GetProperty("ok").ValueKind);
            Assert.Contains("once was enough", denied.GetProperty("text").GetString(), StringComparison.Ordinal);
        }
        Assert.Equal("completed", (await stack.Run("run", "--json", "--yes", "Run it")).Exits(0).Events[^1].GetProperty("status").GetString());
    }

    [Fact]
    public async Task A_stack_that_runs_is_reached_also_where_nothing_could_be_started_on_its_configuration_now()
    {
        await using var stack = await Stack.Start();
        var working = File.ReadAllText(Path.Combine(stack.Home, "config.yaml"));
        stack.Configure("backend: { local: { temporal: { port: many } } }");
        var ran = (await stack.Run("run", "Hi")).Exits(0);
        Assert.Contains("temporal.port", ran.Error, StringComparison.Ordinal);
        Assert.Single((await stack.Run("runs", "list", "--json")).Exits(0).Json.GetProperty("runs").EnumerateArray());
        (await stack.Run("local", "stop")).Exits(0);
        (await stack.Run("run", "Hi")).Exits(2);
        (await stack.Run("runs", "list")).Exits(2);
        stack.Configure(working);
    }
}
