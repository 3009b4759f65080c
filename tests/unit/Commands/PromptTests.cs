using Stigmer.Commands;

namespace Stigmer.Tests.Commands;

public class PromptTests
{
    [Theory]
    [InlineData(new[] { "What", "is", "here?" }, 0, "What is here?", false)]
    [InlineData(new[] { "-" }, 0, "", true)]
    [InlineData(new[] { "Review this:", "-" }, 0, "Review this:", true)]
    [InlineData(new[] { "5", "-", "3" }, 0, "5 - 3", false)]
    [InlineData(new[] { "-" }, 1, "-", false)]
    [InlineData(new[] { "-x", "list" }, 2, "-x list", false)]
    [InlineData(new[] { "list" }, 1, "list", false)]
    [InlineData(new[] { "list", "files" }, 0, "list files", false)]
    [InlineData(new[] { "@notes.txt" }, 0, "@notes.txt", false)]
    [InlineData(new[] { "" , "a" }, 0, " a", false)]
    public void Words_are_joined_and_a_last_dash_stands_for_standard_input(string[] words, int literal, string text, bool stdin) =>
        Assert.Equal(new Prompt(text, stdin), Parse(words, literal));

    [Theory]
    [InlineData("list", "list")]
    [InlineData("get", "get")]
    [InlineData("view", "get")]
    [InlineData("watch", "watch")]
    [InlineData("cancel", "cancel")]
    [InlineData("resume", "resume")]
    public void A_prompt_that_is_a_verb_of_runs_is_answered_and_not_sent(string typed, string meant)
    {
        var failure = Assert.Throws<Failure>(() => Parse([typed], 0));
        Assert.Equal((ExitCode.Usage, $"Did you mean `stigmer runs {meant}`? As a prompt: `stigmer run -- {typed}`"), (failure.ExitCode, failure.Remedy));
    }

    [Theory]
    [InlineData]
    [InlineData("")]
    [InlineData(" ", "\t")]
    public void No_prompt_is_wrong_usage(params string[] words) => Assert.Equal(ExitCode.Usage, Assert.Throws<Failure>(() => Parse(words, 0)).ExitCode);

    [Fact]
    public void A_word_that_looks_like_an_option_is_none() => Assert.Equal("option --bogus", Assert.Throws<Failure>(() => Parse(["hi", "--bogus"], 0)).What);

    [Theory]
    [InlineData("", "a\nb\n\n", "a\nb")]
    [InlineData("Review:", "diff\r\n", "Review: diff")]
    [InlineData("Review:", "", "Review: ")]
    public void Standard_input_takes_the_place_of_its_dash(string words, string stdin, string whole) =>
        Assert.Equal(whole, new Prompt(words, ReadsStdin: true).Complete(stdin));

    [Fact]
    public void Nothing_at_all_on_standard_input_is_wrong_usage() =>
        Assert.Equal(ExitCode.Usage, Assert.Throws<Failure>(() => new Prompt("", ReadsStdin: true).Complete("\n")).ExitCode);

    static Prompt Parse(string[] words, int literal) => Prompt.Parse(words, literal, word => new Failure($"option {word}", exitCode: ExitCode.Usage));
}
