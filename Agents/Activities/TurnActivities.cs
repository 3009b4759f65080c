using Stigmer.Agents.Loop;
using Stigmer.Agents.Worker;
using Stigmer.Rpc.Temporal;

namespace Stigmer.Agents.Activities;

/// <summary>The activities of a turn by their names.</summary>
sealed class TurnActivities(OpenTools openTools, CallModel callModel, CallTool callTool, EndTurn endTurn)
{
    /// <summary>Carries one out; its result is what the loop decides by.</summary>
    public async Task<Payloads> CarryOut(Attempt attempt)
    {
        var input = attempt.Task.Input;
        try
        {
            return attempt.Task.ActivityType.Name switch
            {
                ActivityName.OpenTools => JsonPayload.Of(
                    await openTools.Run(JsonPayload.Read(input, LoopJson.Default.OpenToolsTask), attempt), LoopJson.Default.ToolReport),
                ActivityName.CallModel => JsonPayload.Of(
                    await callModel.Run(JsonPayload.Read(input, LoopJson.Default.ModelTask), attempt), LoopJson.Default.ModelReport),
                ActivityName.CallTool => JsonPayload.Of(
                    await callTool.Run(JsonPayload.Read(input, LoopJson.Default.ToolTask), attempt), LoopJson.Default.ToolReport),
                ActivityName.EndTurn => JsonPayload.Of(
                    await endTurn.Run(JsonPayload.Read(input, LoopJson.Default.EndTask), attempt), LoopJson.Default.EndReport),
                // A runner of a later version may know it.
                var other => throw new ActivityFailure(new("This runner does not know the activity", other), retryable: true),
            };
        }
        catch (OperationCanceledException) when (attempt.Reason == StopReason.TurnEnded)
        {
            // The database has closed the turn: the workflow is only left to close, too.
            return attempt.Task.ActivityType.Name switch
            {
                ActivityName.CallModel => JsonPayload.Of(new ModelReport { Outcome = Outcome.Refused }, LoopJson.Default.ModelReport),
                ActivityName.CallTool or ActivityName.OpenTools => JsonPayload.Of(new ToolReport { Outcome = Outcome.Refused }, LoopJson.Default.ToolReport),
                _ => JsonPayload.Of(new EndReport(EndAnswer.Refused), LoopJson.Default.EndReport),
            };
        }
    }
}
