using System.Text.Json;
using Stigmer.Commands;

namespace Stigmer.Tests.Commands;

public sealed class ConfigCommandTests : IDisposable
{
    readonly DirectoryInfo home = Directory.CreateTempSubdirectory();

    string Config => Path.Combine(home.FullName, "config.yaml");

    Func<string, string?> Env(params (string Name, string Value)[] set) =>
        name => name == "STIGMER_HOME" ? home.FullName : set.FirstOrDefault(pair => pair.Name == name).Value;

    public void Dispose() => home.Delete(recursive: true);

    [Fact]
    public void Show_prints_key_value_and_origin_in_columns_and_warnings_beside_them()
    {
        File.WriteAllText(Config, "backend:\n  local:\n    llm:\n      provider: demo\n      modle: x\n");
        var screen = new Screen();
        Assert.Equal(ExitCode.Done, ConfigShow.Run(Env(("ANTHROPIC_API_KEY", "hunter2")), screen.Terminal));
        var lines = screen.Out.Split('\n').Select(line => line.Split("  ", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)).ToList();
        Assert.Contains(["llm.provider", "demo", "config.yaml:4"], lines);
        Assert.Contains(["llm.base_url", "-", "default"], lines);
        Assert.Contains(["ANTHROPIC_API_KEY", "set", "environment variable ANTHROPIC_API_KEY"], lines);
        Assert.Equal($"⚠ {Config}:5:7: \"modle\" is not a known key and does nothing: did you mean model?\n", screen.Error);
        Assert.DoesNotContain("hunter2", screen.Out, StringComparison.Ordinal);
    }

    [Fact]
    public void Show_as_JSON_is_one_document_with_null_where_there_is_no_value()
    {
        var screen = new Screen(json: true);
        ConfigShow.Run(Env(("STIGMER_LLM_PROVIDER", "demo")), screen.Terminal);
        var values = JsonDocument.Parse(screen.Out).RootElement.GetProperty("values").EnumerateArray()
            .ToDictionary(value => value.GetProperty("key").GetString()!, value => (value.GetProperty("value").GetString(), value.GetProperty("origin").GetString()));
        Assert.Equal(("demo", "environment variable STIGMER_LLM_PROVIDER"), values["backend.local.llm.provider"]);
        Assert.Equal((null, "default"), values["backend.local.llm.base_url"]);
        Assert.All(Stigmer.Config.Schema.Keys, key => Assert.Contains(key.Path, values.Keys));
    }

    [Fact]
    public void Validate_says_yes_to_a_valid_file_and_to_none()
    {
        var absent = new Screen();
        Assert.Equal(ExitCode.Done, ConfigValidate.Run(null, Env(), TextReader.Null, absent.Terminal));
        Assert.Equal($"✓ {Config} does not exist: every value has its default\n", absent.Out);
        File.WriteAllText(Config, "backend:\n  type: local\n");
        var present = new Screen();
        Assert.Equal(ExitCode.Done, ConfigValidate.Run(null, Env(), TextReader.Null, present.Terminal));
        Assert.Equal($"✓ {Config} is valid\n", present.Out);
    }

    [Fact]
    public void Validate_judges_the_file_alone()
    {
        File.WriteAllText(Config, "backend:\n  local:\n    temporal:\n      embedded: true\n      managed: false\n");
        var failure = Assert.Throws<Failure>(() => ConfigValidate.Run(null, Env(), TextReader.Null, new Screen().Terminal));
        Assert.StartsWith($"{Config}:4:17: temporal.embedded is true, and", failure.What, StringComparison.Ordinal);
        File.WriteAllText(Config, "");
        ConfigValidate.Run(null, Env(("STIGMER_LLM_PROVIDER", "gemini")), TextReader.Null, new Screen().Terminal);
    }

    [Fact]
    public void Validate_takes_another_file_and_standard_input()
    {
        var other = Path.Combine(home.FullName, "other.yaml");
        Assert.Equal(ExitCode.Usage, Assert.Throws<Failure>(() => ConfigValidate.Run(other, Env(), TextReader.Null, new Screen().Terminal)).ExitCode);
        File.WriteAllText(other, "backend:\n\ttype: local\n");
        Assert.StartsWith($"{other}:2:1: a tab", Assert.Throws<Failure>(() => ConfigValidate.Run(other, Env(), TextReader.Null, new Screen().Terminal)).What, StringComparison.Ordinal);
        using var input = new StringReader("backend: 1\n");
        Assert.StartsWith("standard input:1:10: backend must be", Assert.Throws<Failure>(() => ConfigValidate.Run("-", Env(), input, new Screen().Terminal)).What, StringComparison.Ordinal);
    }

