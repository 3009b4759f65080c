using Google.Protobuf;
using Stigmer.Rpc.V1;
using Stigmer.Server.Storage;

namespace Stigmer.Server.Runs;

// Agents that people have defined. A run keeps in its spec what its agent was when it began.
sealed partial class RunStore
{
    /// <summary>Applies all of them or none. What changes nothing keeps its version and its time.</summary>
    public async Task<List<AppliedAgent>> Apply(IReadOnlyCollection<Agent> agents)
    {
        if (agents.Select(AgentRules.Complaint).FirstOrDefault(complaint => complaint is not null) is { } complaint) throw Refusal.Invalid(complaint);
        if (agents.GroupBy(agent => agent.Name).FirstOrDefault(same => same.Count() > 1) is { Key: var twice }) throw Refusal.Invalid($"The agent {twice} is given twice");
        return await database.Write(t => agents.Select(agent => Apply(t, agent)).ToList());
    }

    /// <summary>An agent, the built-in one included; a status that names what was probably meant where there is no such one.</summary>
    public Task<Agent> Agent(string name) => database.Read(c => Agent(c, name));

    /// <summary>The agents that people have defined, by name.</summary>
    public Task<List<Agent>> Agents() => database.Read(c => c.Query("SELECT agent FROM agents ORDER BY name", ReadAgent));

    /// <summary>Forgets an agent. Its runs go on.</summary>
    public Task DeleteAgent(string name) => database.Write(t =>
    {
        if (name == Assistant.Name) throw Refusal.Precondition($"{Assistant.Name} is built in and cannot be deleted");
        if (t.Execute("DELETE FROM agents WHERE name = $1", name) == 0) throw NoAgent(t.Connection, name);
        t.AfterCommit(() => log.Info("An agent was deleted", ("agent", name)));
    });

    AppliedAgent Apply(Transaction t, Agent asked)
    {
        var agent = asked.Clone();
        // Left out or empty is the same.
        agent.Tools ??= new ToolRules();
        agent.Limits ??= new Limits();
        var there = t.Connection.First("SELECT agent FROM agents WHERE name = $1", ReadAgent, agent.Name);
        (agent.Version, agent.UpdatedAt) = (there?.Version ?? 0, there?.UpdatedAt ?? 0);
        if (agent.Equals(there)) return new AppliedAgent { Agent = agent, Change = AgentChange.None };
        (agent.Version, agent.UpdatedAt) = (agent.Version + 1, Now);
        t.Execute(
            "INSERT INTO agents (name, version, updated_at, agent) VALUES ($1, $2, $3, $4) "
            + "ON CONFLICT (name) DO UPDATE SET version = excluded.version, updated_at = excluded.updated_at, agent = excluded.agent",
            agent.Name, agent.Version, agent.UpdatedAt, agent.ToByteArray());
        t.AfterCommit(() => log.Info("An agent was applied", ("agent", agent.Name), ("version", agent.Version)));
        return new AppliedAgent { Agent = agent, Change = there is null ? AgentChange.Created : AgentChange.Updated };
    }

    /// <param name="name">Empty: the built-in one.</param>
    static Agent Agent(Connection c, string name) => name is "" or Assistant.Name
        ? new Agent { Name = Assistant.Name, Description = Assistant.Description, Instructions = Assistant.Instructions, Tools = new ToolRules(), Limits = new Limits() }
        : c.First("SELECT agent FROM agents WHERE name = $1", ReadAgent, name) ?? throw NoAgent(c, name);

    static Grpc.Core.RpcException NoAgent(Connection c, string name)
    {
        List<string> known = [.. c.Query("SELECT name FROM agents ORDER BY name", r => r.GetString(0)), Assistant.Name];
        var hint = Config.Schema.Nearest(name, known) is { } near ? $"did you mean {near}?"
            : known.Count == 1 ? $"there is only the built-in {Assistant.Name}; `stigmer agent apply -f FILE` defines another"
            : $"there are {string.Join(", ", known.Take(12))}{(known.Count > 12 ? " and more" : "")}";
        return Refusal.NotFound($"There is no agent '{name}': {hint}");
    }

    static Agent ReadAgent(Microsoft.Data.Sqlite.SqliteDataReader r) => Rpc.V1.Agent.Parser.ParseFrom(r.GetFieldValue<byte[]>(0));
}
