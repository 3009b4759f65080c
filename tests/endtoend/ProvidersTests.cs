using System.Text.Json;
using Stigmer.EndToEnd.Harness;
using Stigmer.Standins;

namespace Stigmer.EndToEnd;

public class ProvidersTests
{
    /// <summary>Two steps, each of which goes wrong in every way before it goes well.</summary>
    static HostedAnswer[] Chaos =>
    [
        new() { Status = 429, Error = "slow down", ErrorType = "rate_limit_error", RetryAfter = "0", Times = 1 },
        new() { Step = 1, Text = "Half an", Break = true, Times = 1 },
        new() { Step = 2, Text = "Half an", Malformed = true, Times = 1 },
        new() { Step = 1, Thinking = "I should read it.", Text = "I look. ", Calls = [OllamaToolCall.Of("workspace_read", """{"path":"a.txt"}"""), OllamaToolCall.Of("workspace_list")] },
        new() { Step = 2, Thinking = "Now I know.", Text = "It says ünïcode 😀." },
    ];

    [Fact]
    public async Task A_run_with_tools_comes_through_chaos_on_Anthropics_wire()
    {
        await using var anthropic = await Provider.Start("anthropic", new HostedScript { Key = Provider.Key, Models = [new("claude-sonnet-5-5")], Answers = Chaos });
        await using var stack = Create($"provider: anthropic, base_url: \"{anthropic.Url}\"");
        stack.Environment["ANTHROPIC_API_KEY"] = $" {Provider.Key}\n";
        var started = (await stack.Run("local")).Exits(0);
        Assert.Contains("Using ANTHROPIC_API_KEY from environment", started.Out, StringComparison.Ordinal);
        Assert.Equal("", started.Error);
        await Comes(stack, anthropic);
        var status = (await stack.Run("llm", "status", "--json")).Exits(0).Json;
        Assert.True(status.GetProperty("keyValid").GetBoolean() && status.GetProperty("modelAvailable").GetBoolean());
        // No secret in what is logged.
        Assert.DoesNotContain(Provider.Key, string.Concat(Directory.GetFiles(Path.Combine(stack.Home, "logs")).Select(File.ReadAllText)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_run_with_tools_comes_through_chaos_on_a_compatible_server_which_needs_no_key()
    {
        await using var local = await Provider.Start("openai", new HostedScript { Models = [new("qwen3", Temperature: true)], Answers = Chaos });
        await using var stack = Create($"provider: openai, model: qwen3, base_url: \"{local.Url}/v1\"");
        Assert.Contains("(no API key required)", (await stack.Run("local")).Exits(0).Out, StringComparison.Ordinal);
        await Comes(stack, local);
        Assert.All(local.Calls, call => Assert.Equal("/v1/chat/completions", call.Path));
        Assert.Equal("qwen3", (await stack.Run("llm", "list", "--json")).Exits(0).Json.GetProperty("models")[0].GetProperty("name").GetString());
    }

    [Fact]
    public async Task Runs_choose_their_provider_and_reach_it_through_a_proxy_that_ends_TLS_itself()
    {
        await using var openai = await Provider.Start("openai", new HostedScript { Key = Provider.Key, Models = [new("gpt-6.2-sol")], Answers = Chaos });
        await using var anthropic = await Provider.Start("anthropic", new HostedScript { Key = Provider.Key, Models = [new("claude-haiku-5-5")], Answers = [new() { Text = "From Anthropic." }] });
        await using var proxy = TlsProxy.Start(("api.openai.com", openai.Url), ("api.anthropic.com", anthropic.Url));
        await using var stack = Create("provider: demo");
        stack.Environment["HTTPS_PROXY"] = proxy.Url;
        stack.Environment["SSL_CERT_FILE"] = Path.Combine(stack.Home, "root.pem");
        File.WriteAllText(stack.Environment["SSL_CERT_FILE"], proxy.RootPem);
        stack.Environment["OPENAI_API_KEY"] = Provider.Key;
        (await stack.Run("local")).Exits(0);

        await Comes(stack, openai, "--provider", "openai");
        Assert.All(openai.Calls, call => Assert.Equal("/v1/responses", call.Path));

        var ran = (await stack.Run("run", "--provider", "anthropic", "Hi")).Exits(1);
        Assert.Contains("ANTHROPIC_API_KEY", ran.Error, StringComparison.Ordinal);
        Assert.Contains("stigmer local restart", ran.Error, StringComparison.Ordinal);
        stack.Environment["ANTHROPIC_API_KEY"] = Provider.Key;
        (await stack.Run("local", "restart")).Exits(0);
        Assert.Equal("From Anthropic.\n", (await stack.Run("run", "--provider", "anthropic", "--model", "claude-haiku-5.5", "Hi")).Exits(0).Out);
    }

    [Fact]
    public async Task A_bad_key_and_an_unknown_model_fail_at_once_with_what_to_do()
    {
        await using var anthropic = await Provider.Start("anthropic", new HostedScript { Key = Provider.Key, Models = [new("claude-sonnet-5-5")], Answers = [new() { Text = "?" }] });
        await using var stack = Create($"provider: anthropic, base_url: \"{anthropic.Url}\"");
        stack.Environment["ANTHROPIC_API_KEY"] = "sk-wrong";
        Assert.Contains("does not accept the API key", (await stack.Run("local")).Exits(0).Error, StringComparison.Ordinal);
        Assert.Contains("Check ANTHROPIC_API_KEY", (await stack.Run("run", "Hi")).Exits(1).Error, StringComparison.Ordinal);
        Assert.False((await stack.Run("llm", "status", "--json")).Exits(1).Json.GetProperty("keyValid").GetBoolean());
        stack.Environment["ANTHROPIC_API_KEY"] = Provider.Key;
        (await stack.Run("local", "restart")).Exits(0);
        Assert.Contains("does not know the model claude-x", (await stack.Run("run", "--model", "claude-x", "Hi")).Exits(1).Error, StringComparison.Ordinal);
        Assert.Single(anthropic.Calls, call => call.Body!.Value.GetProperty("model").GetString() == "claude-x");
    }

    [Fact]
    public async Task Models_of_Ollama_are_listed_and_pulled_and_a_pull_that_breaks_goes_on()
    {
        await using var ollama = await Ollama.Start(new OllamaScript { Models = [new OllamaModel { Name = "gemma:2b", Capabilities = ["completion"] }], Library = ["qwen2.5-coder:7b"], PullBreaks = 2 });
        await using var stack = Stack.Create(ollama);
        Assert.Contains("stigmer llm pull qwen2.5-coder:7b", (await stack.Run("llm", "status")).Exits(1).Error, StringComparison.Ordinal);
        Assert.Contains("has no model nosuch:1b", (await stack.Run("llm", "pull", "nosuch:1b")).Exits(1).Error, StringComparison.Ordinal);
        var pulled = (await stack.Run("llm", "pull", "qwen2.5-coder:7b")).Exits(0);
        Assert.Contains("qwen2.5-coder:7b is there", pulled.Out, StringComparison.Ordinal);
        Assert.Contains("verifying sha256 digest", pulled.Error, StringComparison.Ordinal);
        (await stack.Run("llm", "status")).Exits(0);
        var models = (await stack.Run("llm", "list", "--json")).Exits(0).Json.GetProperty("models").EnumerateArray().ToDictionary(model => model.GetProperty("name").GetString()!, model => model);
        Assert.Equal(JsonValueKind.False, models["gemma:2b"].GetProperty("tools").ValueKind);
        Assert.Equal(4683087332, models["qwen2.5-coder:7b"].GetProperty("size").GetInt64());
    }

    [Fact]
    public async Task A_start_with_pull_fetches_the_model_first_and_without_Ollama_starts_nothing()
    {
        await using var ollama = await Ollama.Start(new OllamaScript { Models = [], Answers = [new OllamaAnswer { Text = "Here." }] });
        await using var stack = Stack.Create(ollama);
        Assert.Equal("", (await stack.Run("local", "--pull", "--json")).Exits(0).Json.GetProperty("llm").GetProperty("detail").ToString());
        Assert.Equal("Here.\n", (await stack.Run("run", "Hi")).Exits(0).Out);

        await using var without = Create("base_url: \"http://127.0.0.1:9\"");
        Assert.Contains("Ollama does not answer", (await without.Run("local", "--pull")).Exits(1).Error, StringComparison.Ordinal);
        (await without.Run("local", "status")).Exits(3);
        Assert.Contains("`ollama serve`", (await without.Run("llm", "pull", "qwen3:8b")).Exits(1).Error, StringComparison.Ordinal);
    }

    static Stack Create(string llm)
    {
        var stack = Stack.Create();
        stack.Configure($$"""
            backend:
              local:
                endpoint: localhost:0
                llm: { {{llm}} }
                temporal: { embedded: true }
            """);
        return stack;
    }

    /// <summary>The run of <see cref="Chaos"/>: five calls, of which none was an invalid request, and nothing of the broken ones is left.</summary>
    static async Task Comes(Stack stack, Provider provider, params string[] options)
    {
        stack.Write("a.txt", "ünïcode 😀");
        var events = (await stack.Run(["run", "--json", .. options, "What does a.txt say?"])).Exits(0).Events;
        Assert.Equal("It says ünïcode 😀.", events[^1].GetProperty("output").GetString());
        Assert.Equal(3, events.Count(e => e.GetProperty("type").GetString() == "retry"));
        Assert.Equal(["workspace.read", "workspace.list"], events.Where(e => e.GetProperty("type").GetString() == "tool_call").Select(e => e.GetProperty("name").GetString()));
        Assert.All(events.Where(e => e.GetProperty("type").GetString() == "tool_result"), e => Assert.True(e.GetProperty("ok").GetBoolean()));
        Assert.Empty(provider.Invalid);
        Assert.Equal(5, provider.Calls.Count);
    }
}
