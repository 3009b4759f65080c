using Stigmer.Rpc.Temporal;

namespace Stigmer.Server.Engine;

/// <summary>What happens to a run from outside, and how it closes.</summary>
static class Workflows
{
    /// <summary>Temporal's default where neither client nor command names one, in milliseconds.</summary>
    public const long DefaultTaskTimeout = 10_000;

    /// <summary>Writes the first event and asks for the first decision.</summary>
    public static void Begin(RunState run, long now, WorkflowExecutionStartedEventAttributes started, UserMetadata? metadata = null)
    {
        run.Changes.IsNew = true;
        var begun = Histories.Event(EventType.WorkflowExecutionStarted, now);
        begun.WorkflowExecutionStartedEventAttributes = started;
        begun.UserMetadata = metadata;
        run.Append(begun);
        WorkflowTasks.Schedule(run, now);
    }

    /// <summary>Tells the workflow something.</summary>
    public static void Signal(RunState run, long now, SignalWorkflowExecutionRequest asked)
    {
        var signaled = Histories.Event(EventType.WorkflowExecutionSignaled, now);
        signaled.WorkflowExecutionSignaledEventAttributes = new()
        {
            SignalName = asked.SignalName, Input = asked.Input, Identity = asked.Identity, Header = asked.Header, RequestId = asked.RequestId,
        };
        run.Record(signaled);
        WorkflowTasks.Schedule(run, now);
    }

    /// <summary>Asks the workflow to stop; only the first request is told to it.</summary>
    public static void RequestCancel(RunState run, long now, string reason, string identity)
    {
        if (run.CancelRequested) return;
        run.CancelRequested = true;
        var requested = Histories.Event(EventType.WorkflowExecutionCancelRequested, now);
        requested.WorkflowExecutionCancelRequestedEventAttributes = new() { Cause = reason, Identity = identity };
        run.Record(requested);
        WorkflowTasks.Schedule(run, now);
    }

    /// <summary>Ends the run at once.</summary>
    public static void Terminate(RunState run, long now, string reason, Payloads? details, string identity)
    {
        WorkflowTasks.Drop(run, now);
        var terminated = Histories.Event(EventType.WorkflowExecutionTerminated, now);
        terminated.WorkflowExecutionTerminatedEventAttributes = new() { Reason = reason, Details = details, Identity = identity };
        Close(run, now, WorkflowExecutionStatus.Terminated, terminated);
    }

    /// <summary>The run's limit has passed.</summary>
    public static void TimeOut(RunState run, long now)
    {
        WorkflowTasks.Drop(run, now);
        var timedOut = Histories.Event(EventType.WorkflowExecutionTimedOut, now);
        timedOut.WorkflowExecutionTimedOutEventAttributes = new() { RetryState = RetryState.RetryPolicyNotSet };
        Close(run, now, WorkflowExecutionStatus.TimedOut, timedOut);
    }

    /// <summary>Writes the last event; whatever was open is forgotten.</summary>
    public static void Close(RunState run, long now, WorkflowExecutionStatus status, HistoryEvent last)
    {
        run.Append(last);
        run.Status = status;
        run.ClosedAt = now;
        run.Task = null;
        foreach (var activity in run.Activities.Values)
        {
            run.Changes.Activities.Remove(activity);
            run.Changes.EndedActivities.Add(activity);
        }
        run.Activities.Clear();
        foreach (var timer in run.Timers.Values) EndTimer(run, timer);
        run.Timers.Clear();
    }

    /// <summary>A timer's time has come.</summary>
    public static void Fire(RunState run, TimerState timer, long now)
    {
        run.Timers.Remove(timer.Id);
        EndTimer(run, timer);
        var fired = Histories.Event(EventType.TimerFired, now);
        fired.TimerFiredEventAttributes = new() { TimerId = timer.Id, StartedEventId = timer.StartedEventId };
        run.Record(fired);
        WorkflowTasks.Schedule(run, now);
    }

    internal static void EndTimer(RunState run, TimerState timer)
    {
        if (!run.Changes.Timers.Remove(timer)) run.Changes.EndedTimers.Add(timer);
    }
}
