using System.Text.Json;
using Stigmer.Agents.Loop;
using Stigmer.Rpc;
using Stigmer.Rpc.Temporal;

namespace Stigmer.Agents.Worker;

/// <summary>A history that this runner cannot read: the task fails, and a runner that can read it goes on with the workflow.</summary>
sealed class UnreadableHistory(string message) : Exception(message);

/// <summary>From Temporal's events to those that the loop decides by.</summary>
static class HistoryReader
{
    /// <summary>
    /// Reads a whole history. Fails with <see cref="UnreadableHistory"/> for an event that may not be skipped, and with
    /// <see cref="JsonException"/> for a payload that is not ours.
    /// </summary>
    public static (TurnInput Input, IReadOnlyList<TurnEvent> Events) Read(IEnumerable<HistoryEvent> history)
    {
        TurnInput? input = null;
        var ids = new Dictionary<long, string>();
        var events = new List<TurnEvent>();
        foreach (var happened in history)
        {
            if (happened.AttributesCase == HistoryEvent.AttributesOneofCase.WorkflowExecutionStartedEventAttributes)
            {
                input = JsonPayload.Read(happened.WorkflowExecutionStartedEventAttributes.Input, TurnJson.Default.TurnInput);
            }
            else if (Read(happened, ids) is { } read)
            {
                events.Add(read);
            }
        }
        return (input ?? throw new UnreadableHistory("The history does not begin with the workflow's start"), events);
    }

    static TurnEvent? Read(HistoryEvent happened, Dictionary<long, string> ids)
    {
        switch (happened.AttributesCase)
        {
            case HistoryEvent.AttributesOneofCase.ActivityTaskScheduledEventAttributes:
                var id = happened.ActivityTaskScheduledEventAttributes.ActivityId;
                ids[happened.EventId] = id;
                return new TurnEvent.Scheduled(id, happened.EventId);
            case HistoryEvent.AttributesOneofCase.ActivityTaskCancelRequestedEventAttributes:
                return new TurnEvent.CancelAsked(ids[happened.ActivityTaskCancelRequestedEventAttributes.ScheduledEventId]);
            case HistoryEvent.AttributesOneofCase.ActivityTaskCompletedEventAttributes:
                var completed = happened.ActivityTaskCompletedEventAttributes;
                return Answered(ids[completed.ScheduledEventId], completed.Result);
            case HistoryEvent.AttributesOneofCase.ActivityTaskFailedEventAttributes:
                var failed = happened.ActivityTaskFailedEventAttributes;
                return new TurnEvent.Failed(ids[failed.ScheduledEventId], Failures.Read(failed.Failure));
            case HistoryEvent.AttributesOneofCase.ActivityTaskTimedOutEventAttributes:
                return new TurnEvent.TimedOut(ids[happened.ActivityTaskTimedOutEventAttributes.ScheduledEventId]);
            case HistoryEvent.AttributesOneofCase.ActivityTaskCanceledEventAttributes:
                return new TurnEvent.Canceled(ids[happened.ActivityTaskCanceledEventAttributes.ScheduledEventId]);
            case HistoryEvent.AttributesOneofCase.WorkflowExecutionSignaledEventAttributes:
                var signal = happened.WorkflowExecutionSignaledEventAttributes;
                // Another signal was sent by hand: nobody waits for it.
                return signal.SignalName == TurnWorkflow.BellSignal ? new TurnEvent.Rang(JsonPayload.Read(signal.Input, TurnJson.Default.Bell)) : null;
            case HistoryEvent.AttributesOneofCase.WorkflowExecutionCancelRequestedEventAttributes:
                return new TurnEvent.CancelRequested();
            case HistoryEvent.AttributesOneofCase.WorkflowTaskStartedEventAttributes:
                return new TurnEvent.TaskStarted(happened.WorkflowTaskStartedEventAttributes.SuggestContinueAsNew);
            case HistoryEvent.AttributesOneofCase.None when !happened.WorkerMayIgnore:
                throw new UnreadableHistory($"Event {happened.EventId} is of type {(int)happened.EventType}, which this runner does not know");
            default:
                return null;
        }
    }

    static TurnEvent Answered(string activity, Payloads result) => activity.Split('-')[0] switch
    {
        "model" => new TurnEvent.ModelAnswered(activity, JsonPayload.Read(result, LoopJson.Default.ModelReport)),
        "tool" => new TurnEvent.ToolAnswered(activity, JsonPayload.Read(result, LoopJson.Default.ToolReport)),
        "end" => new TurnEvent.EndAnswered(activity, JsonPayload.Read(result, LoopJson.Default.EndReport)),
        "tools" => new TurnEvent.ToolsOpened(activity, JsonPayload.Read(result, LoopJson.Default.ToolReport)),
        _ => throw new UnreadableHistory($"The activity {activity} is none of this runner's"),
    };
}
