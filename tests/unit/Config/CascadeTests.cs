using Stigmer.Config;

namespace Stigmer.Tests.Config;

public class CascadeTests
{
    static readonly StigmerHome Home = new("/h/.stigmer");

    // A table of "NAME=value; NAME=value".
    static Func<string, string?> Env(string text)
    {
        var set = text.Split("; ", StringSplitOptions.RemoveEmptyEntries).Select(pair => pair.Split('=', 2)).ToDictionary(pair => pair[0], pair => pair[1]);
        set.TryAdd("HOME", "/h");
        return set.GetValueOrDefault;
    }

    static Settings Resolve(string yaml = "", string env = "", Flags? flags = null) =>
        Configuration.Resolve(Env(env), flags ?? new Flags(), Home, ConfigFile.Parse(yaml, Home.ConfigFile));

    static Failure Refused(string yaml = "", string env = "", Flags? flags = null)
    {
        var failure = Assert.Throws<Failure>(() => Resolve(yaml, env, flags));
        Assert.Equal(ExitCode.Usage, failure.ExitCode);
        return failure;
    }

    // "a.b: 1; c: 2" below backend.local, one key a line from line 3 on.
    static string Yaml(string keys)
    {
        var lines = new List<string> { "backend:", "  local:" };
        var section = "";
        foreach (var pair in keys.Split("; ", StringSplitOptions.RemoveEmptyEntries))
        {
            var dot = pair.IndexOf('.', StringComparison.Ordinal);
            var colon = pair.IndexOf(':', StringComparison.Ordinal);
            var of = dot >= 0 && dot < colon ? pair[..dot] : "";
            if (of != section && of.Length > 0) lines.Add($"    {of}:");
            section = of;
            lines.Add(of.Length > 0 ? "      " + pair[(dot + 1)..] : "    " + pair);
        }
        return string.Join('\n', lines) + "\n";
    }

    static (string? Value, string Origin) Shown(Settings settings, string key)
    {
        var value = Assert.Single(settings.Values, value => value.Key == key || value.Key == "backend.local." + key);
        return (value.Value, value.Origin);
    }

    [Fact]
    public void Nothing_said_anywhere_is_a_managed_stack_with_Ollama()
    {
        var settings = Resolve();
        Assert.Equal(BackendType.Local, settings.Backend);
        Assert.Equal("localhost:50051", settings.Endpoint.ToString());
        Assert.Equal("/h/.stigmer/data", settings.DataDir);
        Assert.Equal(new LlmSettings(LlmProvider.Ollama, "qwen2.5-coder:7b", "http://localhost:11434", 8192, 0.0, null, null), settings.Llm);
        Assert.Equal((TemporalMode.Managed, true, "1.8.2", 7233, 8233, "default"), (
            settings.Temporal.Mode, settings.Temporal.IsDefault, settings.Temporal.Version, settings.Temporal.Port, settings.Temporal.UiPort, settings.Temporal.Namespace));
        Assert.Empty(settings.Warnings);
        Assert.All(settings.Values, value => Assert.Equal("default", value.Origin));
    }

