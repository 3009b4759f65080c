using System.Globalization;
using Google.Protobuf.WellKnownTypes;
using Stigmer.Rpc.Temporal;
using TemporalFailure = Stigmer.Rpc.Temporal.Failure;

namespace Stigmer.Server.Engine;

/// <summary>
/// The life of an activity: attempts until one ends it. ActivityTaskStarted is written only with the end, so that attempts
/// that are repeated leave no events.
/// </summary>
static class Activities
{
    /// <summary>A workflow has at most so many open activities (Temporal's limit).</summary>
    public const int MaxPending = 2_000;

    /// <summary>The policy that applies: Temporal's defaults where the command says nothing.</summary>
    public static RetryPolicy WithDefaults(RetryPolicy? asked)
    {
        var policy = asked?.Clone() ?? new RetryPolicy();
        var initial = policy.InitialInterval.ToMilliseconds();
        if (initial == 0) policy.InitialInterval = Histories.ToDuration(initial = 1000);
        if (policy.BackoffCoefficient == 0) policy.BackoffCoefficient = 2;
        if (policy.MaximumInterval.ToMilliseconds() == 0) policy.MaximumInterval = Histories.ToDuration(initial * 100);
        return policy;
    }

    /// <summary>Why a command cannot be carried out; null where it can.</summary>
    public static string? Complaint(ScheduleActivityTaskCommandAttributes asked)
    {
        if (asked.ActivityId.Length == 0) return "ActivityId is not set on ScheduleActivityTaskCommand";
        if (string.IsNullOrEmpty(asked.ActivityType?.Name)) return "ActivityType is not set on ScheduleActivityTaskCommand";
        if (asked.ActivityId.Length > 1000 || asked.ActivityType.Name.Length > 1000) return "An id or a type is longer than 1000 characters";
        if (asked.StartToCloseTimeout.ToMilliseconds() == 0 && asked.ScheduleToCloseTimeout.ToMilliseconds() == 0)
        {
            return "A valid StartToClose or ScheduleToCloseTimeout is not set on ScheduleActivityTaskCommand";
        }
        var policy = asked.RetryPolicy;
        if (policy is null) return null;
        if (policy.BackoffCoefficient is not 0 and not >= 1) return "RetryPolicy.BackoffCoefficient is less than 1";
        if (policy.MaximumAttempts < 0) return "RetryPolicy.MaximumAttempts is negative";
        return null;
    }

    /// <summary>Opens an activity, as a valid command asks.</summary>
    public static void Schedule(RunState run, long now, ScheduleActivityTaskCommandAttributes asked, UserMetadata? metadata, long completedEventId)
    {
        var longest = run.ExpiresAt == 0 ? 0 : Math.Max(1, run.ExpiresAt - now);
        var scheduleToClose = AtMost(asked.ScheduleToCloseTimeout.ToMilliseconds(), longest);
        var startToClose = AtMost(asked.StartToCloseTimeout.ToMilliseconds(), scheduleToClose);
        var attributes = new ActivityTaskScheduledEventAttributes
        {
            ActivityId = asked.ActivityId, ActivityType = asked.ActivityType, Header = asked.Header, Input = asked.Input,
            TaskQueue = string.IsNullOrEmpty(asked.TaskQueue?.Name) ? new TaskQueue { Name = run.TaskQueue, Kind = TaskQueueKind.Normal } : asked.TaskQueue,
            ScheduleToCloseTimeout = Histories.ToDuration(scheduleToClose), StartToCloseTimeout = Histories.ToDuration(startToClose),
            ScheduleToStartTimeout = Histories.ToDuration(AtMost(asked.ScheduleToStartTimeout.ToMilliseconds(), 0)),
            HeartbeatTimeout = Histories.ToDuration(Math.Min(asked.HeartbeatTimeout.ToMilliseconds(), startToClose)),
            WorkflowTaskCompletedEventId = completedEventId, RetryPolicy = WithDefaults(asked.RetryPolicy),
        };
        var scheduled = Histories.Event(EventType.ActivityTaskScheduled, now);
        scheduled.ActivityTaskScheduledEventAttributes = attributes;
        scheduled.UserMetadata = metadata;
        run.Append(scheduled);
        var activity = new ActivityState { ScheduledEventId = scheduled.EventId, Scheduled = attributes, ScheduledAt = now, ReadyAt = now };
        run.Activities.Add(activity.ScheduledEventId, activity);
        run.Changes.Activities.Add(activity);
    }