    [Fact]
    public void Path_names_the_file_whether_or_not_it_is_there()
    {
        var screen = new Screen(quiet: true);
        ConfigPath.Run(Env(), screen.Terminal);
        Assert.Equal(Config + "\n", screen.Out);
        var json = new Screen(json: true);
        ConfigPath.Run(Env(), json.Terminal);
        Assert.False(JsonDocument.Parse(json.Out).RootElement.GetProperty("exists").GetBoolean());
    }

    [Fact]
    public void Get_prints_what_is_in_force_and_knows_a_near_miss()
    {
        var screen = new Screen();
        ConfigGet.Run("llm.provider", Env(("STIGMER_LLM_PROVIDER", "demo")), screen.Terminal);
        ConfigGet.Run("backend.local.temporal.port", Env(), screen.Terminal);
        ConfigGet.Run("temporal.api_key_file", Env(), screen.Terminal);
        Assert.Equal("demo\n7233\n", screen.Out);
        foreach (var (typed, hint) in new[] { ("llm.modle", "Did you mean llm.model?"), ("port", "Did you mean temporal.port?"), ("llm.api_key", "Set ANTHROPIC_API_KEY,") })
        {
            var failure = Assert.Throws<Failure>(() => ConfigGet.Run(typed, Env(), screen.Terminal));
            Assert.Equal(ExitCode.Usage, failure.ExitCode);
            Assert.StartsWith(hint, failure.Remedy, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Set_writes_only_what_is_valid_and_keeps_the_rest_of_the_file()
    {
        var screen = new Screen();
        Assert.Equal(ExitCode.Done, ConfigSet.Run("temporal.port", "0", Env(), screen.Terminal));
        File.AppendAllText(Config, "# the end\n");
        Assert.Equal(ExitCode.Done, ConfigSet.Run("llm.provider", "demo", Env(("STIGMER_LLM_PROVIDER", "ollama")), screen.Terminal));
        var text = "backend:\n  local:\n    temporal:\n      port: 0\n    llm:\n      provider: demo\n# the end\n";
        Assert.Equal(text, File.ReadAllText(Config));
        Assert.Equal("⚠ STIGMER_LLM_PROVIDER is set in the environment and comes first\n", screen.Error);
        foreach (var (key, value) in new[] { ("temporal.port", "many"), ("temporal.port", "70000"), ("llm.api_key", "x"), ("llm", "x"), ("backend.type", "cloud") })
        {
            Assert.Equal(ExitCode.Usage, Assert.Throws<Failure>(() => ConfigSet.Run(key, value, Env(), screen.Terminal)).ExitCode);
        }
        Assert.Equal(text, File.ReadAllText(Config));
        if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Config));
    }

    [Fact]
    public async Task Init_writes_a_file_once()
    {
        var cancel = TestContext.Current.CancellationToken;
        Assert.Equal(ExitCode.Usage, (await Assert.ThrowsAsync<Failure>(() => ConfigInit.Run(true, Env(), new Screen().Terminal, cancel))).ExitCode);
        Assert.Equal(ExitCode.Done, await ConfigInit.Run(false, Env(), new Screen().Terminal, cancel));
        Assert.Equal(Stigmer.Config.ConfigTemplate.Text, File.ReadAllText(Config));
        Assert.Equal(ExitCode.Failed, (await Assert.ThrowsAsync<Failure>(() => ConfigInit.Run(false, Env(), new Screen().Terminal, cancel))).ExitCode);
    }

    [Theory]
    [InlineData("approve,cancel,deny,get,list,resume,send,watch", "runs", ".")]
    [InlineData("--agent", "run", ".--ag")]
    [InlineData("anthropic,demo,ollama,openai", "run", "--provider", ".")]
    [InlineData("waiting", "runs", "list", "--status", ".wa")]
    [InlineData("temporal.port", "config", "get", ".temporal.po")]
    [InlineData("bash,fish,powershell,zsh", "completion", ".")]
    [InlineData("", "run", "--", ".ru")]
    [InlineData("", "runs", "get", ".")]
    public void A_word_is_completed_by_what_may_stand_there(string expected, params string[] words) =>
        Assert.Equal(expected, string.Join(',', Completion.Candidates(Program.Root(), words)));
}
