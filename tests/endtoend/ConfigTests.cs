using System.Net;
using System.Net.Sockets;
using Stigmer.EndToEnd.Harness;

namespace Stigmer.EndToEnd;

public class ConfigTests
{
    [Theory]
    [InlineData("backend:\n  local:\n    llm:\n      provider: olama\n", "config.yaml:4:17")]
    [InlineData("backend:\n\tlocal:\n", "config.yaml:2:1")]
    [InlineData("backend:\n  local:\n    llm:\n      max_tokens: many\n", "config.yaml:4:19")]
    public async Task An_invalid_configuration_starts_nothing_and_names_the_place(string yaml, string place)
    {
        await using var stack = Stack.Create();
        stack.Configure(yaml);
        var started = (await stack.Run("local")).Exits(2);
        Assert.Contains(place, started.Error, StringComparison.Ordinal);
        Assert.Empty(stack.Processes());
    }

    [Fact]
    public async Task The_environment_alone_switches_the_provider_and_the_files_model_stays_behind()
    {
        await using var stack = Stack.Create();
        stack.Configure("""
            backend:
              local:
                endpoint: localhost:0
                llm: { provider: ollama, model: "qwen2.5-coder:7b", base_url: "http://127.0.0.1:9" }
                temporal: { embedded: true }
            """);
        stack.Environment["STIGMER_LLM_PROVIDER"] = "demo";
        (await stack.Run("local")).Exits(0);
        var llm = (await stack.Status()).GetProperty("llm");
        Assert.Equal("demo", llm.GetProperty("provider").GetString());
        Assert.NotEqual("qwen2.5-coder:7b", llm.GetProperty("model").GetString());
        Assert.Contains("demo model", (await stack.Run("run", "Hi")).Exits(0).Out, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("anthropic", "ANTHROPIC_API_KEY")]
    [InlineData("openai", "OPENAI_API_KEY")]
    public async Task A_provider_without_its_key_is_wrong_usage_where_nobody_can_be_asked(string provider, string variable)
    {
        await using var stack = Stack.Create();
        stack.Environment["STIGMER_LLM_PROVIDER"] = provider;
        Assert.Contains(variable, (await stack.Run("local")).Exits(2).Error, StringComparison.Ordinal);
        Assert.Empty(stack.Processes());
    }

    [Fact]
    public async Task A_port_that_is_taken_is_named_with_the_process_that_holds_it()
    {
        using var holder = new TcpListener(IPAddress.Loopback, 0);
        holder.Start();
        var port = ((IPEndPoint)holder.LocalEndpoint).Port;
        await using var stack = Stack.Create();
        stack.Configure($$"""
            backend:
              local:
                endpoint: localhost:{{port}}
                llm: { provider: demo }
                temporal: { embedded: true }
            """);
        var started = (await stack.Run("local")).Exits(1);
        Assert.Contains($"{port}", started.Error, StringComparison.Ordinal);
        Assert.Contains($"{Environment.ProcessId}", started.Error, StringComparison.Ordinal);
        Assert.Empty(stack.Processes());
    }

    [Fact]
    public async Task A_secret_stands_in_no_file_and_on_no_command_line()
    {
        await using var stack = Stack.Create();
        stack.Environment["ANTHROPIC_API_KEY"] = "sk-ant-not-to-be-found";
        (await stack.Run("local")).Exits(0);
        (await stack.Run("run", "Hi")).Exits(0);
        // grep minds nobody's lock; 1 is its word for nothing found.
        await using var grep = Running.Start("grep", ["-rlF", "-D", "skip", "sk-ant-not-to-be-found", stack.Home], stack.Environment, stack.Workspace).Input("");
        (await grep.End()).Exits(1);
        Assert.All(stack.Processes(), process => Assert.DoesNotContain("sk-ant", process.Command, StringComparison.Ordinal));
    }
}
