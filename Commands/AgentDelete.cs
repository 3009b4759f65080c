using System.CommandLine;
using Stigmer.Rpc.V1;

namespace Stigmer.Commands;

/// <summary><c>stigmer agent delete</c>. Its runs stay, and those under way go on.</summary>
static class AgentDelete
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var name = AgentGet.NameArgument();
        var command = new Command("delete", "Remove an agent; its runs stay") { name };
        command.SetAction(async (parsed, cancel) =>
        {
            var terminal = Terminal.From(parsed);
            var agent = parsed.GetRequiredValue(name);
            using var link = await Stack.Connect(terminal, start: false, cancel);
            return await Delete(link, agent, terminal, cancel);
        });
        return command;
    }

    /// <summary>Deletes; one that is not there is refused by the server.</summary>
    public static async Task<int> Delete(ServerLink link, string name, Terminal terminal, CancellationToken cancel)
    {
        var request = new DeleteAgentRequest { Name = name };
        await link.CallAgents((client, options) => client.DeleteAgentAsync(request, options).ResponseAsync, cancel);
        if (terminal.Json) terminal.Document(new DeletedAgentDocument(name, true), AgentJson.Default.DeletedAgentDocument);
        else terminal.Ok($"Agent {name} deleted");
        return ExitCode.Done;
    }
}
