using System.CommandLine;
using System.Globalization;
using Stigmer.Rpc.V1;

namespace Stigmer.Commands;

/// <summary><c>stigmer agent list</c>.</summary>
static class AgentList
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("list", "List agents by name");
        command.SetAction(async (parsed, cancel) =>
        {
            var terminal = Terminal.From(parsed);
            using var link = await Stack.Connect(terminal, start: false, cancel);
            return await List(link, terminal, cancel);
        });
        return command;
    }

    /// <summary>Prints a table, or <c>{"agents":[…]}</c>.</summary>
    public static async Task<int> List(ServerLink link, Terminal terminal, CancellationToken cancel)
    {
        var response = await link.CallAgents((client, options) => client.ListAgentsAsync(new ListAgentsRequest(), options).ResponseAsync, cancel);
        if (terminal.Json)
        {
            terminal.Document(new AgentsDocument([.. response.Agents.Select(AgentDocuments.Of)]), AgentJson.Default.AgentsDocument);
            return ExitCode.Done;
        }
        if (response.Agents.Count == 0)
        {
            terminal.Note("No agents. `stigmer agent apply -f FILE` defines one");
            return ExitCode.Done;
        }
        var width = Math.Max(4, response.Agents.Max(agent => agent.Name.Length));
        terminal.Line($"{"NAME".PadRight(width)}  {"VERSION",7}  {"UPDATED",-16}  DESCRIPTION");
        foreach (var agent in response.Agents)
        {
            var updated = agent.UpdatedAt == 0 ? "" : DateTimeOffset.FromUnixTimeMilliseconds(agent.UpdatedAt).ToLocalTime().ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture);
            terminal.Line($"{agent.Name.PadRight(width)}  {agent.Version,7}  {updated,-16}  {agent.Description.ReplaceLineEndings(" ")}".TrimEnd());
        }
        return ExitCode.Done;
    }
}
