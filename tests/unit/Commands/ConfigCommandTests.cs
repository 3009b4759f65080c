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
}
