using System.Text.Json.Serialization;
using Stigmer.Config;
using Stigmer.Rpc.V1;

namespace Stigmer.Commands;

/// <summary>Agents between their file, the wire and JSON.</summary>
static class AgentDocuments
{
    /// <summary>For the server.</summary>
    public static Agent ToWire(AgentDefinition agent) => new()
    {
        Name = agent.Name,
        Description = agent.Description,
        Instructions = agent.Instructions,
        Provider = agent.Provider?.Name() ?? "",
        Model = agent.Model,
        McpServers = { agent.Servers.Select(ToWire) },
        Tools = new ToolRules { Allow = { agent.Allow }, Approve = { agent.Approve }, Once = { agent.Once } },
        Limits = new Limits { MaxSteps = agent.MaxSteps, TimeoutMs = (long)agent.Timeout.TotalMilliseconds, MaxTotalTokens = agent.MaxTotalTokens },
    };

    /// <summary>From the server.</summary>
    public static AgentDefinition FromWire(Agent agent) => new()
    {
        Name = agent.Name,
        Description = agent.Description,
        Instructions = agent.Instructions,
        Provider = Providers.Find(agent.Provider),
        Model = agent.Model,
        Servers = [.. agent.McpServers.Select(server => new AgentServer(server.Name, server.Command, [.. server.Args], server.Env, server.Url, server.Headers))],
        Allow = agent.Tools?.Allow.ToList() ?? [],
        Approve = agent.Tools?.Approve.ToList() ?? [],
        Once = agent.Tools?.Once.ToList() ?? [],
        MaxSteps = agent.Limits?.MaxSteps ?? 0,
        Timeout = TimeSpan.FromMilliseconds(agent.Limits?.TimeoutMs ?? 0),
        MaxTotalTokens = agent.Limits?.MaxTotalTokens ?? 0,
    };

    /// <summary>An agent in <c>agent list</c>.</summary>
    public static AgentDocument Of(Agent agent) =>
        new(agent.Name, RunDocuments.OrNull(agent.Description), agent.Version, RunDocuments.Time(agent.UpdatedAt));

    /// <summary><c>agent get</c>: the whole file's content, by the file's own names.</summary>
    public static AgentDetails Details(Agent agent)
    {
        var limits = agent.Limits ?? new Limits();
        return new AgentDetails(
            agent.Name, RunDocuments.OrNull(agent.Description), agent.Version, RunDocuments.Time(agent.UpdatedAt), agent.Instructions,
            agent.Provider.Length + agent.Model.Length == 0 ? null : new AgentModel(RunDocuments.OrNull(agent.Provider), RunDocuments.OrNull(agent.Model)),
            agent.McpServers.ToDictionary(server => server.Name, Details),
            new AgentTools(agent.Tools?.Allow.ToList() ?? [], agent.Tools?.Approve.ToList() ?? [], agent.Tools?.Once.ToList() ?? []),
            new AgentLimits(
                limits.MaxSteps == 0 ? null : limits.MaxSteps, limits.TimeoutMs == 0 ? null : Durations.Format(TimeSpan.FromMilliseconds(limits.TimeoutMs)),
                limits.MaxTotalTokens == 0 ? null : limits.MaxTotalTokens));
    }

    static AgentServerDetails Details(McpServer server) => server.Url.Length > 0
        ? new AgentServerDetails(null, null, null, server.Url, server.Headers)
        : new AgentServerDetails(server.Command, server.Args, server.Env, null, null);

    static McpServer ToWire(AgentServer server) => new()
    {
        Name = server.Name,
        Command = server.Command,
        Args = { server.Args },
        Env = { server.Env.ToDictionary() },
        Url = server.Url,
        Headers = { server.Headers.ToDictionary() },
    };
}

sealed record AgentDocument(string Name, string? Description, int Version, string? UpdatedAt);

sealed record AgentsDocument(IReadOnlyList<AgentDocument> Agents);

/// <summary>What became of one agent of <c>agent apply</c>; change is created, updated or unchanged.</summary>
sealed record AppliedAgentDocument(string Name, string? Description, int Version, string? UpdatedAt, string Change);

sealed record AppliedAgentsDocument(IReadOnlyList<AppliedAgentDocument> Agents);

sealed record DeletedAgentDocument(string Name, bool Deleted);

sealed record AgentDetails(
    string Name, string? Description, int Version, string? UpdatedAt, string Instructions, AgentModel? Model,
    [property: JsonPropertyName("mcp_servers")] IReadOnlyDictionary<string, AgentServerDetails> McpServers, AgentTools Tools, AgentLimits Limits);

sealed record AgentModel(string? Provider, string? Name);

sealed record AgentServerDetails(string? Command, IReadOnlyList<string>? Args, IDictionary<string, string>? Env, string? Url, IDictionary<string, string>? Headers);

sealed record AgentTools(IReadOnlyList<string> Allow, IReadOnlyList<string> Approve, IReadOnlyList<string> Once);

sealed record AgentLimits(
    [property: JsonPropertyName("max_steps")] int? MaxSteps, string? Timeout, [property: JsonPropertyName("max_total_tokens")] long? MaxTotalTokens);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, GenerationMode = JsonSourceGenerationMode.Serialization)]
[JsonSerializable(typeof(AgentsDocument))]
[JsonSerializable(typeof(AppliedAgentsDocument))]
[JsonSerializable(typeof(DeletedAgentDocument))]
[JsonSerializable(typeof(AgentDetails))]
sealed partial class AgentJson : JsonSerializerContext;
