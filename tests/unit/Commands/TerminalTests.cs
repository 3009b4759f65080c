using System.Text.Json;
using Stigmer.Commands;

namespace Stigmer.Tests.Commands;

public class TerminalTests
{
    [Theory]
    [InlineData(null, null, null, true)]
    [InlineData("", "", "", true)]
    [InlineData(null, null, "C", false)]
    [InlineData(null, null, "POSIX", false)]
    [InlineData(null, null, "en_US", false)]
    [InlineData(null, null, "en_US.UTF-8", true)]
    [InlineData(null, null, "C.utf8", true)]
    [InlineData(null, null, "de_DE.UTF-8@euro", true)]
    [InlineData(null, null, "de_DE.ISO-8859-1", false)]
    [InlineData("C", "en_US.UTF-8", "en_US.UTF-8", false)]
    [InlineData("", "en_US.UTF-8", "C", true)]
    [InlineData(null, "C", "en_US.UTF-8", false)]
    public void Symbols_follow_the_first_locale_variable_that_is_set(string? all, string? type, string? lang, bool unicode)
    {
        var environment = new Dictionary<string, string?> { ["LC_ALL"] = all, ["LC_CTYPE"] = type, ["LANG"] = lang };
        Assert.Equal(unicode, TerminalTraits.LocaleIsUtf8(name => environment.GetValueOrDefault(name)));
    }

    [Theory]
    [InlineData(null, null, true)]
    [InlineData("", "xterm", true)]
    [InlineData("1", "xterm", false)]
    [InlineData(null, "dumb", false)]
    public void Colour_is_forbidden_by_NO_COLOR_and_by_a_dumb_terminal(string? noColor, string? term, bool allowed) =>
        Assert.Equal(allowed, TerminalTraits.ColorAllowed(name => name == "NO_COLOR" ? noColor : name == "TERM" ? term : null));

    [Fact]
    public void Without_a_UTF8_locale_the_symbols_are_words()
    {
        var screen = new Screen(unicode: false);
        screen.Terminal.Ok("done");
        screen.Terminal.Warn("careful");
        screen.Terminal.Fail(new Failure("It broke", "a reason", "a remedy"));
        Assert.Equal("ok done\n", screen.Out);
        Assert.Equal("warning careful\nerror It broke\n  a reason\n  a remedy\n", screen.Error);
        Assert.Equal("-", screen.Terminal.RuleSymbol);
    }

    [Fact]
    public void Colour_is_used_on_a_terminal_only()
    {
        var terminal = new Screen(outIsTerminal: true, errorIsTerminal: true, mayColor: true);
        terminal.Terminal.Ok("done");
        Assert.Equal("\e[32m✓\e[0m done\n", terminal.Out);

        var pipe = new Screen(outIsTerminal: false, errorIsTerminal: false, mayColor: true);
        pipe.Terminal.Ok("done");
        pipe.Terminal.FaintNote("note");
        Assert.Equal("✓ done\n", pipe.Out);
        Assert.Equal("note\n", pipe.Error);
    }

    [Fact]
    public void Quiet_leaves_errors_and_asked_for_data()
    {
        var screen = new Screen(quiet: true);
        screen.Terminal.Ok("done");
        screen.Terminal.Say("Stopping...");
        screen.Terminal.Note("note");
        screen.Terminal.Warn("careful");
        screen.Terminal.Line("data");
        screen.Terminal.Fail(new Failure("It broke"));
        Assert.Equal("data\n", screen.Out);
        Assert.Equal("✗ It broke\n", screen.Error);
    }

    [Fact]
    public void With_json_standard_output_carries_documents_alone_and_nobody_is_asked()
    {
        var screen = new Screen(json: true, inIsTerminal: true, errorIsTerminal: true);
        screen.Terminal.Ok("done");
        screen.Terminal.Say("Stopping...");
        Assert.Equal("", screen.Out);
        Assert.False(screen.Terminal.CanPrompt);
    }

    [Fact]
    public void A_document_is_ASCII_whatever_its_text()
    {
        var line = Terminal.JsonLine(new ErrorDocument(null, new ErrorParts("Größe 😀\n", null, "✓")), ErrorJson.Default.ErrorDocument);
        Assert.All(line, c => Assert.InRange(c, '\n', '~'));
        Assert.EndsWith("}\n", line);
        Assert.Equal("Größe 😀\n", JsonDocument.Parse(line).RootElement.GetProperty("error").GetProperty("what").GetString());
        Assert.Contains("\"why\":null", line);
    }

    [Theory]
    [InlineData("plain\ttext\n", "plain\ttext\n")]
    [InlineData("\e]0;title\a", "^[]0;title^G")]
    [InlineData("\u009b31m", "\\u009b31m")]
    [InlineData("a\r\nb\rc", "a\nbc")]
    [InlineData("\x7f", "^?")]
    [InlineData("Grüße 😀", "Grüße 😀")]
    public void Control_characters_are_made_visible(string text, string harmless) => Assert.Equal(harmless, Terminal.Harmless(text));

    [Fact]
    public void Escape_sequences_reach_a_pipe_as_they_are_and_a_terminal_never()
    {
        var pipe = new Screen();
        pipe.Terminal.Line("\e[31m");
        Assert.Equal("\e[31m\n", pipe.Out);

        var terminal = new Screen(outIsTerminal: true);
        terminal.Terminal.Line("\e[31m");
        Assert.Equal("^[[31m\n", terminal.Out);
    }
}