    [Theory]
    // file, environment, key, value, origin
    [InlineData("", "", "llm.provider", "ollama", "default")]
    [InlineData("llm.provider: demo", "", "llm.provider", "demo", "config.yaml:4")]
    [InlineData("llm.provider: demo", "STIGMER_LLM_PROVIDER=Anthropic", "llm.provider", "anthropic", "environment variable STIGMER_LLM_PROVIDER")]
    [InlineData("llm.provider: demo", "STIGMER_LLM_PROVIDER=", "llm.provider", "demo", "config.yaml:4")]
    [InlineData("llm.provider: demo", "STIGMER_LLM_PROVIDER=   ", "llm.provider", "demo", "config.yaml:4")]
    [InlineData("", "", "llm.model", "qwen2.5-coder:7b", "default")]
    [InlineData("llm.model: qwen3:8b", "", "llm.model", "qwen3:8b", "config.yaml:4")]
    [InlineData("llm.model: qwen3:8b", "STIGMER_LLM_MODEL=llama4", "llm.model", "llama4", "environment variable STIGMER_LLM_MODEL")]
    [InlineData("", "STIGMER_LLM_PROVIDER=anthropic", "llm.model", "claude-sonnet-5-5", "default")]
    [InlineData("", "STIGMER_LLM_PROVIDER=openai", "llm.model", "gpt-6.2-sol", "default")]
    [InlineData("llm.provider: anthropic; llm.model: claude-opus-5.5", "", "llm.model", "claude-opus-5-5", "config.yaml:5")]
    [InlineData("", "", "llm.base_url", "http://localhost:11434", "default")]
    [InlineData("llm.base_url: http://gpu:11434/", "", "llm.base_url", "http://gpu:11434", "config.yaml:4")]
    [InlineData("llm.base_url: http://gpu:11434", "OLLAMA_HOST=gpu2", "llm.base_url", "http://gpu2:11434", "environment variable OLLAMA_HOST")]
    [InlineData("", "OLLAMA_HOST=gpu2; STIGMER_LLM_BASE_URL=http://gpu3:1", "llm.base_url", "http://gpu3:1", "environment variable STIGMER_LLM_BASE_URL")]
    [InlineData("", "STIGMER_LLM_PROVIDER=anthropic; OLLAMA_HOST=gpu2", "llm.base_url", "https://api.anthropic.com", "default")]
    [InlineData("llm.provider: demo; llm.base_url: http://x", "", "llm.base_url", null, "default")]
    [InlineData("llm.max_tokens: 100", "", "llm.max_tokens", "100", "config.yaml:4")]
    [InlineData("llm.max_tokens: 100", "STIGMER_LLM_MAX_TOKENS=200", "llm.max_tokens", "200", "environment variable STIGMER_LLM_MAX_TOKENS")]
    [InlineData("", "", "llm.temperature", "0.0", "default")]
    [InlineData("", "STIGMER_LLM_PROVIDER=openai", "llm.temperature", null, "default")]
    [InlineData("", "STIGMER_LLM_TEMPERATURE=0.25", "llm.temperature", "0.25", "environment variable STIGMER_LLM_TEMPERATURE")]
    [InlineData("llm.context_window: 8192", "", "llm.context_window", "8192", "config.yaml:4")]
    [InlineData("llm.context_window: 8192", "STIGMER_LLM_CONTEXT_WINDOW=4096", "llm.context_window", "4096", "environment variable STIGMER_LLM_CONTEXT_WINDOW")]
    [InlineData("endpoint: 127.0.0.1:0", "", "endpoint", "127.0.0.1:0", "config.yaml:3")]
    [InlineData("data_dir: ~/elsewhere", "", "data_dir", "/h/elsewhere", "config.yaml:3")]
    [InlineData("data_dir: beside", "", "data_dir", "/h/.stigmer/beside", "config.yaml:3")]
    [InlineData("temporal.port: 7300", "", "temporal.ui_port", "8300", "default")]
    [InlineData("temporal.port: 0", "", "temporal.ui_port", "0", "default")]
    [InlineData("temporal.version: 1.7.0", "", "temporal.version", "1.7.0", "config.yaml:4")]
    [InlineData("temporal.version: v1.7.0", "", "temporal.version", "1.7.0", "config.yaml:4")]
    [InlineData("temporal.version: 1.25.1", "", "temporal.version", "1.1.1", "config.yaml:4")]
    [InlineData("temporal.namespace: mine", "TEMPORAL_NAMESPACE=theirs", "temporal.namespace", "mine", "config.yaml:4")]
    [InlineData("temporal.namespace: mine", "TEMPORAL_SERVICE_ADDRESS=t:1; TEMPORAL_NAMESPACE=theirs", "temporal.namespace", "theirs", "environment variable TEMPORAL_NAMESPACE")]
    [InlineData("", "TEMPORAL_SERVICE_ADDRESS=t:1", "temporal.address", "t:1", "environment variable TEMPORAL_SERVICE_ADDRESS")]
    [InlineData("", "ANTHROPIC_API_KEY=sk", "ANTHROPIC_API_KEY", "set", "environment variable ANTHROPIC_API_KEY")]
    [InlineData("", "STIGMER_LLM_PROVIDER=openai; STIGMER_LLM_API_KEY=sk", "OPENAI_API_KEY", "set", "environment variable STIGMER_LLM_API_KEY")]
    [InlineData("", "STIGMER_LLM_PROVIDER=openai; STIGMER_LLM_API_KEY=sk", "ANTHROPIC_API_KEY", "unset", "default")]
    [InlineData("", "STIGMER_TEMPORAL_MIRROR=http://mirror/x/", "STIGMER_TEMPORAL_MIRROR", "http://mirror/x", "environment variable STIGMER_TEMPORAL_MIRROR")]
    [InlineData("", "STIGMER_TEMPORAL_MIRROR=https://me:p%40ss@mirror/x", "STIGMER_TEMPORAL_MIRROR", "https://mirror/x", "environment variable STIGMER_TEMPORAL_MIRROR")]
    public void Each_value_has_its_origin(string file, string env, string key, string? value, string origin) =>
        Assert.Equal((value, origin), Shown(Resolve(file.Length == 0 ? "" : Yaml(file), env), key));

