using System.Text;
using Grpc.Core;
using Stigmer.Commands;
using Stigmer.Config;
using Stigmer.Rpc.V1;
using Stigmer.Standins;

namespace Stigmer.Tests.Commands;

public sealed class AgentCommandTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("stg-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public async Task One_file_that_is_not_valid_refuses_them_all_with_everything_that_is_wrong()
    {
        var good = Write("good.yaml", "name: good\ninstructions: x");
        var bad = Write("bad.yaml", "name: Bad\ninstructions: x\nlimits: { max_steps: many }");
        var failure = await Assert.ThrowsAsync<Failure>(() => Read("", good, bad, Path.Combine(folder, "none.yaml"), folder));
        Assert.Equal((ExitCode.Usage, "The agent files have 4 errors"), (failure.ExitCode, failure.What));
        Assert.Equal(
            [
                $"{bad}:1:7: name is \"Bad\": it must be {AgentFile.AgentName.Allowed}", $"{bad}:3:22: limits.max_steps is \"many\": it must be a whole number from 1 to 1000000",
                $"{folder}/none.yaml: this file does not exist", $"{folder}: this is a folder",
            ],
            failure.Why!.Split('\n'));
    }

    [Fact]
    public async Task Two_files_of_one_agent_contradict_each_other()
    {
        var failure = await Assert.ThrowsAsync<Failure>(() => Read("name: a\ninstructions: y", Write("a.yaml", "instructions: x\nname: a"), "-"));
        Assert.StartsWith("standard input:1:7: name is \"a\", as in ", failure.What);
    }

    [Fact]
    public async Task What_is_applied_is_told_and_read_back_as_a_file_that_changes_nothing()
    {
        var server = new Agents();
        await using var host = await Loopback.Grpc(server);
        using var link = new ServerLink(_ => Task.FromResult(new ServerAddress(new HostPort("127.0.0.1", host.Port()), new Secret("t"))), TimeProvider.System);
        var cancel = TestContext.Current.CancellationToken;
        var text = "name: a\ninstructions: |+\n  One\n\nmcp_servers: { x: { url: http://localhost/mcp, headers: { A: \"${T}\" } } }\ntools: { approve: [ x.* ] }\nlimits: { timeout: 90 }\n";
        var screen = new Screen();
        Assert.Equal(ExitCode.Done, await AgentApply.Apply(link, await Read(text, "-"), screen.Terminal, cancel));
        Assert.Equal("✓ Agent a created (version 1)\n", screen.Out);

        foreach (var json in new[] { false, true })
        {
            var got = new Screen(json: json);
            Assert.Equal(ExitCode.Done, await AgentGet.Get(link, "a", got.Terminal, cancel));
            var again = new Screen();
            await AgentApply.Apply(link, await Read(got.Out, "-"), again.Terminal, cancel);
            Assert.Equal("✓ Agent a unchanged (version 1)\n", again.Out);
            Assert.Equal("", again.Error);
        }
        var listed = new Screen(json: true);
        await AgentList.List(link, listed.Terminal, cancel);
        Assert.Equal("""{"agents":[{"name":"a","description":null,"version":1,"updatedAt":"2026-01-19T08:00:00Z"}]}""" + "\n", listed.Out);
        await AgentDelete.Delete(link, "a", new Screen().Terminal, cancel);
        Assert.Empty(server.Known);
    }

    string Write(string name, string text)
    {
        var path = Path.Combine(folder, name);
        File.WriteAllText(path, text);
        return path;
    }

    static Task<IReadOnlyList<AgentDefinition>> Read(string input, params string[] paths) => AgentApply.Read(
        paths, () => new MemoryStream(Encoding.UTF8.GetBytes(input)), new Screen().Terminal, TestContext.Current.CancellationToken);

    /// <summary>Agents in memory.</summary>
    sealed class Agents : AgentService.AgentServiceBase
    {
        public Dictionary<string, Agent> Known { get; } = [];

        public override Task<ApplyAgentsResponse> ApplyAgents(ApplyAgentsRequest request, ServerCallContext context)
        {
            var response = new ApplyAgentsResponse();
            foreach (var agent in request.Agents)
            {
                Known.TryGetValue(agent.Name, out var before);
                agent.Version = before?.Version ?? 1;
                agent.UpdatedAt = 1768809600000;
                var change = agent.Equals(before) ? AgentChange.None : before is null ? AgentChange.Created : AgentChange.Updated;
                Known[agent.Name] = agent;
                response.Applied.Add(new AppliedAgent { Agent = agent, Change = change });
            }
            return Task.FromResult(response);
        }

        public override Task<GetAgentResponse> GetAgent(GetAgentRequest request, ServerCallContext context) => Task.FromResult(new GetAgentResponse { Agent = Known[request.Name] });

        public override Task<ListAgentsResponse> ListAgents(ListAgentsRequest request, ServerCallContext context) => Task.FromResult(new ListAgentsResponse { Agents = { Known.Values } });

        public override Task<DeleteAgentResponse> DeleteAgent(DeleteAgentRequest request, ServerCallContext context)
        {
            Known.Remove(request.Name);
            return Task.FromResult(new DeleteAgentResponse());
        }
    }
}
