using Stigmer.Agents.Tools.Mcp;

namespace Stigmer.Tests.Tools;

public sealed class PlaceholdersTests
{
    [Theory]
    [InlineData("a ${A} b", "a one b")]
    [InlineData("${A}${A}", "oneone")]
    [InlineData("${", "${")]
    [InlineData("$A ${A", "$A ${A")]
    [InlineData("${no name} ${A}", "${no name} one")]
    [InlineData("${1A}", "${1A}")]
    [InlineData("${E}.", ".")]
    public void A_variable_in_braces_is_filled_in_and_nothing_else(string text, string filled)
    {
        var placeholders = new Placeholders(name => name switch { "A" => "one", "E" => "", _ => null });
        Assert.Equal(filled, placeholders.Fill(text));
        Assert.Empty(placeholders.Missing);
    }

    [Fact]
    public void What_is_not_set_is_known_by_name_and_what_was_filled_in_can_be_hidden()
    {
        var placeholders = new Placeholders(name => name == "KEY" ? "long-enough" : null);
        placeholders.Fill("${B} ${KEY} ${C} ${B}");
        Assert.Equal(["B", "C"], placeholders.Missing);
        Assert.Equal("it said ***!", placeholders.Hide("it said long-enough!"));
    }
}
