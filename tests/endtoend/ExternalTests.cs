using Stigmer.EndToEnd.Harness;
using Stigmer.Standins;

namespace Stigmer.EndToEnd;

public sealed class ExternalTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("stg-ext-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public async Task Two_stacks_on_one_Temporal_each_complete_their_own_runs()
    {
        await using var temporal = Standin.Start("temporal", "1.99.0", "server", "start-dev", "--port", "0", "--db-filename", Path.Combine(folder, "t.db"), "--headless");
        var address = (await temporal.Line(line => line.StartsWith("Server:", StringComparison.Ordinal))).Split(' ')[^1];
        await using var mine = await Ollama.Start(Ollama.ToolsThenAnswer(3, "Mine."));
        await using var yours = await Ollama.Start(Ollama.ToolsThenAnswer(3, "Yours."));
        await using var one = External(mine, address);
        await using var two = External(yours, address);

        var started = (await one.Run("local")).Exits(0);
        var endpoint = (await one.Status()).GetProperty("endpoint").GetString();
        Assert.Equal(
            [
                "✓ Using Ollama (no API key required)",
                $"✓ Using external Temporal at {address}",
                "✓ Starting stigmer-server...",
                "✓ Starting agent-runner...",
                $"✓ Ready! Stigmer is running on {endpoint}",
                "✓ Daemon started successfully",
            ],
            started.Lines);
        (await two.Run("local")).Exits(0);

        var runs = await Task.WhenAll(one.Run("run", "A"), two.Run("run", "B"), one.Run("run", "C"), two.Run("run", "D"));
        Assert.Equal(["Mine.\n", "Yours.\n", "Mine.\n", "Yours.\n"], runs.Select(run => run.Exits(0).Out));
        Assert.Equal(["A", "A", "A", "C", "C", "C"], mine.Calls.Select(call => call.Prompt).Order());
        Assert.Equal(["B", "B", "B", "D", "D", "D"], yours.Calls.Select(call => call.Prompt).Order());
    }

    [Fact]
    public async Task The_copy_of_a_home_is_refused_by_name_while_the_first_goes_on()
    {
        await using var temporal = Standin.Start("temporal", "1.99.0", "server", "start-dev", "--port", "0", "--db-filename", Path.Combine(folder, "t.db"), "--headless");
        var address = (await temporal.Line(line => line.StartsWith("Server:", StringComparison.Ordinal))).Split(' ')[^1];
        await using var mine = await Ollama.Start(Ollama.ToolsThenAnswer(2, "Mine."));
        await using var yours = await Ollama.Start(Ollama.ToolsThenAnswer(2, "Yours."));
        await using var first = External(mine, address);
        await using var copy = External(yours, address);
        (await first.Run("local")).Exits(0);
        (await first.Run("local", "stop")).Exits(0);
        var (from, to) = (Path.Combine(first.Home, "data"), Path.Combine(copy.Home, "data"));
        Directory.CreateDirectory(to);
        foreach (var file in Directory.GetFiles(from)) File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
        // Its own last runner is still listed at the Temporal.
        (await first.Run("local")).Exits(0);
        (await first.Run("local", "restart")).Exits(0);

        var refused = (await copy.Run("local")).Exits(1);
        Assert.Contains($"✗ Another stigmer with this one's id works at the Temporal at {address}\n", refused.Error, StringComparison.Ordinal);
        Assert.Contains($"remove stigmer.db, stigmer.db-wal and stigmer.db-shm from {to} ", refused.Error, StringComparison.Ordinal);
        Assert.Equal("Mine.\n", (await first.Run("run", "A")).Exits(0).Out);

        // What it says helps.
        foreach (var file in Directory.GetFiles(to, "stigmer.db*")) File.Delete(file);
        (await copy.Run("local")).Exits(0);
        Assert.Equal("Yours.\n", (await copy.Run("run", "B")).Exits(0).Out);
        Assert.Equal("Mine.\n", (await first.Run("run", "C")).Exits(0).Out);
    }

    [Fact]
    public async Task A_Temporal_that_cannot_be_reached_is_named_before_anything_starts()
    {
        var port = Ports.Free();
        await using var stack = Stack.Create();
        stack.Configure("backend: { local: { endpoint: \"localhost:0\", llm: { provider: demo } } }");
        stack.Environment["TEMPORAL_SERVICE_ADDRESS"] = $"localhost:{port}";
        var started = (await stack.Run("local")).Exits(1);
        Assert.Equal(["✓ Using the built-in demo model"], started.Lines);
        Assert.StartsWith($"✗ Temporal at localhost:{port} cannot be reached\n", started.Error, StringComparison.Ordinal);
        Assert.Empty(File.ReadAllText(Path.Combine(stack.Home, "logs", "stigmer-server.log")));
    }

    [Fact]
    public async Task A_run_outlives_a_restart_of_the_Temporal()
    {
        var port = Ports.Free();
        string[] arguments = ["temporal", "1.99.0", "server", "start-dev", "--port", $"{port}", "--db-filename", Path.Combine(folder, "t.db"), "--headless"];
        await using var ollama = await Ollama.Start(
            new OllamaAnswer { Step = 1, Text = "One. ", Calls = [OllamaToolCall.Of("workspace_list")] },
            new OllamaAnswer { Step = 2, Text = "Two. ", Calls = [OllamaToolCall.Of("workspace_list")], Hold = "second" },
            new OllamaAnswer { Step = 3, Text = "Done." });
        await using var first = Standin.Start(arguments);
        await first.Line(line => line.StartsWith("Server:", StringComparison.Ordinal));
        await using var stack = External(ollama, $"localhost:{port}");
        (await stack.Run("local")).Exits(0);
        await using var running = stack.Begin("run", "Count").Input("");
        await ollama.Held("second");
        first.Signal(9);
        await first.End();
        await ollama.Release("second");
        await using var second = Standin.Start(arguments);
        Assert.Equal("Done.\n", (await running.End()).Exits(0).Out);
        Assert.Equal([1, 2, 3], ollama.Calls.Select(call => call.Step));
    }

    static Stack External(Ollama ollama, string address)
    {
        var stack = Stack.Create(ollama);
        stack.Configure($$"""
            backend:
              local:
                endpoint: localhost:0
                llm: { provider: ollama, base_url: "{{ollama.Url}}" }
            """);
        stack.Environment["TEMPORAL_SERVICE_ADDRESS"] = address;
        return stack;
    }
}
