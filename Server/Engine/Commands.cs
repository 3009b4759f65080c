using Stigmer.Rpc.Temporal;

namespace Stigmer.Server.Engine;

/// <summary>What a workflow decided: first all commands are checked, then all are carried out, so that a bad one leaves no trace of the others.</summary>
static class Commands
{
    /// <summary>Why a worker's answer is refused: its task fails for it and comes again.</summary>
    public sealed record Refusal(WorkflowTaskFailedCause Cause, string Why);

    /// <summary>What the commands of one task led to.</summary>
    /// <param name="DecideAgain">Something happened by a command that the workflow has not seen.</param>
    /// <param name="Continuation">The run closed by continuing as a new one, which the caller begins.</param>
    public sealed record Outcome(bool DecideAgain, ContinueAsNewWorkflowExecutionCommandAttributes? Continuation = null);

    /// <summary>Null where all of the commands can be carried out.</summary>
    public static Refusal? Check(RunState run, IReadOnlyList<Command> commands)
    {
        if (commands.FirstOrDefault(ClientCalls.IsTooLarge) is { } large)
        {
            return new(WorkflowTaskFailedCause.PayloadsTooLarge, $"The command {large.CommandType} is larger than {ClientCalls.MaxPayloadSize} bytes");
        }
        var activityIds = run.Activities.Values.Select(activity => activity.Scheduled.ActivityId).ToHashSet();
        var timerIds = run.Timers.Keys.ToHashSet();
        var canceled = new HashSet<long>();
        for (var i = 0; i < commands.Count; i++)
        {
            if (Check(run, commands[i], isLast: i == commands.Count - 1, activityIds, timerIds, canceled) is { } refusal) return refusal;
        }
        return null;
    }

    /// <summary>Carries out commands that were checked. The run's task has ended, and what was kept is not yet written.</summary>
    /// <param name="completedEventId">The WorkflowTaskCompleted that they came with.</param>
    /// <param name="newRunId">The run that follows where one is a ContinueAsNew.</param>
    public static Outcome Apply(RunState run, long now, IReadOnlyList<Command> commands, long completedEventId, string newRunId)
    {
        var decideAgain = false;
        ContinueAsNewWorkflowExecutionCommandAttributes? continuation = null;
        foreach (var command in commands)
        {
            switch (command.CommandType)
            {
                case CommandType.ScheduleActivityTask:
                    Activities.Schedule(run, now, command.ScheduleActivityTaskCommandAttributes, command.UserMetadata, completedEventId);
                    break;
                case CommandType.RequestCancelActivityTask:
                    var activity = command.RequestCancelActivityTaskCommandAttributes.ScheduledEventId;
                    decideAgain |= Activities.RequestCancel(run, activity, now, completedEventId);
                    break;
                case CommandType.StartTimer:
                    StartTimer(run, now, command, completedEventId);
                    break;
                case CommandType.CancelTimer:
                    CancelTimer(run, now, command.CancelTimerCommandAttributes.TimerId, completedEventId);
                    break;
                case CommandType.RecordMarker:
                    RecordMarker(run, now, command, completedEventId);
                    break;
                default:
                    continuation = Close(run, now, command, completedEventId, newRunId);
                    break;
            }
        }
        return new Outcome(decideAgain, continuation);
    }

