using Grpc.Core;
using Stigmer.Config;
using Stigmer.Rpc.V1;

namespace Stigmer.Tests.Server;

public class AgentTests
{
    static Agent Notes(string instructions = "Write notes") => new()
    {
        Name = "release-notes", Description = "Notes", Instructions = instructions, Provider = "anthropic", Model = "claude-sonnet-5-5",
        McpServers = { new McpServer { Name = "files", Command = "npx", Args = { "-y" }, Env = { ["B"] = "2", ["A"] = "1" } } },
        Tools = new ToolRules { Approve = { "files.write_*" } },
        Limits = new Limits { MaxSteps = 50, TimeoutMs = 1000 },
    };

    [Fact]
    public async Task Applying_counts_a_version_only_where_something_changed()
    {
        await using var store = await Store.Open();
        var created = (await store.Runs.Apply([Notes()]))[0];
        Assert.Equal((AgentChange.Created, 1), (created.Change, created.Agent.Version));
        store.Time.Advance(TimeSpan.FromHours(1));
        var same = (await store.Runs.Apply([Notes()]))[0];
        Assert.Equal((AgentChange.None, 1, created.Agent.UpdatedAt), (same.Change, same.Agent.Version, same.Agent.UpdatedAt));
        var changed = (await store.Runs.Apply([Notes("Write better notes")]))[0];
        Assert.Equal((AgentChange.Updated, 2), (changed.Change, changed.Agent.Version));
        await store.Kill();
        Assert.Equal(changed.Agent, await store.Runs.Agent("release-notes"));
        Assert.Equal([changed.Agent], await store.Runs.Agents());
    }

    [Fact]
    public async Task Of_several_agents_all_are_applied_or_none()
    {
        await using var store = await Store.Open();
        var bad = Notes();
        bad.Name = "Bad Name";
        Assert.Contains("Bad Name", (await Assert.ThrowsAsync<RpcException>(() => store.Runs.Apply([Notes(), bad]))).Status.Detail);
        await Assert.ThrowsAsync<RpcException>(() => store.Runs.Apply([Notes(), Notes()]));
        Assert.Empty(await store.Runs.Agents());
    }

    static readonly (string Says, Action<Agent> Spoil)[] Nonsense =
    [
        ("built in", agent => agent.Name = "assistant"),
        ("instructions", agent => agent.Instructions = " "),
        ("ollama", agent => agent.Provider = "google"),
        ("negative", agent => agent.Limits.MaxSteps = -1),
        ("two MCP servers", agent => agent.McpServers.Add(agent.McpServers[0].Clone())),
        ("either a command or a url", agent => agent.McpServers[0].Url = "https://example.com"),
        ("either a command or a url", agent => agent.McpServers[0].Command = ""),
        ("cannot be called workspace", agent => agent.McpServers[0].Name = "workspace"),
        ("no name for an MCP server", agent => agent.McpServers[0].Name = "a.b"),
        ("pattern", agent => agent.Tools.Allow.Add("!")),
    ];

    [Fact]
    public async Task An_agent_that_makes_no_sense_is_refused_in_words()
    {
        await using var store = await Store.Open();
        foreach (var (says, spoil) in Nonsense)
        {
            var agent = Notes();
            spoil(agent);
            var refused = await Assert.ThrowsAsync<RpcException>(() => store.Runs.Apply([agent]));
            Assert.Equal(StatusCode.InvalidArgument, refused.StatusCode);
            Assert.Contains(says, refused.Status.Detail);
        }
    }