    [Fact]
    public void A_switch_of_provider_by_the_environment_alone_leaves_the_files_model_behind()
    {
        var file = Yaml("llm.provider: ollama; llm.model: qwen3:8b; llm.base_url: http://gpu:11434; llm.temperature: 0.7; llm.context_window: 8192; llm.max_tokens: 100");
        Assert.Equal(
            new LlmSettings(LlmProvider.Anthropic, "claude-sonnet-5-5", "https://api.anthropic.com", 100, null, null, null),
            Resolve(file, "STIGMER_LLM_PROVIDER=anthropic").Llm);
        Assert.Equal("qwen3:8b", Resolve(file, "STIGMER_LLM_PROVIDER=ollama").Llm.Model);
    }

    [Fact]
    public void A_file_without_a_provider_speaks_of_Ollama()
    {
        var file = Yaml("llm.model: qwen3:8b");
        Assert.Equal("gpt-6.2-sol", Resolve(file, "STIGMER_LLM_PROVIDER=openai").Llm.Model);
        Assert.Equal("qwen3:8b", Resolve(file).Llm.Model);
    }

    [Fact]
    public void A_flag_leaves_the_environments_model_behind_and_its_own_model_counts()
    {
        const string env = "STIGMER_LLM_PROVIDER=anthropic; STIGMER_LLM_MODEL=claude-opus-5-5";
        Assert.Equal("demo", Resolve("", env, new Flags(Provider: "demo")).Llm.Model);
        Assert.Equal(("llama4", "--model"), Shown(Resolve("", env, new Flags(Provider: "ollama", Model: "llama4")), "llm.model"));
        Assert.Equal("claude-opus-5-5", Resolve("", env, new Flags(Provider: "anthropic")).Llm.Model);
    }

    [Fact]
    public void Ollama_is_found_also_where_another_provider_is_in_force()
    {
        Assert.Equal("http://gpu:11434", Resolve(Yaml("llm.base_url: http://gpu:11434"), "STIGMER_LLM_PROVIDER=demo").OllamaBaseUrl);
        Assert.Equal("http://gpu2:11434", Resolve("", "STIGMER_LLM_PROVIDER=demo; OLLAMA_HOST=gpu2").OllamaBaseUrl);
    }

    [Theory]
    [InlineData("", "", null, "Managed", true)]
    [InlineData("temporal.managed: true", "", null, "Managed", true)]
    [InlineData("", "", "--managed", "Managed", false)]
    [InlineData("", "", "--embedded", "Embedded", false)]
    [InlineData("temporal.embedded: true", "", null, "Embedded", false)]
    [InlineData("temporal.embedded: true; temporal.managed: true", "", null, "Embedded", false)]
    [InlineData("temporal.embedded: true", "", "--managed", "Managed", false)]
    [InlineData("temporal.managed: false", "", null, "External", false)]
    [InlineData("temporal.address: t:1", "", null, "External", false)]
    [InlineData("temporal.address: t:1; temporal.managed: false", "", null, "External", false)]
    [InlineData("temporal.embedded: false; temporal.managed: false", "", null, "External", false)]
    [InlineData("", "TEMPORAL_SERVICE_ADDRESS=t:1", null, "External", false)]
    [InlineData("temporal.embedded: true", "TEMPORAL_SERVICE_ADDRESS=t:1", null, "External", false)]
    [InlineData("temporal.address: t:1", "", "--embedded", "Embedded", false)]
    [InlineData("", "TEMPORAL_SERVICE_ADDRESS=t:1", "--embedded", "Embedded", false)]
    [InlineData("", "TEMPORAL_SERVICE_ADDRESS=t:1", "--managed", "Managed", false)]
    public void The_engine_is_chosen_by_flag_then_environment_then_file(string file, string env, string? flag, string mode, bool isDefault)
    {
        var temporal = Resolve(file.Length == 0 ? "" : Yaml(file), env, new Flags(Embedded: flag == "--embedded", Managed: flag == "--managed")).Temporal;
        Assert.Equal((Enum.Parse<TemporalMode>(mode), isDefault), (temporal.Mode, temporal.IsDefault));
    }

