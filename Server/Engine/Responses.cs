using Stigmer.Rpc.Temporal;

namespace Stigmer.Server.Engine;

/// <summary>A run as the API shows it.</summary>
static class Responses
{
    /// <summary>The one namespace that there is.</summary>
    public const string Namespace = "default";

    /// <summary>A workflow task that was just given out, but for the history.</summary>
    public static PollWorkflowTaskQueueResponse WorkflowTask(RunState run, TaskToken token)
    {
        var task = run.Task!;
        return new PollWorkflowTaskQueueResponse
        {
            TaskToken = token.ToBytes(), WorkflowExecution = Execution(run), WorkflowType = new WorkflowType { Name = run.WorkflowType },
            PreviousStartedEventId = run.SeenEventId, StartedEventId = WorkflowTasks.Unwritten(run)[^1].EventId, Attempt = task.Attempt,
            WorkflowExecutionTaskQueue = new TaskQueue { Name = run.TaskQueue, Kind = TaskQueueKind.Normal },
            ScheduledTime = Histories.ToTimestamp(task.ScheduledAt), StartedTime = Histories.ToTimestamp(task.StartedAt),
        };
    }

    /// <summary>An activity that was just given out.</summary>
    public static PollActivityTaskQueueResponse ActivityTask(RunState run, ActivityState activity, TaskToken token)
    {
        var scheduled = activity.Scheduled;
        return new PollActivityTaskQueueResponse
        {
            TaskToken = token.ToBytes(), WorkflowNamespace = Namespace, WorkflowType = new WorkflowType { Name = run.WorkflowType },
            WorkflowExecution = Execution(run), ActivityType = scheduled.ActivityType, ActivityId = scheduled.ActivityId, Header = scheduled.Header,
            Input = scheduled.Input, HeartbeatDetails = activity.HeartbeatDetails, ScheduledTime = Histories.ToTimestamp(activity.ScheduledAt),
            CurrentAttemptScheduledTime = Histories.ToTimestamp(activity.ReadyAt), StartedTime = Histories.ToTimestamp(activity.StartedAt),
            Attempt = activity.Attempt, ScheduleToCloseTimeout = scheduled.ScheduleToCloseTimeout, StartToCloseTimeout = scheduled.StartToCloseTimeout,
            HeartbeatTimeout = scheduled.HeartbeatTimeout, RetryPolicy = scheduled.RetryPolicy,
        };
    }

    /// <summary>A run in a list.</summary>
    public static WorkflowExecutionInfo Info(RunRow row) => new()
    {
        Execution = new WorkflowExecution { WorkflowId = row.WorkflowId, RunId = row.RunId }, Type = new WorkflowType { Name = row.WorkflowType },
        StartTime = Histories.ToTimestamp(row.StartedAt), ExecutionTime = Histories.ToTimestamp(row.StartedAt),
        CloseTime = Histories.ToTimestamp(row.ClosedAt), Status = row.Status, HistoryLength = row.NextEventId - 1, Memo = row.Memo,
        TaskQueue = row.TaskQueue, HistorySizeBytes = row.HistoryBytes, FirstRunId = row.FirstRunId,
        ExecutionDuration = row.ClosedAt == 0 ? null : Histories.ToDuration(row.ClosedAt - row.StartedAt),
    };

    /// <summary>All about a run.</summary>
    /// <param name="run">Null: it is closed.</param>
    public static DescribeWorkflowExecutionResponse Description(RunRow row, RunState? run, long now)
    {
        var described = new DescribeWorkflowExecutionResponse
        {
            ExecutionConfig = new WorkflowExecutionConfig
            {
                TaskQueue = new TaskQueue { Name = row.TaskQueue, Kind = TaskQueueKind.Normal },
                WorkflowExecutionTimeout = Histories.ToDuration(row.ExecutionTimeout), WorkflowRunTimeout = Histories.ToDuration(row.RunTimeout),
                DefaultWorkflowTaskTimeout = Histories.ToDuration(row.TaskTimeout),
            },
            WorkflowExecutionInfo = Info(row),
            WorkflowExtendedInfo = new WorkflowExecutionExtendedInfo
            {
                ExecutionExpirationTime = Histories.ToTimestamp(row.ExecutionExpiresAt), RunExpirationTime = Histories.ToTimestamp(row.ExpiresAt),
                CancelRequested = row.CancelRequested,
            },
        };
        if (run is null) return described;
        described.PendingActivities.AddRange(run.Activities.Values.OrderBy(activity => activity.ScheduledEventId).Select(activity => Pending(activity, now)));
        if (run.Task is { } task)
        {
            described.PendingWorkflowTask = new PendingWorkflowTaskInfo
            {
                State = task.IsStarted ? PendingWorkflowTaskState.Started : PendingWorkflowTaskState.Scheduled, Attempt = task.Attempt,
                ScheduledTime = Histories.ToTimestamp(task.ScheduledAt), OriginalScheduledTime = Histories.ToTimestamp(task.ScheduledAt),
                StartedTime = Histories.ToTimestamp(task.StartedAt),
            };
        }
        return described;
    }

    static PendingActivityInfo Pending(ActivityState activity, long now)
    {
        var scheduleToClose = activity.Scheduled.ScheduleToCloseTimeout.ToMilliseconds();
        return new PendingActivityInfo
        {
            ActivityId = activity.Scheduled.ActivityId, ActivityType = activity.Scheduled.ActivityType,
            State = activity.CancelRequestedEventId != 0 ? PendingActivityState.CancelRequested
                : activity.IsStarted ? PendingActivityState.Started : PendingActivityState.Scheduled,
            HeartbeatDetails = activity.HeartbeatDetails, LastHeartbeatTime = Histories.ToTimestamp(activity.HeartbeatAt),
            LastStartedTime = Histories.ToTimestamp(activity.StartedAt), Attempt = activity.Attempt,
            MaximumAttempts = activity.Scheduled.RetryPolicy.MaximumAttempts,
            ScheduledTime = Histories.ToTimestamp(activity.Attempt == 1 ? activity.ScheduledAt : activity.ReadyAt),
            ExpirationTime = Histories.ToTimestamp(scheduleToClose == 0 ? 0 : activity.ScheduledAt + scheduleToClose), LastFailure = activity.LastFailure,
            LastWorkerIdentity = activity.IsStarted ? activity.Identity : activity.LastIdentity,
            LastAttemptCompleteTime = Histories.ToTimestamp(activity.LastEndedAt),
            NextAttemptScheduleTime = Histories.ToTimestamp(activity.ReadyAt > now ? activity.ReadyAt : 0),
            CurrentRetryInterval = activity.ReadyAt > now ? Histories.ToDuration(activity.ReadyAt - activity.LastEndedAt) : null,
        };
    }

    static WorkflowExecution Execution(RunState run) => new() { WorkflowId = run.WorkflowId, RunId = run.RunId };
}