    /// <summary>A worker takes the activity.</summary>
    public static void Start(RunState run, ActivityState activity, long now, string identity, long nonce)
    {
        activity.StartedAt = now;
        activity.HeartbeatAt = 0;
        activity.Identity = identity;
        activity.Nonce = nonce;
        run.Changes.Activities.Add(activity);
    }

    /// <summary>Takes an activity back whose poll's caller has gone, as if it had not been given out.</summary>
    public static void Requeue(RunState run, ActivityState activity)
    {
        NotStarted(activity);
        run.Changes.Activities.Add(activity);
    }

    /// <summary>
    /// The worker that held it has died: the next attempt may begin at once. Where there is none (asked to stop, or out of
    /// attempts), it ends as if its heartbeat had timed out.
    /// </summary>
    public static void WorkerGone(RunState run, ActivityState activity, long now) => TimeOut(run, activity, now, TimeoutType.Heartbeat, interval: 0);

    /// <summary>A sign of life; whether its row is outdated by it.</summary>
    public static bool Heartbeat(RunState run, ActivityState activity, long now, Payloads? details)
    {
        activity.HeartbeatAt = now;
        if (details is null || details.Equals(activity.HeartbeatDetails)) return false;
        activity.HeartbeatDetails = details;
        run.Changes.Activities.Add(activity);
        return true;
    }

    /// <summary>It has a result.</summary>
    public static void Complete(RunState run, ActivityState activity, long now, Payloads? result, string identity)
    {
        var started = RecordStarted(run, activity);
        var completed = Histories.Event(EventType.ActivityTaskCompleted, now);
        completed.ActivityTaskCompletedEventAttributes = new()
        {
            Result = result, ScheduledEventId = activity.ScheduledEventId, StartedEventId = started, Identity = identity,
        };
        End(run, activity, completed);
        WorkflowTasks.Schedule(run, now);
    }

    /// <summary>An attempt has failed: another one follows, unless the policy, the failure, a limit or a cancel speaks against it.</summary>
    public static void Fail(RunState run, ActivityState activity, long now, TemporalFailure failure, Payloads? heartbeat, string identity)
    {
        if (heartbeat is not null) activity.HeartbeatDetails = heartbeat;
        var (state, interval) = Retry(activity, now, failure, forced: null);
        if (state == RetryState.InProgress)
        {
            NextAttempt(run, activity, now, interval, failure);
            return;
        }
        var started = RecordStarted(run, activity);
        var failed = Histories.Event(EventType.ActivityTaskFailed, now);
        failed.ActivityTaskFailedEventAttributes = new()
        {
            Failure = failure, ScheduledEventId = activity.ScheduledEventId, StartedEventId = started, Identity = identity, RetryState = state,
        };
        End(run, activity, failed);
        WorkflowTasks.Schedule(run, now);
    }

    /// <summary>A limit has passed. Start-to-close and heartbeat end one attempt, the two others the activity.</summary>
    /// <param name="interval">In place of the policy's, in milliseconds.</param>
    public static void TimeOut(RunState run, ActivityState activity, long now, TimeoutType type, long? interval = null)
    {
        var failure = new TemporalFailure
        {
            Message = $"activity {type} timeout", Source = "Server",
            TimeoutFailureInfo = new() { TimeoutType = type, LastHeartbeatDetails = activity.HeartbeatDetails },
        };
        var (state, pause) = type is TimeoutType.StartToClose or TimeoutType.Heartbeat
            ? Retry(activity, now, failure, interval) : (RetryState.Timeout, 0);
        if (state == RetryState.InProgress)
        {
            NextAttempt(run, activity, now, pause, failure);
            return;
        }
        if (type is TimeoutType.ScheduleToClose or TimeoutType.ScheduleToStart && activity.LastFailure is { } earlier) failure.Cause = earlier;
        var started = RecordStarted(run, activity);
        var timedOut = Histories.Event(EventType.ActivityTaskTimedOut, now);
        timedOut.ActivityTaskTimedOutEventAttributes = new()
        {
            Failure = failure, ScheduledEventId = activity.ScheduledEventId, StartedEventId = started, RetryState = state,
        };
        End(run, activity, timedOut);
        WorkflowTasks.Schedule(run, now);
    }

