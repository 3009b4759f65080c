using Stigmer.Config;
using Stigmer.Rpc.V1;

namespace Stigmer.Server.Runs;

/// <summary>What an agent may be, and what of it a run keeps.</summary>
static class AgentRules
{
    /// <summary>The longest name.</summary>
    const int LongestName = 63;

    /// <summary>The first part of the built-in tools' names: no MCP server is called so.</summary>
    const string BuiltIn = "workspace";

    /// <summary>Why this is no agent, as a sentence; null where it is one. Whoever reads files tells more of it, with line and column.</summary>
    public static string? Complaint(Agent agent)
    {
        if (agent.Name.Length is 0 or > LongestName || !agent.Name.All(c => IsSmall(c) || c == '-'))
        {
            return $"'{agent.Name}' is no name for an agent: a-z, 0-9 and -, at most {LongestName}";
        }
        if (agent.Name == Assistant.Name) return $"{Assistant.Name} is built in: choose another name";
        return Inner(agent) is { } complaint ? $"Agent {agent.Name}: {complaint}" : null;
    }

    /// <summary>What a run keeps of its agent: what the run itself says comes first, a model only with the provider that it belongs to.</summary>
    public static RunSpec Spec(Agent agent, StartRunRequest request)
    {
        var sameProvider = request.Provider.Length == 0 || request.Provider == agent.Provider;
        return new RunSpec
        {
            RunId = request.RunId,
            Agent = agent.Name,
            AgentVersion = agent.Version,
            Instructions = agent.Instructions,
            Provider = request.Provider.Length > 0 ? request.Provider : agent.Provider,
            Model = request.Model.Length > 0 ? request.Model : sameProvider ? agent.Model : "",
            Workspace = request.Workspace,
            HostId = request.HostId,
            Limits = new Limits
            {
                MaxSteps = request.Limits is { MaxSteps: > 0 and var steps } ? steps : agent.Limits?.MaxSteps ?? 0,
                TimeoutMs = request.Limits is { TimeoutMs: > 0 and var timeout } ? timeout : agent.Limits?.TimeoutMs ?? 0,
                MaxTotalTokens = request.Limits is { MaxTotalTokens: > 0 and var tokens } ? tokens : agent.Limits?.MaxTotalTokens ?? 0,
            },
            Yes = request.Yes,
            McpServers = { agent.McpServers },
            Tools = agent.Tools ?? new ToolRules(),
        };
    }

    static string? Inner(Agent agent)
    {
        if (string.IsNullOrWhiteSpace(agent.Instructions)) return "it needs instructions";
        if (agent.Provider.Length > 0 && !Providers.Names.Contains(agent.Provider))
        {
            return $"there is no provider '{agent.Provider}': {string.Join(", ", Providers.Names)}";
        }
        if (agent.Limits is { MaxSteps: < 0 } or { TimeoutMs: < 0 } or { MaxTotalTokens: < 0 }) return "a limit is not negative; 0 stands for none";
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var server in agent.McpServers)
        {
            if (server.Name.Length is 0 or > LongestName || !server.Name.All(c => IsSmall(c) || char.IsAsciiLetterUpper(c) || c is '-' or '_'))
            {
                return $"'{server.Name}' is no name for an MCP server: letters, digits, - and _, at most {LongestName}";
            }
            if (server.Name == BuiltIn) return $"an MCP server cannot be called {BuiltIn}, as the built-in tools are";
            if (!names.Add(server.Name)) return $"two MCP servers are called {server.Name}";
            if (server.Command.Length == 0 == (server.Url.Length == 0)) return $"the MCP server {server.Name} has either a command or a url";
            if (server.Url.Length > 0 && (server.Args.Count > 0 || server.Env.Count > 0)) return $"the MCP server {server.Name} has a url: args and env belong to a command";
            if (server.Command.Length > 0 && server.Headers.Count > 0) return $"the MCP server {server.Name} has a command: headers belong to a url";
        }
        IEnumerable<string> patterns = agent.Tools is { } tools ? [.. tools.Allow, .. tools.Approve, .. tools.Once] : [];
        return patterns.Any(pattern => pattern.TrimStart('!').Length == 0) ? "a pattern over tools is empty" : null;
    }

    static bool IsSmall(char c) => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c);
}
