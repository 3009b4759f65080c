using Stigmer.Config;

namespace Stigmer.Tests.Config;

public class SecretsTests
{
    static Func<string, string?> Env(params (string Name, string Value)[] set) => name => set.FirstOrDefault(pair => pair.Name == name).Value;

    static Task<(LlmKeys Keys, string Line)> Obtain(LlmProvider provider, Func<string, string?> environment, string? typed = null, bool terminal = false) =>
        Secrets.Obtain(provider, provider.DefaultBaseUrl(), environment, terminal ? (_, _) => Task.FromResult(typed) : null, CancellationToken.None);

    [Theory]
    [InlineData("Ollama", "Using Ollama (no API key required)")]
    [InlineData("Demo", "Using the built-in demo model")]
    public async Task What_needs_no_key_asks_for_none(string provider, string line) =>
        Assert.Equal(line, (await Obtain(Enum.Parse<LlmProvider>(provider), Env())).Line);

    [Fact]
    public async Task A_key_in_the_environment_is_used_and_said()
    {
        var (keys, line) = await Obtain(LlmProvider.Anthropic, Env(("ANTHROPIC_API_KEY", " \"sk-1\"\n"), ("OPENAI_API_KEY", "sk-2")));
        Assert.Equal("Using ANTHROPIC_API_KEY from environment", line);
        Assert.Equal(("sk-1", "sk-2"), (keys.Anthropic?.Reveal(), keys.OpenAI?.Reveal()));
    }

    [Fact]
    public async Task The_key_of_the_chosen_provider_comes_before_its_own()
    {
        var environment = Env(("ANTHROPIC_API_KEY", "sk-1"), ("OPENAI_API_KEY", "sk-2"), ("STIGMER_LLM_API_KEY", "sk-3"));
        var (keys, line) = await Obtain(LlmProvider.OpenAI, environment);
        Assert.Equal("Using STIGMER_LLM_API_KEY from environment", line);
        Assert.Equal(("sk-1", "sk-3"), (keys.Anthropic?.Reveal(), keys.OpenAI?.Reveal()));
    }

    [Theory]
    [InlineData("Anthropic", "Anthropic API key configured")]
    [InlineData("OpenAI", "OpenAI API key configured")]
    public async Task A_key_is_asked_for_on_a_terminal(string name, string line)
    {
        var provider = Enum.Parse<LlmProvider>(name);
        var prompts = new List<string>();
        var (keys, said) = await Secrets.Obtain(provider, provider.DefaultBaseUrl(), Env((provider.KeyVariable()!, "  ")), (prompt, _) =>
        {
            prompts.Add(prompt);
            return Task.FromResult<string?>(" sk-9 ");
        }, CancellationToken.None);
        Assert.Equal($"Enter {name} API key: ", Assert.Single(prompts));
        Assert.Equal(line, said);
        Assert.Equal("sk-9", keys.Of(provider)?.Reveal());
    }

    [Theory]
    [InlineData("Anthropic", "ANTHROPIC_API_KEY")]
    [InlineData("OpenAI", "OPENAI_API_KEY")]
    public async Task Without_a_terminal_the_variable_is_named(string provider, string variable)
    {
        var failure = await Assert.ThrowsAsync<Failure>(() => Obtain(Enum.Parse<LlmProvider>(provider), Env()));
        Assert.Equal(ExitCode.Usage, failure.ExitCode);
        Assert.Contains("Set " + variable, failure.Remedy, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("   ")]
    public async Task Nothing_typed_is_no_key(string? typed)
    {
        var failure = await Assert.ThrowsAsync<Failure>(() => Obtain(LlmProvider.Anthropic, Env(), typed, terminal: true));
        Assert.Equal(ExitCode.Usage, failure.ExitCode);
    }

    [Theory]
    [InlineData("sk-1\nX-Evil: 1")]
    [InlineData("sk 1")]
    [InlineData("sk-é")]
    public async Task What_no_header_can_carry_is_refused_without_showing_it(string key)
    {
        var failure = await Assert.ThrowsAsync<Failure>(() => Obtain(LlmProvider.Anthropic, Env(("ANTHROPIC_API_KEY", key))));
        Assert.Equal("ANTHROPIC_API_KEY cannot be used", failure.What);
        Assert.DoesNotContain(key, failure.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_secret_does_not_show_itself()
    {
        Assert.Equal("***", $"{new Secret("hunter2")}");
        Assert.DoesNotContain("hunter2", new LlmKeys(new Secret("hunter2")).ToString(), StringComparison.Ordinal);
    }
}