    [Fact]
    public async Task A_run_keeps_its_agent_as_it_was_and_what_it_says_itself_comes_first()
    {
        await using var store = await Store.Open();
        await store.Runs.Apply([Notes()]);
        async Task<RunSpec> Started(Action<StartRunRequest>? with = null)
        {
            var request = new StartRunRequest { RunId = RandomId.New(), Agent = "release-notes", Prompt = "p", Workspace = "/w" };
            with?.Invoke(request);
            return (await store.Runs.Start(request)).Spec;
        }
        var first = await Started();
        await store.Runs.Apply([Notes("Write better notes")]);
        await store.Runs.DeleteAgent("release-notes");
        var kept = (await store.Run(first.RunId)).Spec;
        Assert.Equal(first, kept);
        Assert.Equal(("release-notes", 1, "Write notes", "anthropic", "claude-sonnet-5-5"), (kept.Agent, kept.AgentVersion, kept.Instructions, kept.Provider, kept.Model));
        Assert.Equal((50, 1000L, "npx", "files.write_*"), (kept.Limits.MaxSteps, kept.Limits.TimeoutMs, kept.McpServers[0].Command, kept.Tools.Approve[0]));
        Assert.True((await store.Runs.Input($"{first.RunId}/1/1"))!.OpensTools);

        await store.Runs.Apply([Notes()]);
        var other = await Started(request => (request.Provider, request.Limits) = ("ollama", new Limits { MaxSteps = 3, MaxTotalTokens = 9 }));
        Assert.Equal(("ollama", "", 3, 1000L, 9L), (other.Provider, other.Model, other.Limits.MaxSteps, other.Limits.TimeoutMs, other.Limits.MaxTotalTokens));
        var same = await Started(request => request.Provider = "anthropic");
        Assert.Equal("claude-sonnet-5-5", same.Model);
        var model = await Started(request => request.Model = "claude-opus-5");
        Assert.Equal(("anthropic", "claude-opus-5"), (model.Provider, model.Model));
    }

    [Fact]
    public async Task An_agent_that_is_not_known_is_answered_with_the_one_that_was_meant()
    {
        await using var store = await Store.Open();
        await store.Runs.Apply([Notes()]);
        var request = new StartRunRequest { RunId = RandomId.New(), Agent = "release-note", Prompt = "p" };
        var refused = await Assert.ThrowsAsync<RpcException>(() => store.Runs.Start(request));
        Assert.Equal((StatusCode.NotFound, "There is no agent 'release-note': did you mean release-notes?"), (refused.StatusCode, refused.Status.Detail));
        Assert.Contains("release-notes, assistant", (await Assert.ThrowsAsync<RpcException>(() => store.Runs.Agent("zebra"))).Status.Detail);
        Assert.Equal(StatusCode.NotFound, (await Assert.ThrowsAsync<RpcException>(() => store.Runs.DeleteAgent("zebra"))).StatusCode);
        Assert.Equal(0, (await store.Runs.Agent("assistant")).Version);
    }

    [Fact]
    public async Task What_models_are_offered_is_stored_once_a_turn_before_its_first_step()
    {
        await using var store = await Store.Open();
        await store.Runs.Apply([Notes()]);
        var run = RandomId.New();
        await store.Runs.Start(new StartRunRequest { RunId = run, Agent = "release-notes", Prompt = "p" });
        Assert.NotNull((await store.Claim(run, "A", step: 0)).Yours);
        var offer = new AppendRequest
        {
            Slot = Store.Slot(run, 0, 0), Caller = new Caller { RunnerLife = "A", WorkflowId = $"{run}/1/1" },
            Offer = new ToolOffer { Tools = { new OfferedTool { Name = "files.read", Schema = "{}" } }, WorkedMs = 70 },
        };
        Assert.Equal("files.read", (await store.Runs.Append(offer)).Stored.Offer.Tools[0].Name);
        await store.Kill();
        await store.Runs.EngineKnown(Store.Here with { Id = "another" });
        var input = await store.Runs.Input($"{run}/1/2");
        Assert.Equal((false, 1, 0, 70L), (input!.OpensTools, input.FirstStep, input.StepsBefore, input.WorkedMsBefore));
        Assert.NotNull((await store.Claim(run, "B", step: 0)).Stored.Offer);
        Assert.Equal(0, (await store.Run(run)).Steps);
        // A second turn opens its own.
        await store.Runs.Cancel(new CancelRunRequest { Run = run, Key = "c" });
        await store.Runs.Send(new SendMessageRequest { Run = run, Key = "s", Text = "again" });
        Assert.True((await store.Runs.Input($"{run}/2/1"))!.OpensTools);
    }
}