    /// <summary>The workflow asks an activity to stop: at once where no worker has it, else by the answer to its next heartbeat.</summary>
    /// <returns>Whether it was ended at once.</returns>
    public static bool RequestCancel(RunState run, long scheduledEventId, long now, long completedEventId)
    {
        var requested = Histories.Event(EventType.ActivityTaskCancelRequested, now);
        requested.ActivityTaskCancelRequestedEventAttributes = new() { ScheduledEventId = scheduledEventId, WorkflowTaskCompletedEventId = completedEventId };
        run.Append(requested);
        // It may have ended while the task was worked on; its end is then about to be written.
        if (!run.Activities.TryGetValue(scheduledEventId, out var activity)) return false;
        activity.CancelRequestedEventId = requested.EventId;
        run.Changes.Activities.Add(activity);
        if (activity.IsStarted) return false;
        RecordCanceled(run, activity, now, details: null, identity: "");
        return true;
    }

    /// <summary>It has stopped because it was asked to.</summary>
    public static void Cancel(RunState run, ActivityState activity, long now, Payloads? details, string identity)
    {
        RecordCanceled(run, activity, now, details, identity);
        WorkflowTasks.Schedule(run, now);
    }

    /// <summary>When the engine must look at the activity again, and for which limit; <see cref="TimeoutType.Unspecified"/>: its next attempt begins.</summary>
    public static (long At, TimeoutType Limit) Due(ActivityState activity, long now)
    {
        var due = (At: long.MaxValue, Limit: TimeoutType.Unspecified);
        var scheduled = activity.Scheduled;
        Earlier(activity.ScheduledAt, scheduled.ScheduleToCloseTimeout, TimeoutType.ScheduleToClose);
        if (activity.IsStarted)
        {
            Earlier(activity.StartedAt, scheduled.StartToCloseTimeout, TimeoutType.StartToClose);
            Earlier(Math.Max(activity.StartedAt, activity.HeartbeatAt), scheduled.HeartbeatTimeout, TimeoutType.Heartbeat);
        }
        else
        {
            Earlier(activity.ReadyAt, scheduled.ScheduleToStartTimeout, TimeoutType.ScheduleToStart);
            if (activity.ReadyAt > now && activity.ReadyAt < due.At) due = (activity.ReadyAt, TimeoutType.Unspecified);
        }
        return due;

        void Earlier(long from, Duration? limit, TimeoutType type)
        {
            var length = limit.ToMilliseconds();
            if (length != 0 && from + length < due.At) due = (from + length, type);
        }
    }

    /// <summary>Whether an attempt follows a failure, and after how many milliseconds.</summary>
    internal static (RetryState State, long Interval) Retry(ActivityState activity, long now, TemporalFailure failure, long? forced)
    {
        var policy = activity.Scheduled.RetryPolicy;
        if (activity.CancelRequestedEventId != 0) return (RetryState.CancelRequested, 0);
        if (!IsRetryable(failure, policy)) return (RetryState.NonRetryableFailure, 0);
        if (policy.MaximumAttempts > 0 && activity.Attempt >= policy.MaximumAttempts) return (RetryState.MaximumAttemptsReached, 0);
        var interval = forced ?? (failure.ApplicationFailureInfo?.NextRetryDelay is { } asked ? asked.ToMilliseconds() : Interval(policy, activity.Attempt));
        var scheduleToClose = activity.Scheduled.ScheduleToCloseTimeout.ToMilliseconds();
        if (scheduleToClose != 0 && now + interval >= activity.ScheduledAt + scheduleToClose) return (RetryState.Timeout, 0);
        return (RetryState.InProgress, interval);
    }

