using Stigmer.Agents.Loop;
using Stigmer.Agents.Tools;
using Stigmer.Agents.Worker;
using Stigmer.Rpc.V1;

namespace Stigmer.Agents.Activities;

/// <summary>One call of a tool: its slot of the step that asked for it.</summary>
/// <param name="call">Carries out a call in a turn of a run.</param>
sealed class CallTool(Slots slots, Transcripts transcripts, Func<RunSpec, int, ToolCall, CancellationToken, Task<ToolOutcome>> call, Log log, TimeProvider time)
{
    /// <summary>Runs the tool, or finds that it has run.</summary>
    public async Task<ToolReport> Run(ToolTask task, Attempt attempt)
    {
        var slot = new SlotKey { RunId = task.Run, Turn = task.Turn, Step = task.Step, Slot = task.Slot };
        var filled = await slots.Fill(slot, attempt, async work => new AppendRequest { Result = await Result(task, work) });
        if (filled.Refused) return new ToolReport { Outcome = Outcome.Refused };
        var result = filled.Entry?.Result ?? throw new ActivityFailure(new("The server holds something else than a tool's result", $"{slot}"), retryable: false);
        return new ToolReport { Outcome = result.Kind == ResultKind.TimedOut ? Outcome.TimedOut : Outcome.Stored, WorkedMs = result.WorkedMs };
    }

    async Task<ToolResult> Result(ToolTask task, Slots.Work work)
    {
        var transcript = await transcripts.ReadStep(task.Run, task.Turn, task.Step, work.Stop);
        var asked = transcript.Answer?.Calls.FirstOrDefault(each => each.Slot == task.Slot)
            ?? throw new ActivityFailure(new("The call of this slot is not stored", $"run {task.Run}, step {task.Step}, slot {task.Slot}"), retryable: true);
        var result = new ToolResult { CallId = asked.Id, BegunBefore = work.BegunBefore, Kind = ResultKind.Ran };
        if (work.BegunBefore && asked.Once)
        {
            result.Kind = ResultKind.OutcomeUnknown;
            result.Text = "This call had begun when its runner ended. Whether it took effect is unknown, and it is not run again.";
            return result;
        }

        var started = time.GetTimestamp();
        using var limit = new TimeLimit(task.LeftMs, time, work.Stop);
        try
        {
            work.Begun = true;
            var outcome = await Carried(transcript.Spec, task.Turn, asked, limit.Token);
            result.Ok = outcome.Ok;
            result.Text = work.BegunBefore ? $"(This call had begun before, was interrupted, and has now run again.)\n{outcome.Text}" : outcome.Text;
        }
        catch (OperationCanceledException) when (limit.IsOver && !work.Stop.IsCancellationRequested)
        {
            result.Kind = ResultKind.TimedOut;
            result.Text = "The run's time was over before this call ended.";
        }
        result.WorkedMs = (long)time.GetElapsedTime(started).TotalMilliseconds;
        return result;
    }

    async Task<ToolOutcome> Carried(RunSpec spec, int turn, ToolCall asked, CancellationToken cancel)
    {
        // A model may name what it was not offered; what the agent's file forbids is not run for that.
        if (!ToolRules.Of(spec.Tools).Offers(asked.Name)) return new ToolOutcome(Ok: false, $"There is no tool {asked.Name}");
        try
        {
            return await Task.Run(() => call(spec, turn, asked, cancel), cancel);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // A tool's bug is not the run's end: the model may do without it.
            log.Error("a tool failed unexpectedly", ("tool", asked.Name), ("error", e));
            return new ToolOutcome(Ok: false, $"The tool {asked.Name} failed: {e.Message}");
        }
    }
}
