using CsCheck;
using Stigmer.Config;

namespace Stigmer.Tests.Config;

public class AgentFileTests
{
    static readonly string[] Traps = ["true", "no", "null", "~", "1", "1.5", "0x1", ".5", "...", "---", "- a", "😀", "12:30", "a: b", "a #b", "<<", "=", "1e3", ".inf", "2026-01-01"];

    const string Whole = """
        name: release-notes                # a-z 0-9 -, at most 63
        description: Writes release notes from a repository's history
        instructions: |
          Read the history.

            Be brief: no "filler".
        model: { provider: anthropic, name: claude-sonnet-5-5 }      # optional
        mcp_servers:
          files: { command: npx, args: [-y, "@modelcontextprotocol/server-filesystem", "."], env: { TOKEN: "${GITHUB_TOKEN}", PORT: 8080, NONE: "" } }
          docs:  { url: https://example.com/mcp, headers: { Authorization: "Bearer ${DOCS_TOKEN}" } }
        tools:
          allow:   [ "files.*", "workspace.read" ]
          approve: [ "files.write_*", "!workspace.run" ]
          once: [ "docs.send" ]
        limits: { max_steps: 50, timeout: 30m, max_total_tokens: 500000 }
        """;

    [Fact]
    public void A_whole_file_is_read_as_it_is_meant()
    {
        var file = AgentFile.Parse(Whole, "a.yaml");
        Assert.Empty(file.Diagnostics);
        var agent = file.Agent!;
        Assert.Equal(("release-notes", LlmProvider.Anthropic, "claude-sonnet-5-5"), (agent.Name, agent.Provider, agent.Model));
        Assert.Equal("Read the history.\n\n  Be brief: no \"filler\".\n", agent.Instructions);
        var (files, docs) = (agent.Servers[0], agent.Servers[1]);
        Assert.Equal(["-y", "@modelcontextprotocol/server-filesystem", "."], files.Args);
        Assert.Equal([("NONE", ""), ("PORT", "8080"), ("TOKEN", "${GITHUB_TOKEN}")], files.Env.OrderBy(pair => pair.Key).Select(pair => (pair.Key, pair.Value)));
        Assert.Equal(("https://example.com/mcp", "Bearer ${DOCS_TOKEN}"), (docs.Url, docs.Headers["Authorization"]));
        Assert.Equal(["files.write_*", "!workspace.run"], agent.Approve);
        Assert.Equal((50, TimeSpan.FromMinutes(30), 500_000L), (agent.MaxSteps, agent.Timeout, agent.MaxTotalTokens));
    }

    [Fact]
    public void Block_style_and_the_other_clients_name_say_the_same()
    {
        var agent = AgentFile.Parse("name: a\ninstructions: b\nmcpServers:\n  files:\n    type: stdio\n    command: npx\n    args:\n      - -y\n", "a.yaml");
        Assert.Empty(agent.Diagnostics);
        Assert.Equal(["-y"], agent.Agent!.Servers.Single().Args);
    }

    [Theory]
    [InlineData("instructions: b", "a.yaml:1:1: name is missing")]
    [InlineData("name: a", "a.yaml:1:1: instructions is missing")]
    [InlineData("", "a.yaml:1:1: the document is empty")]
    [InlineData("- a", "a.yaml:1:1: the document must be a mapping with the keys name, description,")]
    [InlineData("name: Bad_Name\ninstructions: b", "a.yaml:1:7: name is \"Bad_Name\": it must be a to z, 0 to 9 and -")]
    [InlineData("name: assistant\ninstructions: b", "a.yaml:1:7: name is \"assistant\", which is the built-in agent's")]
    [InlineData("name: [a]\ninstructions: b", "a.yaml:1:7: name is a list")]
    [InlineData("name: a\ninstructions: { b: c }", "a.yaml:2:15: instructions is a mapping: it must be text")]
    [InlineData("name: a\ninstructions: b\nmodel: gpt", "a.yaml:3:8: model must be a mapping with the keys provider, name")]
    [InlineData("name: a\ninstructions: b\nmodel: { provider: claude }", "a.yaml:3:20: model.provider is \"claude\": it must be ollama, anthropic, openai or demo")]
    [InlineData("name: a\ninstructions: b\nlimits: { max_steps: 0 }", "a.yaml:3:22: limits.max_steps is \"0\": it must be a whole number from 1 to 1000000")]
    [InlineData("name: a\ninstructions: b\nlimits: { max_steps: \"5\" }", "a.yaml:3:22: limits.max_steps is text, being in quotes")]
    [InlineData("name: a\ninstructions: b\nlimits: { timeout: soon }", "a.yaml:3:20: limits.timeout is \"soon\": it must be a number and ms, s, m, h or d")]
    [InlineData("name: a\ninstructions: b\ntools: { allow: files.* }", "a.yaml:3:17: tools.allow must be a list")]
    [InlineData("name: a\ninstructions: b\ntools: { allow: [ a b ] }", "a.yaml:3:19: an item of tools.allow is \"a b\": it must be a tool's name")]
    [InlineData("name: a\ninstructions: b\nmcp_servers: { x: { } }", "a.yaml:3:19: mcp_servers.x has neither command nor url")]
    [InlineData("name: a\ninstructions: b\nmcp_servers: { x: { command: a, url: http://b } }", "a.yaml:3:19: mcp_servers.x has both command and url")]
    [InlineData("name: a\ninstructions: b\nmcp_servers: { x: { url: http://b, args: [ c ] } }", "a.yaml:3:42: mcp_servers.x.args belongs to command")]
    [InlineData("name: a\ninstructions: b\nmcp_servers: { x: { url: ftp://b } }", "a.yaml:3:26: mcp_servers.x.url must be an http:// or https:// address")]
    [InlineData("name: a\ninstructions: b\nmcp_servers: { x: { url: http://b, type: stdio } }", "mcp_servers.x is of type stdio and has a url, which is http")]
    [InlineData("name: a\ninstructions: b\nmcp_servers: { x: { url: http://b, type: sse } }", "mcp_servers.x.type is \"sse\": it must be stdio, http,")]
    [InlineData("name: a\ninstructions: b\nmcp_servers: { x.y: { command: a } }", "a.yaml:3:16: the server's name is \"x.y\": it must be letters,")]
    [InlineData("name: a\ninstructions: b\nmcp_servers: { workspace: { command: a } }", "which the built-in tools have")]
    [InlineData("name: a\ninstructions: b\nmcp_servers: { x: { command: a, env: { T: \"${1A}\" } } }", "a.yaml:3:43: mcp_servers.x.env.T has \"${1A}\"")]
    [InlineData("name: a\ninstructions: b\nmcp_servers: { x: { command: a, args: [ \"${T:-b}\" ] } }", "mcp_servers.x.args has \"${T:-b}\": between ${ and } stands a variable's name alone")]
    [InlineData("name: a\ninstructions: b\nmcp_servers: { x: { url: \"http://b/${T\" } }", "has a ${ without its }")]
    [InlineData("name: a\ninstructions: b\n---\nname: c\ninstructions: d", "a.yaml:3:1: a second document begins here")]
    [InlineData("name: a\nname: b\ninstructions: b", "a.yaml:2:1: \"name\" stands twice")]
    [InlineData("name: a\ninstructions: b\nmcp_servers: { x: { command: a } }\nmcpServers: { y: { command: a } }", "a.yaml:4:13: mcpServers is mcp_servers by another name")]
    public void What_is_wrong_is_an_error_with_its_place_and_what_is_allowed(string text, string said)
    {
        var file = AgentFile.Parse(text, "a.yaml");
        Assert.Null(file.Agent);
        Assert.Contains(said, Assert.Single(file.Diagnostics, diagnostic => diagnostic.IsError).ToString());
    }

