using Stigmer.Agents.Activities;

namespace Stigmer.Tests.Tools;

public sealed class ToolRulesTests
{
    static ToolRules Rules(string[]? allow = null, string[]? approve = null, string[]? once = null) =>
        ToolRules.Of(new Stigmer.Rpc.V1.ToolRules { Allow = { allow ?? [] }, Approve = { approve ?? [] }, Once = { once ?? [] } });

    [Fact]
    public void Without_rules_all_is_offered_writing_and_running_ask_and_running_is_never_repeated()
    {
        var rules = ToolRules.Of(null);
        Assert.All(["workspace.read", "workspace.run", "files.anything"], tool => Assert.True(rules.Offers(tool)));
        Assert.Equal([false, true, true, false], new[] { "workspace.read", "workspace.write", "workspace.run", "files.write" }.Select(rules.NeedsApproval));
        Assert.Equal([false, false, true], new[] { "workspace.read", "workspace.write", "workspace.run" }.Select(rules.Once));
    }

    [Theory]
    [InlineData("files.*", "files.read", true)]
    [InlineData("files.*", "files2.read", false)]
    [InlineData("files.*", "files.", true)]
    [InlineData("*.read_*", "files.read_all", true)]
    [InlineData("*.read_*", "files.read", false)]
    [InlineData("*a*b*", "xaxaxbx", true)]
    [InlineData("*ab", "aab", true)]
    [InlineData("a.b", "a.b", true)]
    [InlineData("a.b", "axb", false)]
    [InlineData("A.b", "a.b", false)]
    [InlineData("**", "", true)]
    public void A_star_stands_for_any_run_of_characters(string pattern, string tool, bool offered) => Assert.Equal(offered, Rules(allow: [pattern]).Offers(tool));

    [Fact]
    public void The_last_pattern_that_matches_counts()
    {
        var rules = Rules(allow: ["files.*", "!files.delete*", "files.delete_draft"]);
        Assert.Equal([true, false, true, false], new[] { "files.read", "files.delete", "files.delete_draft", "workspace.read" }.Select(rules.Offers));
    }

    [Fact]
    public void A_list_that_begins_by_taking_out_takes_out_of_everything()
    {
        var rules = Rules(allow: ["!workspace.run"]);
        Assert.Equal([false, true, true], new[] { "workspace.run", "workspace.read", "files.read" }.Select(rules.Offers));
    }

    [Fact]
    public void What_asks_by_itself_is_added_to_and_taken_out_by_name()
    {
        var rules = Rules(approve: ["files.write_*", "!workspace.run"], once: ["mail.send", "!workspace.run"]);
        Assert.Equal([true, true, false, false], new[] { "files.write_x", "workspace.write", "workspace.run", "files.read" }.Select(rules.NeedsApproval));
        Assert.Equal([true, false], new[] { "mail.send", "workspace.run" }.Select(rules.Once));
    }
}