    static Refusal? Check(RunState run, Command command, bool isLast, HashSet<string> activityIds, HashSet<string> timerIds, HashSet<long> canceled)
    {
        switch (command.CommandType)
        {
            case CommandType.ScheduleActivityTask:
                var asked = command.ScheduleActivityTaskCommandAttributes;
                if (asked is null) return Missing(command, WorkflowTaskFailedCause.BadScheduleActivityAttributes);
                if (Activities.Complaint(asked) is { } complaint) return new(WorkflowTaskFailedCause.BadScheduleActivityAttributes, complaint);
                if (!activityIds.Add(asked.ActivityId)) return new(WorkflowTaskFailedCause.ScheduleActivityDuplicateId, $"An activity {asked.ActivityId} is open");
                return activityIds.Count > Activities.MaxPending
                    ? new(WorkflowTaskFailedCause.PendingActivitiesLimitExceeded, $"More than {Activities.MaxPending} activities are open") : null;

            case CommandType.RequestCancelActivityTask:
                var scheduled = command.RequestCancelActivityTaskCommandAttributes?.ScheduledEventId ?? 0;
                var known = run.Activities.TryGetValue(scheduled, out var activity) ? activity.CancelRequestedEventId == 0 : HasEnded(run, scheduled);
                return known && canceled.Add(scheduled) ? null
                    : new(WorkflowTaskFailedCause.BadRequestCancelActivityAttributes, $"No activity with the scheduled event {scheduled} can be asked to stop");

            case CommandType.StartTimer:
                var timer = command.StartTimerCommandAttributes;
                if (string.IsNullOrEmpty(timer?.TimerId)) return Missing(command, WorkflowTaskFailedCause.BadStartTimerAttributes);
                if (timer.StartToFireTimeout.ToMilliseconds() == 0) return new(WorkflowTaskFailedCause.BadStartTimerAttributes, "A valid StartToFireTimeout is not set");
                return timerIds.Add(timer.TimerId) ? null : new(WorkflowTaskFailedCause.StartTimerDuplicateId, $"A timer {timer.TimerId} is open");

            case CommandType.CancelTimer:
                var id = command.CancelTimerCommandAttributes?.TimerId ?? "";
                return timerIds.Remove(id) || BufferedFiring(run, id) is not null ? null
                    : new(WorkflowTaskFailedCause.BadCancelTimerAttributes, $"No timer {id} is open");

            case CommandType.RecordMarker:
                return string.IsNullOrEmpty(command.RecordMarkerCommandAttributes?.MarkerName) ? Missing(command, WorkflowTaskFailedCause.BadRecordMarkerAttributes) : null;

            case CommandType.CompleteWorkflowExecution:
                return CheckClosing(run, command, isLast, command.CompleteWorkflowExecutionCommandAttributes, WorkflowTaskFailedCause.BadCompleteWorkflowExecutionAttributes);
            case CommandType.FailWorkflowExecution:
                return CheckClosing(run, command, isLast, command.FailWorkflowExecutionCommandAttributes?.Failure, WorkflowTaskFailedCause.BadFailWorkflowExecutionAttributes);
            case CommandType.CancelWorkflowExecution:
                return CheckClosing(run, command, isLast, command.CancelWorkflowExecutionCommandAttributes, WorkflowTaskFailedCause.BadCancelWorkflowExecutionAttributes);
            case CommandType.ContinueAsNewWorkflowExecution:
                var next = command.ContinueAsNewWorkflowExecutionCommandAttributes;
                if (next is not null && (next.BackoffStartInterval.ToMilliseconds() != 0 || next.RetryPolicy is not null))
                {
                    return new(WorkflowTaskFailedCause.BadContinueAsNewAttributes, "A delay or a retry policy of a workflow is not offered by this engine");
                }
                return CheckClosing(run, command, isLast, next, WorkflowTaskFailedCause.BadContinueAsNewAttributes);

            default:
                return new(WorkflowTaskFailedCause.FeatureDisabled, $"The command {command.CommandType} is not offered by this engine");
        }
    }

    static Refusal? CheckClosing(RunState run, Command command, bool isLast, object? attributes, WorkflowTaskFailedCause cause)
    {
        if (attributes is null) return Missing(command, cause);
        if (!isLast) return new(cause, $"{command.CommandType} is not the last command");
        // Something happened that the workflow has not seen: it must not end without having seen it.
        return run.Buffered.Count > 0 ? new(WorkflowTaskFailedCause.UnhandledCommand, "UnhandledCommand") : null;
    }

    static Refusal Missing(Command command, WorkflowTaskFailedCause cause) => new(cause, $"{command.CommandType} lacks its attributes");

    static bool HasEnded(RunState run, long scheduledEventId) => run.Buffered.Any(happened => happened.AttributesCase switch
    {
        HistoryEvent.AttributesOneofCase.ActivityTaskCompletedEventAttributes => happened.ActivityTaskCompletedEventAttributes.ScheduledEventId == scheduledEventId,
        HistoryEvent.AttributesOneofCase.ActivityTaskFailedEventAttributes => happened.ActivityTaskFailedEventAttributes.ScheduledEventId == scheduledEventId,
        HistoryEvent.AttributesOneofCase.ActivityTaskTimedOutEventAttributes => happened.ActivityTaskTimedOutEventAttributes.ScheduledEventId == scheduledEventId,
        HistoryEvent.AttributesOneofCase.ActivityTaskCanceledEventAttributes => happened.ActivityTaskCanceledEventAttributes.ScheduledEventId == scheduledEventId,
        _ => false,
    });

    static HistoryEvent? BufferedFiring(RunState run, string timerId) =>
        run.Buffered.Find(happened => happened.TimerFiredEventAttributes?.TimerId == timerId);

