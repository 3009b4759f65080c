using Stigmer.Agents.Tools.Mcp;
using Stigmer.Rpc.V1;

namespace Stigmer.Agents.Tools;

/// <summary>All tools that this runner has: carries out a call of a run.</summary>
sealed class Toolbox(McpServers servers, ToolProcesses processes, TimeProvider time)
{
    /// <summary>Every error but cancellation is an outcome that the model reads.</summary>
    public async Task<ToolOutcome> Call(RunSpec spec, int turn, ToolCall call, CancellationToken cancel) =>
        await servers.Call(spec, turn, call.Name, call.Arguments, cancel)
        ?? await WorkspaceTools.Call(call.Name, call.Arguments, spec.Workspace, process => processes.Note(process, spec.RunId, call.Name), time, cancel);
}
