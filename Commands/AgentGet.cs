using System.CommandLine;
using Stigmer.Config;
using Stigmer.Rpc.V1;

namespace Stigmer.Commands;

/// <summary><c>stigmer agent get</c>: an agent as the file that defines it.</summary>
static class AgentGet
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var name = NameArgument();
        var command = new Command("get", "Show an agent as a file that can be applied again") { name };
        command.SetAction(async (parsed, cancel) =>
        {
            var terminal = Terminal.From(parsed);
            var agent = parsed.GetRequiredValue(name);
            using var link = await Stack.Connect(terminal, start: false, cancel);
            return await Get(link, agent, terminal, cancel);
        });
        return command;
    }

    /// <summary>The agent that a command is about.</summary>
    public static Argument<string> NameArgument() => new("NAME") { Description = "The agent's name" };

    /// <summary>Prints the file, or its content as a document.</summary>
    public static async Task<int> Get(ServerLink link, string name, Terminal terminal, CancellationToken cancel)
    {
        var request = new GetAgentRequest { Name = name };
        var agent = (await link.CallAgents((client, options) => client.GetAgentAsync(request, options).ResponseAsync, cancel)).Agent;
        if (terminal.Json)
        {
            terminal.Document(AgentDocuments.Details(agent), AgentJson.Default.AgentDetails);
            return ExitCode.Done;
        }
        if (agent.Version > 0) terminal.Line($"# version {agent.Version}, {RunDocuments.Time(agent.UpdatedAt)}");
        terminal.Line(AgentYaml.Write(AgentDocuments.FromWire(agent))[..^1]);
        return ExitCode.Done;
    }
}
