using CsCheck;
using Stigmer.Agents.Tools;

namespace Stigmer.Tests.Llm;

public class ToolNamesTests
{
    [Fact]
    public void Names_take_the_form_that_providers_allow_and_come_back()
    {
        var names = new ToolNames(["workspace.list", "a.b_c", "a_b.c", "größe"]);
        Assert.Equal("workspace_list", names.ToWire("workspace.list"));
        Assert.Equal("a_b_c", names.ToWire("a.b_c"));
        Assert.Equal("a_b_c_2", names.ToWire("a_b.c"));
        Assert.Equal("a_b.c", names.ToAgent("a_b_c_2"));
        Assert.Equal("workspace.list", names.ToAgent("workspace.list"));
        Assert.Equal("unknown", names.ToAgent("unknown"));
    }

    [Fact]
    public void Every_name_is_allowed_unique_and_comes_back() =>
        Gen.String[Gen.Char["ab._-ü"], 0, 70].HashSet[0, 30].Sample(given =>
        {
            var names = new ToolNames(given);
            var wire = given.Select(names.ToWire).ToList();
            Assert.Equal(given.Count, wire.Distinct().Count());
            Assert.All(wire, name => Assert.Matches("^[a-zA-Z0-9_-]{1,64}$", name));
            Assert.All(given, name => Assert.Equal(name, names.ToAgent(names.ToWire(name))));
        });
}
