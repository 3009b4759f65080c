using Stigmer.EndToEnd.Harness;
using Stigmer.Standins;

namespace Stigmer.EndToEnd;

/// <summary>Runs that wait for a person, and go on after anything may have happened in between.</summary>
public sealed class ParkedTests : IAsyncLifetime
{
    const string Version = "1.99.0";

    readonly string releases = Directory.CreateTempSubdirectory("stg-mirror-").FullName;
    Mirror? mirror;

    public async ValueTask InitializeAsync()
    {
        TemporalArchives.Build(releases, Version);
        mirror = await Mirror.Start(releases);
    }

    public async ValueTask DisposeAsync()
    {
        if (mirror is not null) await mirror.DisposeAsync();
        Directory.Delete(releases, recursive: true);
    }

    static async Task Waits(Stack stack, string id)
    {
        await using var watching = stack.Begin("runs", "watch", id).Input("");
        await watching.ErrorLine(line => line.Contains("stigmer runs approve", StringComparison.Ordinal));
        Assert.Equal("waiting", (await stack.Run("runs", "get", id, "--json")).Exits(0).Json.GetProperty("status").GetString());
    }

    [Fact]
    public async Task A_call_is_approved_after_everything_was_killed_and_the_engine_was_another_and_no_model_call_is_made_again()
    {
        await using var ollama = await Ollama.Start(
            new OllamaAnswer { Step = 1, Calls = [OllamaToolCall.Of("workspace_list"), OllamaToolCall.Of("workspace.write", """{"path":"a.txt","content":"a"}""")] },
            new OllamaAnswer { Step = 2, Calls = [OllamaToolCall.Of("workspace.write", """{"path":"b.txt","content":"b"}""")] },
            new OllamaAnswer { Step = 3, Text = "Done." });
        await using var stack = Stack.Create(ollama);
        stack.Configure($$"""
            backend:
              local:
                endpoint: localhost:0
                llm: { provider: ollama, base_url: "{{ollama.Url}}" }
                temporal: { version: {{Version}}, port: {{Ports.Free()}} }
            """);
        stack.Environment["STIGMER_TEMPORAL_MIRROR"] = mirror!.Url;
        (await stack.Run("local", "--embedded")).Exits(0);
        var id = (await stack.Run("run", "--detach", "Write")).Exits(0).Out.Trim();
        await Waits(stack, id);

        // Everything ends, the hard way; the next stack has another engine.
        Running.Kill((await stack.Status()).GetProperty("pid").GetInt32(), 9);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (stack.Processes().Count > 0) await Task.Delay(50, limit.Token);
        (await stack.Run("local", "--managed")).Exits(0);
        await Waits(stack, id);
        (await stack.Run("runs", "approve", id)).Exits(0);
        await ollama.Called(2);
        await Waits(stack, id);

        // And back: what was said yes to is done, the next call waits.
        (await stack.Run("local", "restart", "--embedded")).Exits(0);
        await Waits(stack, id);
        (await stack.Run("runs", "deny", id, "--reason", "not today")).Exits(0);
        Assert.Equal("Done.\n", (await stack.Run("runs", "watch", id)).Exits(0).Out);
        Assert.Equal([1, 2, 3], ollama.Calls.Select(call => call.Step));
        Assert.Contains("not today", (await stack.Run("runs", "get", id, "--json")).Exits(0).Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_conversation_goes_on_after_it_was_cancelled_while_it_waited_and_a_message_that_comes_meanwhile_is_read()
    {
        await using var ollama = await Ollama.Start(
            new OllamaAnswer { To = "First", Step = 1, Calls = [OllamaToolCall.Of("workspace.write", """{"path":"a.txt","content":"a"}""")] },
            new OllamaAnswer { To = "Second", Step = 1, Calls = [OllamaToolCall.Of("workspace.write", """{"path":"b.txt","content":"b"}""")] },
            new OllamaAnswer { To = "Third", Step = 1, Text = "All three." });
        await using var stack = await Stack.Start(ollama);
        var id = (await stack.Run("run", "--detach", "First")).Exits(0).Out.Trim();
        await Waits(stack, id);
        (await stack.Run("runs", "cancel", id)).Exits(0);
        await using var second = stack.Begin("runs", "send", id, "Second").Input("");
        await ollama.Called(2);
        await Waits(stack, id);
        await using var third = stack.Begin("runs", "send", id, "Third").Input("");
        await Eventually(async () => (await stack.Run("runs", "get", id, "--json")).Out.Contains("Third", StringComparison.Ordinal));
        (await stack.Run("runs", "deny", id)).Exits(0);
        Assert.Equal("All three.\n", (await stack.Run("runs", "watch", id)).Exits(0).Out);
        Assert.Equal(["First", "Second", "Third"], ollama.Calls.Select(call => call.Prompt));
    }

    static async Task Eventually(Func<Task<bool>> holds)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (!await holds()) await Task.Delay(50, limit.Token);
    }
}