    [Theory]
    [InlineData("instruction: c", "a.yaml:3:1: \"instruction\" is not a known key and does nothing: did you mean instructions?")]
    [InlineData("tools: { aprove: [ workspace.read ] }", "a.yaml:3:10: \"aprove\" is not a known key and does nothing: did you mean approve?")]
    [InlineData("limits: { max-steps: 3 }", "did you mean max_steps?")]
    [InlineData("mcp_servers: { files: { command: a, disabled: true } }", "\"disabled\" is not a known key and does nothing: known here are command, args,")]
    [InlineData("mcp_servers: { files: { command: a } }\ntools: { allow: [ file.* ] }", "a.yaml:4:19: \"file.*\" matches no tool: did you mean files?")]
    [InlineData("model: { provider: anthropic, name: claude-sonnet-4.5 }", "take claude-sonnet-5-5 instead")]
    public void What_does_nothing_is_a_warning_that_names_what_was_meant(string line, string said)
    {
        var file = AgentFile.Parse($"name: a\ninstructions: b\n{line}", "a.yaml");
        Assert.NotNull(file.Agent);
        Assert.Contains(said, Assert.Single(file.Diagnostics).ToString());
    }

    [Theory]
    [InlineData("http://localhost:${PORT}/mcp")]
    [InlineData("https://${HOST}/mcp?key=${KEY}")]
    [InlineData("${URL}")]
    public void An_address_may_be_filled_in_later(string url) =>
        Assert.Empty(AgentFile.Parse($"name: a\ninstructions: b\nmcp_servers: {{ x: {{ url: \"{url}\" }} }}", "a.yaml").Diagnostics);

    [Fact]
    public void What_is_written_reads_back_as_it_was()
    {
        var word = Gen.OneOf(
            Gen.String, Gen.Char["\n\t :#-\"'|>&*!%@`{}[],?\\ab é漢\u202e\u2028\e\r "].Array[0, 12].Select(symbols => new string(symbols)),
            Gen.Int[0, Traps.Length - 1].Select(which => Traps[which]));
        var text = word.Select(said => said.Replace("\0", "").EnumerateRunes().Aggregate("", (all, rune) => all + rune)).Where(said => said.Trim().Length > 0);
        Gen.Select(text, text, text.Array[0, 3]).Sample((instructions, value, args) =>
        {
            var agent = new AgentDefinition
            {
                Name = "a", Description = value.Trim(), Instructions = instructions, Timeout = TimeSpan.FromSeconds(90), MaxSteps = 3,
                Servers = [new AgentServer("007", "npx", args, new Dictionary<string, string> { ["T"] = value }, "", new Dictionary<string, string>())],
            };
            var written = AgentYaml.Write(agent);
            var read = AgentFile.Parse(written, "a.yaml");
            // Placeholders may be wrong in made-up text; a document that says something else may not be.
            if (read.Agent is null && read.Diagnostics.All(diagnostic => diagnostic.Message.Contains("${", StringComparison.Ordinal))) return;
            Assert.True(read.Agent is not null, $"{string.Join('\n', read.Diagnostics)}\n{written}");
            Assert.Equal((instructions, value.Trim(), TimeSpan.FromSeconds(90)), (read.Agent.Instructions, read.Agent.Description, read.Agent.Timeout));
            Assert.Equal(args, read.Agent.Servers[0].Args);
            Assert.Equal(value, read.Agent.Servers[0].Env["T"]);
        }, iter: 2000);
    }
}
