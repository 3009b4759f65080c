using CsCheck;
using Stigmer.Config;

namespace Stigmer.Tests.Config;

public class RunnerEnvironmentTests
{
    static readonly StigmerHome Home = new("/h/.stigmer");

    static Func<string, string?> Env(params (string Name, string Value)[] set) => name => set.FirstOrDefault(pair => pair.Name == name).Value;

    static Dictionary<string, string> Written(Settings settings, LlmKeys? keys = null) =>
        new(RunnerEnvironment.Write(settings, keys ?? new LlmKeys()));

    static Settings Resolve(params (string Name, string Value)[] environment) =>
        Configuration.Resolve(Env(environment), new Flags(), Home, ConfigFile.Absent(Home.ConfigFile));

    static Gen<T> One<T>(params T[] of) => Gen.Int[0, of.Length - 1].Select(index => of[index]);

    static readonly Gen<LlmSettings> Llm = Gen.Select(
        One(Enum.GetValues<LlmProvider>()), One("a", "m:7b", "org/m"), One("http://h:1", "https://h/v1"), Gen.Int[1, 1_000_000],
        Gen.Double[0, 1].Nullable(), Gen.Int[256, 1_000_000].Nullable(), (provider, model, url, most, temperature, window) => new LlmSettings(
            provider, model, provider == LlmProvider.Demo ? "" : url, most,
            provider == LlmProvider.Demo ? null : temperature ?? provider.DefaultTemperature(), provider == LlmProvider.Ollama ? window : null, null));

    [Fact]
    public void What_is_written_is_read_back() => Llm.Sample(llm =>
    {
        var written = Written(Resolve() with { Llm = llm });
        Assert.Equal(llm, RunnerEnvironment.Read(written.GetValueOrDefault));
    });

    [Fact]
    public void Every_known_key_goes_along()
    {
        var written = Written(Resolve(), new LlmKeys(new Secret("a"), new Secret("o")));
        Assert.Equal(("a", "o"), (written["ANTHROPIC_API_KEY"], written["OPENAI_API_KEY"]));
        Assert.DoesNotContain(Written(Resolve()).Keys, name => name.EndsWith("_API_KEY", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(null, "ollama", "qwen2.5-coder:7b", 8192)]
    [InlineData("local", "ollama", "qwen2.5-coder:7b", 8192)]
    [InlineData("cloud", "anthropic", "claude-sonnet-5-5", 20000)]
    public void The_mode_chooses_the_defaults(string? mode, string provider, string model, int maxTokens)
    {
        var llm = RunnerEnvironment.Read(name => name == "MODE" ? mode : null);
        Assert.Equal((provider, model, maxTokens), (llm.Provider.Name(), llm.Model, llm.MaxTokens));
    }

    [Fact]
    public void A_run_with_another_provider_takes_that_providers_defaults()
    {
        var environment = Env(
            ("STIGMER_LLM_PROVIDER", "ollama"), ("STIGMER_LLM_MODEL", "qwen3:8b"), ("STIGMER_LLM_BASE_URL", "http://gpu:1"), ("STIGMER_LLM_TEMPERATURE", "0.5"));
        Assert.Equal(
            new LlmSettings(LlmProvider.Anthropic, "claude-sonnet-5-5", "https://api.anthropic.com", 8192, null, null, null), RunnerEnvironment.Read(environment, "anthropic"));
        Assert.Equal(("llama4", "http://gpu:1"), (RunnerEnvironment.Read(environment, null, "llama4").Model, RunnerEnvironment.Read(environment, null, "llama4").BaseUrl));
        Assert.Equal("qwen3:8b", RunnerEnvironment.Read(environment, "ollama").Model);
    }

    [Fact]
    public void A_run_that_chooses_Ollama_finds_it_where_the_stack_would()
    {
        var written = Written(Resolve(("STIGMER_LLM_PROVIDER", "demo"), ("OLLAMA_HOST", "https://gpu/ollama")));
        Assert.Equal("https://gpu:443/ollama", RunnerEnvironment.Read(written.GetValueOrDefault, "ollama").BaseUrl);
    }

    [Fact]
    public void What_is_not_allowed_is_refused()
    {
        var failure = Assert.Throws<Failure>(() => RunnerEnvironment.Read(Env(("MODE", "remote"))));
        Assert.Equal(("MODE is \"remote\": it must be local or cloud", ExitCode.Usage), (failure.What, failure.ExitCode));
    }
}