    /// <summary>initial × coefficient^(attempt−1), at most the maximum, in milliseconds.</summary>
    internal static long Interval(RetryPolicy policy, int attempt)
    {
        var longest = (double)policy.MaximumInterval.ToMilliseconds();
        var interval = policy.InitialInterval.ToMilliseconds() * Math.Pow(policy.BackoffCoefficient, attempt - 1);
        // Not a number and infinity, too, end here.
        return (long)(interval < longest ? interval : longest);
    }

    static bool IsRetryable(TemporalFailure failure, RetryPolicy policy) => failure.FailureInfoCase switch
    {
        TemporalFailure.FailureInfoOneofCase.ApplicationFailureInfo =>
            !failure.ApplicationFailureInfo.NonRetryable && !policy.NonRetryableErrorTypes.Contains(failure.ApplicationFailureInfo.Type),
        TemporalFailure.FailureInfoOneofCase.ServerFailureInfo => !failure.ServerFailureInfo.NonRetryable,
        TemporalFailure.FailureInfoOneofCase.CanceledFailureInfo or TemporalFailure.FailureInfoOneofCase.TerminatedFailureInfo => false,
        TemporalFailure.FailureInfoOneofCase.TimeoutFailureInfo =>
            failure.TimeoutFailureInfo.TimeoutType is TimeoutType.StartToClose or TimeoutType.Heartbeat
            && !policy.NonRetryableErrorTypes.Contains($"TemporalTimeout:{failure.TimeoutFailureInfo.TimeoutType}"),
        _ => true,
    };

    static void NextAttempt(RunState run, ActivityState activity, long now, long interval, TemporalFailure failure)
    {
        activity.LastIdentity = activity.Identity;
        NotStarted(activity);
        activity.Attempt++;
        activity.ReadyAt = now + interval;
        activity.LastFailure = failure;
        activity.LastEndedAt = now;
        run.Changes.Activities.Add(activity);
    }

    static void NotStarted(ActivityState activity)
    {
        activity.StartedAt = 0;
        activity.HeartbeatAt = 0;
        activity.Identity = "";
        activity.Nonce = 0;
    }

    /// <summary>Writes ActivityTaskStarted where a worker has the activity. Its id; 0 where there is none, or none yet.</summary>
    static long RecordStarted(RunState run, ActivityState activity)
    {
        if (!activity.IsStarted) return 0;
        var started = Histories.Event(EventType.ActivityTaskStarted, activity.StartedAt);
        started.ActivityTaskStartedEventAttributes = new()
        {
            ScheduledEventId = activity.ScheduledEventId, Identity = activity.Identity, Attempt = activity.Attempt, LastFailure = activity.LastFailure,
            RequestId = activity.Nonce.ToString("x16", CultureInfo.InvariantCulture),
        };
        run.Record(started);
        return started.EventId;
    }

    static void RecordCanceled(RunState run, ActivityState activity, long now, Payloads? details, string identity)
    {
        var started = RecordStarted(run, activity);
        var canceled = Histories.Event(EventType.ActivityTaskCanceled, now);
        canceled.ActivityTaskCanceledEventAttributes = new()
        {
            Details = details, LatestCancelRequestedEventId = activity.CancelRequestedEventId, ScheduledEventId = activity.ScheduledEventId,
            StartedEventId = started, Identity = identity,
        };
        End(run, activity, canceled);
    }

    static void End(RunState run, ActivityState activity, HistoryEvent end)
    {
        run.Record(end);
        run.Activities.Remove(activity.ScheduledEventId);
        run.Changes.Activities.Remove(activity);
        run.Changes.EndedActivities.Add(activity);
    }

    static long AtMost(long asked, long longest) => longest == 0 ? asked : asked == 0 ? longest : Math.Min(asked, longest);
}
