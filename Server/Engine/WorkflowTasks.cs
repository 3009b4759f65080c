using System.Globalization;
using Stigmer.Rpc.Temporal;
using TemporalFailure = Stigmer.Rpc.Temporal.Failure;

namespace Stigmer.Server.Engine;

/// <summary>
/// The life of a workflow task. That it was given out is not written to the history before it ends: so it can be taken back
/// from a caller who has gone, as if it had never been given, and a later attempt leaves no trace unless it completes.
/// </summary>
static class WorkflowTasks
{
    /// <summary>Temporal's default (history.historyCountSuggestContinueAsNew): so many events are called long.</summary>
    const int LongHistoryEvents = 4 * 1024;

    /// <summary>Temporal's default (history.historySizeSuggestContinueAsNew).</summary>
    const long LongHistoryBytes = 4 * 1024 * 1024;

    /// <summary>A worker whose tasks keep failing is not asked more often than this, in milliseconds.</summary>
    const long MaxRetryInterval = 10_000;

    /// <summary>There is something to decide: schedules a task unless one waits or is worked on.</summary>
    public static void Schedule(RunState run, long now)
    {
        if (run.Task is not null || !run.IsOpen) return;
        run.Task = new WorkflowTaskState { Attempt = 1, ScheduledEventId = run.NextEventId, ScheduledAt = now };
        run.Append(Scheduled(run, run.Task));
    }

    /// <summary>A worker takes the task. Nothing is written to the history yet but, where it is needed, the Scheduled event.</summary>
    public static void Start(RunState run, long now, string identity, long nonce)
    {
        var task = run.Task!;
        if (task.IsTransient && task.ScheduledEventId != run.NextEventId)
        {
            // Something was written since: this is a task of its own and no mere repetition.
            task.Attempt = 1;
            task.ScheduledEventId = run.NextEventId;
            run.Append(Scheduled(run, task));
        }
        task.StartedAt = now;
        task.Identity = identity;
        task.Nonce = nonce;
    }

    /// <summary>Takes a task back whose worker has gone, as if it had not been given out.</summary>
    public static void Requeue(RunState run)
    {
        var task = run.Task!;
        task.StartedAt = 0;
        task.Identity = "";
        task.Nonce = 0;
        run.FlushBuffer();
    }

    /// <summary>The events of a task that is worked on and that are not in the history: what a worker sees at its end.</summary>
    public static List<HistoryEvent> Unwritten(RunState run)
    {
        var task = run.Task!;
        var events = new List<HistoryEvent>(2);
        if (task.IsTransient)
        {
            events.Add(Scheduled(run, task));
            events[0].EventId = task.ScheduledEventId;
        }
        var started = Started(run, task);
        started.EventId = run.NextEventId + events.Count;
        events.Add(started);
        return events;
    }

    /// <summary>The worker has answered: writes the task's events. The run has no task then. Returns the id of WorkflowTaskCompleted.</summary>
    public static long Complete(RunState run, long now, string identity)
    {
        var task = run.Task!;
        // Made before anything is written, so that it is what the worker saw.
        var started = Started(run, task);
        if (task.IsTransient) run.Append(Scheduled(run, task));
        run.Append(started);
        run.SeenEventId = started.EventId;
        run.Task = null;
        var completed = Histories.Event(EventType.WorkflowTaskCompleted, now);
        completed.WorkflowTaskCompletedEventAttributes = new() { ScheduledEventId = task.ScheduledEventId, StartedEventId = started.EventId, Identity = identity };
        return run.Append(completed).EventId;
    }

    /// <summary>The worker could not decide, or decided what cannot be done: the task comes again.</summary>
    public static void Fail(RunState run, long now, WorkflowTaskFailedCause cause, TemporalFailure? failure, string identity)
    {
        Ended(run, now, (scheduled, started) =>
        {
            var failed = Histories.Event(EventType.WorkflowTaskFailed, now);
            failed.WorkflowTaskFailedEventAttributes = new()
            {
                ScheduledEventId = scheduled, StartedEventId = started, Cause = cause, Failure = failure, Identity = identity,
            };
            return failed;
        });
    }

    /// <summary>The worker did not answer in time: the task comes again.</summary>
    public static void TimeOut(RunState run, long now)
    {
        Ended(run, now, (scheduled, started) =>
        {
            var timedOut = Histories.Event(EventType.WorkflowTaskTimedOut, now);
            timedOut.WorkflowTaskTimedOutEventAttributes = new() { ScheduledEventId = scheduled, StartedEventId = started, TimeoutType = TimeoutType.StartToClose };
            return timedOut;
        });
    }

    /// <summary>The run is closed from outside: a task that is worked on ends, and what was kept until then is written.</summary>
    public static void Drop(RunState run, long now)
    {
        if (run.Task is { IsStarted: true, IsTransient: false } task)
        {
            var started = run.Append(Started(run, task));
            var failed = Histories.Event(EventType.WorkflowTaskFailed, now);
            failed.WorkflowTaskFailedEventAttributes = new()
            {
                ScheduledEventId = task.ScheduledEventId, StartedEventId = started.EventId, Cause = WorkflowTaskFailedCause.ForceCloseCommand,
                Identity = task.Identity,
            };
            run.Append(failed);
        }
        run.Task = null;
        run.FlushBuffer();
    }

    /// <summary>When the engine must look at the task again; 0: no need.</summary>
    public static long DueAt(RunState run, long now) => run.Task switch
    {
        { IsStarted: true } task => task.StartedAt + run.TaskTimeout,
        { } task when task.ReadyAt > now => task.ReadyAt,
        _ => 0,
    };

    static void Ended(RunState run, long now, Func<long, long, HistoryEvent> end)
    {
        var task = run.Task!;
        if (!task.IsTransient)
        {
            var started = run.Append(Started(run, task));
            run.Append(end(task.ScheduledEventId, started.EventId));
        }
        run.Task = null;
        if (run.FlushBuffer())
        {
            Schedule(run, now);
            return;
        }
        var attempt = task.Attempt + 1;
        run.Task = new WorkflowTaskState
        {
            Attempt = attempt, ScheduledEventId = run.NextEventId, ScheduledAt = now,
            ReadyAt = attempt < 3 ? 0 : now + Math.Min(MaxRetryInterval, 1000L << Math.Min(attempt - 3, 10)),
        };
    }

    static HistoryEvent Scheduled(RunState run, WorkflowTaskState task)
    {
        var scheduled = Histories.Event(EventType.WorkflowTaskScheduled, task.ScheduledAt);
        scheduled.WorkflowTaskScheduledEventAttributes = new()
        {
            TaskQueue = new TaskQueue { Name = run.TaskQueue, Kind = TaskQueueKind.Normal },
            StartToCloseTimeout = Histories.ToDuration(run.TaskTimeout), Attempt = task.Attempt,
        };
        return scheduled;
    }

    static HistoryEvent Started(RunState run, WorkflowTaskState task)
    {
        var started = Histories.Event(EventType.WorkflowTaskStarted, task.StartedAt);
        started.WorkflowTaskStartedEventAttributes = new()
        {
            ScheduledEventId = task.ScheduledEventId, Identity = task.Identity,
            RequestId = task.Nonce.ToString("x16", CultureInfo.InvariantCulture), HistorySizeBytes = run.HistoryBytes,
            SuggestContinueAsNew = run.NextEventId > LongHistoryEvents || run.HistoryBytes > LongHistoryBytes,
        };
        return started;
    }
}