    [Fact]
    public void An_external_Temporal_without_an_address_is_on_this_machine()
    {
        Assert.Equal("localhost:7233", Resolve(Yaml("temporal.managed: false")).Temporal.Address.ToString());
        Assert.Equal("t:2", Resolve(Yaml("temporal.address: t:1"), "TEMPORAL_SERVICE_ADDRESS=t:2").Temporal.Address.ToString());
    }

    [Fact]
    public void A_flag_against_the_environment_is_said_in_one_line() => Assert.Equal(
        "--embedded comes before TEMPORAL_SERVICE_ADDRESS=t:1, which is not used",
        Assert.Single(Resolve("", "TEMPORAL_SERVICE_ADDRESS=t:1", new Flags(Embedded: true)).Warnings));

    [Theory]
    [InlineData("temporal.embedded: true; temporal.address: t:1", "/h/.stigmer/config.yaml:4:17: temporal.embedded is true, and temporal.address on line 5 names another Temporal: keep one of the two")]
    [InlineData("temporal.embedded: true; temporal.managed: false", "/h/.stigmer/config.yaml:4:17: temporal.embedded is true, and temporal.managed on line 5 is false, which means an external Temporal: keep one of the two")]
    [InlineData("temporal.managed: true; temporal.address: t:1", "/h/.stigmer/config.yaml:4:16: temporal.managed is true, and temporal.address on line 5 names another Temporal: keep one of the two")]
    [InlineData("temporal.port: 50051", "/h/.stigmer/config.yaml:4:13: temporal.port takes the port 50051 for both the API and Temporal: change one of the two")]
    [InlineData("endpoint: localhost:7233", "/h/.stigmer/config.yaml:3:15: endpoint takes the port 7233 for both the API and Temporal: change one of the two")]
    [InlineData("temporal.ui: true; temporal.ui_port: 7233", "/h/.stigmer/config.yaml:5:16: temporal.ui_port takes the port 7233, which is taken already: set temporal.ui_port to another")]
    [InlineData("llm.provider: anthropic; llm.temperature: 1.5", "/h/.stigmer/config.yaml:5:20: llm.temperature is \"1.5\": for Anthropic it must be a number from 0 to 1.0")]
    [InlineData("temporal.version: 1.26.0",
        "/h/.stigmer/config.yaml:4:16: temporal.version 1.26.0 is the version of a Temporal server, and which release of the CLI contains it is not known: it must be a release of Temporal's CLI, such as 1.8.2, or stand without a value for the default, 1.8.2")]
    public void A_contradiction_in_the_file_is_refused(string file, string expected) => Assert.Equal(expected, Refused(Yaml(file)).What);

    [Fact]
    public void An_error_in_the_file_stops_also_what_flags_and_environment_override() =>
        Refused(Yaml("temporal.embedded: true; temporal.address: t:1"), "TEMPORAL_SERVICE_ADDRESS=t:1", new Flags(Managed: true));

    [Theory]
    [InlineData("STIGMER_LLM_PROVIDER=gemini", "STIGMER_LLM_PROVIDER is \"gemini\": it must be ollama, anthropic, openai or demo")]
    [InlineData("STIGMER_LLM_MAX_TOKENS=many", "STIGMER_LLM_MAX_TOKENS is \"many\": it must be a whole number from 1 to 1000000")]
    [InlineData("STIGMER_LLM_BASE_URL=http://me:secret@host", "STIGMER_LLM_BASE_URL must be an http:// or https:// address without a user name, a ? or a #")]
    [InlineData("TEMPORAL_SERVICE_ADDRESS=127.0.0.1:50051",
        "TEMPORAL_SERVICE_ADDRESS is 127.0.0.1:50051, where both the API and an external Temporal would be: for the engine inside stigmer-server say --embedded or temporal.embedded: true")]
    [InlineData("OLLAMA_HOST=ftp://x", "OLLAMA_HOST must be an address, such as 127.0.0.1:11434 or http://gpu.example.com:11434")]
    [InlineData("TEMPORAL_SERVICE_ADDRESS=temporal.example.com", "TEMPORAL_SERVICE_ADDRESS is \"temporal.example.com\": it must be HOST:PORT, such as localhost:7233")]
    [InlineData("TEMPORAL_SERVICE_ADDRESS=t:1; TEMPORAL_TLS=maybe", "TEMPORAL_TLS is \"maybe\": it must be true or false")]
    [InlineData("TEMPORAL_SERVICE_ADDRESS=t:1; TEMPORAL_TLS_CLIENT_CERT_DATA=x", "TEMPORAL_TLS_CLIENT_CERT_DATA stands without its private key (tls.key_file): set both or neither")]
    [InlineData("TEMPORAL_SERVICE_ADDRESS=t:1; TEMPORAL_TLS_SERVER_CA_CERT_DATA=x; TEMPORAL_TLS_SERVER_CA_CERT_PATH=/y",
        "TEMPORAL_TLS_SERVER_CA_CERT_DATA and TEMPORAL_TLS_SERVER_CA_CERT_PATH are both set: keep one of the two")]
    public void A_variable_that_is_not_allowed_is_named_with_what_is(string env, string expected) => Assert.Equal(expected, Refused("", env).What);

