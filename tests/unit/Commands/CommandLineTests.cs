using System.Text.Json;

namespace Stigmer.Tests.Commands;

public class CommandLineTests
{
    [Theory]
    [InlineData("start", "stigmer local start")]
    [InlineData("stop", "stigmer local stop")]
    [InlineData("status", "stigmer local status")]
    [InlineData("restart", "stigmer local restart")]
    [InlineData("logs", "stigmer local logs")]
    [InlineData("up", "stigmer local")]
    [InlineData("down", "stigmer local stop")]
    [InlineData("ps", "stigmer local status")]
    public async Task A_near_miss_is_answered_with_the_command_that_was_meant(string typed, string meant)
    {
        var (code, output, error) = await Stigmer(typed, "--timeout", "5s");
        Assert.Equal(ExitCode.Usage, code);
        Assert.Equal("", output);
        Assert.Contains($"Did you mean `{meant}`?", error);
    }

    [Fact]
    public async Task Alone_it_prints_help()
    {
        var (code, output, error) = await Stigmer();
        Assert.Equal((ExitCode.Done, ""), (code, error));
        Assert.Contains("Usage:", output);
    }

    [Fact]
    public async Task Help_of_a_command_is_what_its_own_help_option_prints() =>
        Assert.Equal(await Stigmer("version", "--help"), await Stigmer("help", "version"));

    [Theory]
    [InlineData("versoin")]
    [InlineData("version", "--jsn")]
    [InlineData("version", "superfluous")]
    [InlineData("version", "--quiet=yes")]
    [InlineData("help", "nonsense")]
    public async Task Wrong_usage_is_exit_2_and_one_sentence_on_standard_error(params string[] args)
    {
        var (code, output, error) = await Stigmer(args);
        Assert.Equal((ExitCode.Usage, ""), (code, output));
        Assert.Matches("^(✗|error) ", error);
    }

    [Theory]
    [InlineData("There is nothing to say")]
    [InlineData("would send the word \"list\" to a model", "list")]
    [InlineData("`stigmer run` has no option --bogus", "hi", "--bogus")]
    [InlineData("Did you mean --workspace?", "hi", "--worksapce", "/")]
    [InlineData("There is no provider \"olama\"", "hi", "--provider", "olama")]
    [InlineData("--max-steps is at least 1", "hi", "--max-steps", "0")]
    [InlineData("\"many\" is no number for --max-steps", "hi", "--max-steps", "many")]
    [InlineData("\"99999999999\" is no number for --max-steps", "hi", "--max-steps", "99999999999")]
    [InlineData("\"soon\" is no duration for --timeout", "hi", "--timeout", "soon")]
    [InlineData("/nowhere does not exist", "hi", "--workspace", "/nowhere")]
    [InlineData("--detach takes no value", "hi", "--detach=yes")]
    public async Task A_run_that_cannot_begin_is_wrong_usage(string said, params string[] args)
    {
        var (code, output, error) = await Stigmer(["run", .. args]);
        Assert.Equal((ExitCode.Usage, ""), (code, output));
        Assert.Contains(said, error);
    }

    [Fact]
    public async Task A_failure_of_a_command_that_streams_is_an_event()
    {
        var (code, output, _) = await Stigmer("run", "--json", "list");
        Assert.Equal(ExitCode.Usage, code);
        Assert.StartsWith("{\"type\":\"error\",\"error\":{\"what\":", output);
    }

    [Fact]
    public async Task A_bare_group_prints_its_help() => Assert.Equal(await Stigmer("runs", "--help"), await Stigmer("runs"));

    [Fact]
    public async Task Wrong_usage_with_json_is_an_error_document()
    {
        var (code, output, error) = await Stigmer("versoin", "--json");
        Assert.Equal((ExitCode.Usage, ""), (code, error));
        var parts = JsonDocument.Parse(output).RootElement.GetProperty("error");
        Assert.Equal("There is no command `stigmer versoin`", parts.GetProperty("what").GetString());
        Assert.Equal(JsonValueKind.Null, parts.GetProperty("why").ValueKind);
        Assert.Equal("Did you mean `stigmer version`?", parts.GetProperty("remedy").GetString());
    }

    [Fact]
    public async Task The_version_is_one_document()
    {
        var (code, output, _) = await Stigmer("version", "--json");
        Assert.Equal(ExitCode.Done, code);
        Assert.Equal(["version", "commit", "date", "target"], JsonDocument.Parse(output).RootElement.EnumerateObject().Select(p => p.Name));
    }

    static async Task<(int Code, string Output, string Error)> Stigmer(params string[] args)
    {
        using var output = new StringWriter { NewLine = "\n" };
        using var error = new StringWriter { NewLine = "\n" };
        var code = await Program.Run(args, output, error);
        return (code, output.ToString(), error.ToString());
    }
}
