using Stigmer.Rpc.V1;

namespace Stigmer.Agents.Tools;

/// <summary>All tools that this runner has: carries out a call of a run.</summary>
sealed class Toolbox(ToolProcesses processes, TimeProvider time)
{
    /// <summary>Every error but cancellation is an outcome that the model reads.</summary>
    public Task<ToolOutcome> Call(RunSpec spec, ToolCall call, CancellationToken cancel) => WorkspaceTools.Call(
        call.Name, call.Arguments, spec.Workspace, process => processes.Note(process, spec.RunId, call.Name), time, cancel);
}