    [Fact]
    public void A_persons_own_Temporal_variables_do_not_concern_a_managed_or_embedded_engine()
    {
        var temporal = Resolve("", "TEMPORAL_NAMESPACE=theirs; TEMPORAL_API_KEY=k; TEMPORAL_TLS=maybe").Temporal;
        Assert.Equal(("default", null, null), (temporal.Namespace, temporal.ApiKey, temporal.Tls));
    }

    [Theory]
    [InlineData("", "", false)]
    [InlineData("", "; TEMPORAL_API_KEY=k", true)]
    [InlineData("", "; TEMPORAL_TLS=true", true)]
    [InlineData("", "; TEMPORAL_TLS=1", true)]
    [InlineData("", "; TEMPORAL_TLS=false; TEMPORAL_API_KEY=k", false)]
    [InlineData("", "; TEMPORAL_TLS_SERVER_CA_CERT_DATA=x", true)]
    [InlineData("temporal.tls: { server_name: t }", "", true)]
    [InlineData("temporal.tls: { enabled: true }", "", true)]
    [InlineData("temporal.tls: { enabled: false, server_name: t }", "", false)]
    [InlineData("temporal.tls: { enabled: false }", "; TEMPORAL_API_KEY=k", true)]
    [InlineData("temporal.tls: { enabled: true }", "; TEMPORAL_TLS=false", false)]
    public void TLS_is_on_where_something_needs_it_and_nothing_says_otherwise(string file, string env, bool on) =>
        Assert.Equal(on, Resolve(file.Length == 0 ? "" : Yaml(file), "TEMPORAL_SERVICE_ADDRESS=t:1" + env).Temporal.Tls is not null);

    [Fact]
    public void A_key_without_TLS_beyond_this_machine_is_a_warning()
    {
        Assert.Contains("readable by anyone", Assert.Single(Resolve("", "TEMPORAL_SERVICE_ADDRESS=t:1; TEMPORAL_TLS=false; TEMPORAL_API_KEY=k").Warnings), StringComparison.Ordinal);
        Assert.Empty(Resolve("", "TEMPORAL_SERVICE_ADDRESS=localhost:1; TEMPORAL_TLS=false; TEMPORAL_API_KEY=k").Warnings);
    }

