using Stigmer.EndToEnd.Harness;
using Stigmer.Standins;

namespace Stigmer.EndToEnd;

public class NoModelTests
{
    [Fact]
    public async Task Without_Ollama_the_start_warns_and_a_run_fails_with_the_same_words()
    {
        await using var stack = Stack.Create();
        stack.Configure("""
            backend:
              local:
                endpoint: localhost:0
                llm: { base_url: "http://127.0.0.1:9" }
                temporal: { embedded: true }
            """);
        var started = (await stack.Run("local")).Exits(0);
        var ran = (await stack.Run("run", "Hi")).Exits(1);
        foreach (var said in (string[])[started.Error, ran.Error])
        {
            Assert.Contains("Ollama does not answer at http://127.0.0.1:9", said, StringComparison.Ordinal);
            Assert.Contains("`ollama serve`", said, StringComparison.Ordinal);
            Assert.Contains("`stigmer llm pull qwen2.5-coder:7b`", said, StringComparison.Ordinal);
            Assert.Contains("--provider demo", said, StringComparison.Ordinal);
        }
        var llm = (await stack.Status()).GetProperty("llm");
        Assert.Equal((false, false), (llm.GetProperty("reachable").GetBoolean(), llm.GetProperty("modelAvailable").GetBoolean()));
        Assert.Contains("demo model", (await stack.Run("run", "--provider", "demo", "Hi")).Exits(0).Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_model_that_was_not_pulled_is_said_with_the_command_that_pulls_it()
    {
        await using var ollama = await Ollama.Start(new OllamaScript { Models = [] });
        await using var stack = await Stack.Start(ollama);
        var ran = (await stack.Run("run", "--model", "qwen3:8b", "Hi")).Exits(1);
        Assert.Contains("Ollama does not have the model qwen3:8b", ran.Error, StringComparison.Ordinal);
        Assert.Contains("`stigmer llm pull qwen3:8b`", ran.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Loopback_goes_through_no_proxy()
    {
        await using var ollama = await Ollama.Start(new OllamaAnswer { Text = "Direct." });
        await using var stack = Stack.Create(ollama);
        foreach (var name in (string[])["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]) stack.Environment[name] = "http://127.0.0.1:9";
        (await stack.Run("local")).Exits(0);
        Assert.Equal("Direct.\n", (await stack.Run("run", "Hi")).Exits(0).Out);
        Assert.True((await stack.Status()).GetProperty("llm").GetProperty("reachable").GetBoolean());
    }
}