    static void StartTimer(RunState run, long now, Command command, long completedEventId)
    {
        var asked = command.StartTimerCommandAttributes;
        var started = Histories.Event(EventType.TimerStarted, now);
        started.TimerStartedEventAttributes = new()
        {
            TimerId = asked.TimerId, StartToFireTimeout = asked.StartToFireTimeout, WorkflowTaskCompletedEventId = completedEventId,
        };
        started.UserMetadata = command.UserMetadata;
        run.Append(started);
        var timer = new TimerState(asked.TimerId, started.EventId, now + asked.StartToFireTimeout.ToMilliseconds());
        run.Timers.Add(timer.Id, timer);
        run.Changes.Timers.Add(timer);
    }

    static void CancelTimer(RunState run, long now, string timerId, long completedEventId)
    {
        long startedEventId;
        if (run.Timers.Remove(timerId, out var timer))
        {
            Workflows.EndTimer(run, timer);
            startedEventId = timer.StartedEventId;
        }
        else
        {
            // It fired while the task was worked on, which the workflow does not know: it never fired.
            var firing = BufferedFiring(run, timerId)!;
            run.Buffered.Remove(firing);
            run.Changes.BufferRewritten = true;
            startedEventId = firing.TimerFiredEventAttributes.StartedEventId;
        }
        var canceled = Histories.Event(EventType.TimerCanceled, now);
        canceled.TimerCanceledEventAttributes = new() { TimerId = timerId, StartedEventId = startedEventId, WorkflowTaskCompletedEventId = completedEventId };
        run.Append(canceled);
    }

    static void RecordMarker(RunState run, long now, Command command, long completedEventId)
    {
        var asked = command.RecordMarkerCommandAttributes;
        var recorded = Histories.Event(EventType.MarkerRecorded, now);
        recorded.MarkerRecordedEventAttributes = new()
        {
            MarkerName = asked.MarkerName, Header = asked.Header, Failure = asked.Failure, WorkflowTaskCompletedEventId = completedEventId,
        };
        recorded.MarkerRecordedEventAttributes.Details.Add(asked.Details);
        run.Append(recorded);
    }

    static ContinueAsNewWorkflowExecutionCommandAttributes? Close(RunState run, long now, Command command, long completedEventId, string newRunId)
    {
        HistoryEvent closed;
        switch (command.CommandType)
        {
            case CommandType.CompleteWorkflowExecution:
                closed = Histories.Event(EventType.WorkflowExecutionCompleted, now);
                closed.WorkflowExecutionCompletedEventAttributes = new()
                {
                    Result = command.CompleteWorkflowExecutionCommandAttributes.Result, WorkflowTaskCompletedEventId = completedEventId,
                };
                Workflows.Close(run, now, WorkflowExecutionStatus.Completed, closed);
                return null;
            case CommandType.FailWorkflowExecution:
                closed = Histories.Event(EventType.WorkflowExecutionFailed, now);
                closed.WorkflowExecutionFailedEventAttributes = new()
                {
                    Failure = command.FailWorkflowExecutionCommandAttributes.Failure, RetryState = RetryState.RetryPolicyNotSet,
                    WorkflowTaskCompletedEventId = completedEventId,
                };
                Workflows.Close(run, now, WorkflowExecutionStatus.Failed, closed);
                return null;
            case CommandType.CancelWorkflowExecution:
                closed = Histories.Event(EventType.WorkflowExecutionCanceled, now);
                closed.WorkflowExecutionCanceledEventAttributes = new()
                {
                    Details = command.CancelWorkflowExecutionCommandAttributes.Details, WorkflowTaskCompletedEventId = completedEventId,
                };
                Workflows.Close(run, now, WorkflowExecutionStatus.Canceled, closed);
                return null;
            default:
                var next = command.ContinueAsNewWorkflowExecutionCommandAttributes;
                closed = Histories.Event(EventType.WorkflowExecutionContinuedAsNew, now);
                closed.WorkflowExecutionContinuedAsNewEventAttributes = new()
                {
                    NewExecutionRunId = newRunId, WorkflowType = next.WorkflowType ?? new WorkflowType { Name = run.WorkflowType },
                    TaskQueue = next.TaskQueue ?? new TaskQueue { Name = run.TaskQueue, Kind = TaskQueueKind.Normal }, Input = next.Input,
                    WorkflowRunTimeout = next.WorkflowRunTimeout ?? Histories.ToDuration(run.RunTimeout),
                    WorkflowTaskTimeout = next.WorkflowTaskTimeout ?? Histories.ToDuration(run.TaskTimeout), Initiator = ContinueAsNewInitiator.Workflow,
                    Header = next.Header, Memo = next.Memo, WorkflowTaskCompletedEventId = completedEventId,
                    LastCompletionResult = next.LastCompletionResult,
                };
                Workflows.Close(run, now, WorkflowExecutionStatus.ContinuedAsNew, closed);
                return next;
        }
    }
}