    [Fact]
    public void Temporals_key_is_read_from_the_file_that_is_named_and_from_the_environment_first()
    {
        var folder = Directory.CreateTempSubdirectory();
        try
        {
            var path = Path.Combine(folder.FullName, "key");
            File.WriteAllText(path, "  from-file\n");
            var file = Yaml($"temporal.address: t:1; temporal.api_key_file: {path}");
            Assert.Equal("from-file", Resolve(file).Temporal.ApiKey?.Reveal());
            Assert.NotNull(Resolve(file).Temporal.Tls);
            Assert.Equal("from-env", Resolve(file, "TEMPORAL_API_KEY=from-env").Temporal.ApiKey?.Reveal());
            File.Delete(path);
            Assert.Equal(path + " cannot be read", Refused(file).What);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public void A_certificate_that_is_not_there_is_refused() => Assert.Equal(
        "/no/such/ca.pem cannot be read", Refused("", "TEMPORAL_SERVICE_ADDRESS=t:1; TEMPORAL_TLS_SERVER_CA_CERT_PATH=/no/such/ca.pem").What);

    [Fact]
    public void Cloud_needs_to_know_where()
    {
        const string cloud = "backend:\n  type: cloud\n";
        Assert.Equal("/h/.stigmer/config.yaml:2:9: backend.type is cloud, and backend.cloud.endpoint does not say where: it must be HOST:PORT, such as localhost:7233", Refused(cloud).What);
        var settings = Resolve(cloud + "  cloud:\n    endpoint: stigmer.example.com:443\n", "STIGMER_TOKEN= t ");
        Assert.Equal(BackendType.Cloud, settings.Backend);
        Assert.Equal(("stigmer.example.com:443", "t"), (settings.Cloud.Endpoint.ToString(), settings.Cloud.Token?.Reveal()));
    }

    [Fact]
    public void A_servers_version_is_mapped_and_said() => Assert.Equal(
        "/h/.stigmer/config.yaml:4:16: temporal.version 1.25.1 is the version of a Temporal server: the CLI's release 1.1.1, which contains it, is used",
        Assert.Single(Resolve(Yaml("temporal.version: 1.25.1")).Warnings));

    [Fact]
    public void A_servers_version_is_not_worth_a_word_where_nothing_is_downloaded() =>
        Assert.Empty(Resolve(Yaml("temporal.version: 1.25.1"), "", new Flags(Embedded: true)).Warnings);

    [Theory]
    [InlineData("claude-sonnet-4.5")]
    [InlineData("claude-sonnet-4-5")]
    public void A_model_that_retires_is_named_with_its_successor(string model)
    {
        var settings = Resolve("", $"STIGMER_LLM_PROVIDER=anthropic; STIGMER_LLM_MODEL={model}");
        Assert.Equal("claude-sonnet-4-5", settings.Llm.Model);
        Assert.Equal("Anthropic retires the model claude-sonnet-4-5 on 2026-11-30: take claude-sonnet-5-5 instead", Assert.Single(settings.Warnings));
        Assert.Equal(settings.Llm.Warning, settings.Warnings[0]);
    }

    [Fact]
    public void A_compatible_server_may_keep_a_name_for_as_long_as_it_likes() =>
        Assert.Empty(Resolve("", "STIGMER_LLM_PROVIDER=openai; STIGMER_LLM_BASE_URL=http://vllm:8000/v1; STIGMER_LLM_MODEL=gpt-4").Warnings);

    [Fact]
    public void No_default_retires() => Assert.All(Enum.GetValues<LlmProvider>(), provider =>
        Assert.Null(provider.Retirement(provider.DefaultModel(), provider.DefaultBaseUrl())));

    [Fact]
    public void All_errors_are_said_at_once()
    {
        var failure = Refused(Yaml("endpoint: here; temporal.port: abc"), "STIGMER_LLM_PROVIDER=gemini", new Flags(Embedded: true, Managed: true));
        Assert.Equal("The configuration has 4 errors", failure.What);
        Assert.Equal(4, failure.Why!.Split('\n').Length);
    }

    [Fact]
    public void Settings_do_not_show_their_secrets()
    {
        const string env = "TEMPORAL_SERVICE_ADDRESS=t:1; TEMPORAL_API_KEY=hunter2; STIGMER_TOKEN=hunter2; ANTHROPIC_API_KEY=hunter2; "
            + "TEMPORAL_TLS_CLIENT_CERT_DATA=hunter2; TEMPORAL_TLS_CLIENT_KEY_DATA=hunter2";
        var settings = Resolve("", env);
        Assert.Equal("hunter2", settings.Temporal.ApiKey?.Reveal());
        Assert.DoesNotContain("hunter2", settings.ToString() + string.Join(' ', settings.Values) + string.Join(' ', settings.Warnings), StringComparison.Ordinal);
    }

    [Fact]
    public void The_file_in_the_home_is_the_one_that_is_read()
    {
        var folder = Directory.CreateTempSubdirectory();
        try
        {
            File.WriteAllText(Path.Combine(folder.FullName, "config.yaml"), Yaml("llm.provider: demo"));
            var settings = Configuration.Resolve(Env("STIGMER_HOME=" + folder.FullName), new Flags());
            Assert.Equal((LlmProvider.Demo, Path.Combine(folder.FullName, "data")), (settings.Llm.Provider, settings.DataDir));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public void Checking_the_file_is_advised_only_where_the_file_is_wrong()
    {
        Assert.Equal("Correct it, or unset it", Refused(env: "STIGMER_LLM_PROVIDER=olama").Remedy);
        Assert.Contains("config validate", Refused(Yaml("llm.provider: olama"), "STIGMER_LLM_MAX_TOKENS=no").Remedy, StringComparison.Ordinal);
    }
}
