using Stigmer.Rpc.V1;
using Stigmer.Server.Runs;

namespace Stigmer.Server.Api;

/// <summary>Agents that people have defined.</summary>
sealed class AgentApi(RunStore store)
{
    readonly RunStore store = store;

    public static ServiceMethods<AgentApi> Methods(Faults faults) => new("stigmer.v1.AgentService", faults, m =>
    {
        m.Unary<ApplyAgentsRequest, ApplyAgentsResponse>("ApplyAgents", async (api, request, _) => new() { Applied = { await api.store.Apply(request.Agents) } });
        m.Unary<GetAgentRequest, GetAgentResponse>("GetAgent", async (api, request, _) => new() { Agent = await api.store.Agent(request.Name) });
        m.Unary<ListAgentsRequest, ListAgentsResponse>("ListAgents", async (api, _, _) => new() { Agents = { await api.store.Agents() } });
        m.Unary<DeleteAgentRequest, DeleteAgentResponse>("DeleteAgent", async (api, request, _) =>
        {
            await api.store.DeleteAgent(request.Name);
            return new DeleteAgentResponse();
        });
    });
}
