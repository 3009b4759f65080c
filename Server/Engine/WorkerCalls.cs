using Stigmer.Rpc.Temporal;
using TemporalFailure = Stigmer.Rpc.Temporal.Failure;

namespace Stigmer.Server.Engine;

/// <summary>What workers answer, carried out in one step each. Refusals are thrown before anything is changed.</summary>
static class WorkerCalls
{
    /// <summary>Temporal ends a workflow whose history has grown beyond this.</summary>
    const int MaxHistoryEvents = 51_200;

    /// <inheritdoc cref="MaxHistoryEvents"/>
    const long MaxHistoryBytes = 50 * 1024 * 1024;

    /// <summary>Carries out what a workflow decided; or, where that cannot be done, why: its task has failed then and comes again.</summary>
    public static Commands.Refusal? CompleteWorkflowTask(Step step, RespondWorkflowTaskCompletedRequest answer)
    {
        var run = WorkflowTask(step, answer.TaskToken);
        step.Change(run);
        if (Commands.Check(run, answer.Commands) is { } refusal)
        {
            WorkflowTasks.Fail(run, step.Now, refusal.Cause, new TemporalFailure { Message = refusal.Why, Source = "Server", ServerFailureInfo = new() }, answer.Identity);
            return refusal;
        }
        var completed = WorkflowTasks.Complete(run, step.Now, answer.Identity);
        var newRunId = Guid.NewGuid().ToString();
        var outcome = Commands.Apply(run, step.Now, answer.Commands, completed, newRunId);
        if (run.FlushBuffer() || outcome.DecideAgain || answer.ForceCreateNewWorkflowTask) WorkflowTasks.Schedule(run, step.Now);
        if (outcome.Continuation is { } continuation) ClientCalls.Continue(step, run, newRunId, continuation, answer.Identity);
        if (run.IsOpen && (run.NextEventId > MaxHistoryEvents || run.HistoryBytes > MaxHistoryBytes))
        {
            Workflows.Terminate(run, step.Now, "Workflow history size / count exceeds limit.", null, "history-service");
        }
        return null;
    }

    public static RespondWorkflowTaskFailedResponse FailWorkflowTask(Step step, RespondWorkflowTaskFailedRequest answer)
    {
        var run = step.Change(WorkflowTask(step, answer.TaskToken));
        WorkflowTasks.Fail(run, step.Now, answer.Cause, answer.Failure, answer.Identity);
        return new RespondWorkflowTaskFailedResponse();
    }

    public static RecordActivityTaskHeartbeatResponse Heartbeat(Step step, RecordActivityTaskHeartbeatRequest beat)
    {
        var (run, activity) = Activity(step, beat.TaskToken);
        // Most say nothing new: nothing is stored then, and nothing waits for the disk.
        if (Activities.Heartbeat(run, activity, step.Now, beat.Details)) step.Change(run);
        return new RecordActivityTaskHeartbeatResponse { CancelRequested = activity.CancelRequestedEventId != 0 };
    }

    public static void CompleteActivity(Step step, RespondActivityTaskCompletedRequest answer)
    {
        var (run, activity) = Activity(step, answer.TaskToken);
        CompleteActivity(step, run, activity, answer.Result, answer.Identity);
    }

    public static void CompleteActivity(Step step, RespondActivityTaskCompletedByIdRequest answer)
    {
        var (run, activity) = Activity(step, answer.WorkflowId, answer.RunId, answer.ActivityId);
        CompleteActivity(step, run, activity, answer.Result, answer.Identity);
    }

    public static void FailActivity(Step step, RespondActivityTaskFailedRequest answer)
    {
        var (run, activity) = Activity(step, answer.TaskToken);
        Activities.Fail(step.Change(run), activity, step.Now, answer.Failure ?? new TemporalFailure(), answer.LastHeartbeatDetails, answer.Identity);
    }

    public static void FailActivity(Step step, RespondActivityTaskFailedByIdRequest answer)
    {
        var (run, activity) = Activity(step, answer.WorkflowId, answer.RunId, answer.ActivityId);
        Activities.Fail(step.Change(run), activity, step.Now, answer.Failure ?? new TemporalFailure(), answer.LastHeartbeatDetails, answer.Identity);
    }

    public static void CancelActivity(Step step, RespondActivityTaskCanceledRequest answer)
    {
        var (run, activity) = Activity(step, answer.TaskToken);
        CancelActivity(step, run, activity, answer.Details, answer.Identity);
    }

    public static void CancelActivity(Step step, RespondActivityTaskCanceledByIdRequest answer)
    {
        var (run, activity) = Activity(step, answer.WorkflowId, answer.RunId, answer.ActivityId);
        CancelActivity(step, run, activity, answer.Details, answer.Identity);
    }

    /// <summary>A task was given to a poll whose caller has gone: the next one gets it, as if it had not been given out.</summary>
    public static void Requeue(Step step, TaskToken token)
    {
        if (step.Find(token.RunKey) is not { } run) return;
        if (token.ScheduledEventId == 0)
        {
            if (run.Task is { IsStarted: true } task && task.Nonce == token.Nonce) WorkflowTasks.Requeue(step.Change(run));
        }
        else if (run.Activities.TryGetValue(token.ScheduledEventId, out var activity) && activity.IsStarted && activity.Nonce == token.Nonce)
        {
            Activities.Requeue(step.Change(run), activity);
        }
    }

    /// <summary>A worker has died: what it held is given to others at once.</summary>
    public static void WorkerGone(Step step, IEnumerable<RunState> all, string identity)
    {
        step.Queues.EndPolls(identity);
        foreach (var run in all.ToList())
        {
            if (run.Task is { IsStarted: true } task && task.Identity == identity) WorkflowTasks.Requeue(step.Change(run));
            foreach (var activity in run.Activities.Values.Where(activity => activity.IsStarted && activity.Identity == identity).ToList())
            {
                Activities.WorkerGone(step.Change(run), activity, step.Now);
            }
        }
    }

    static void CompleteActivity(Step step, RunState run, ActivityState activity, Payloads? result, string identity)
    {
        step.Change(run);
        if (!ClientCalls.IsTooLarge(result)) Activities.Complete(run, activity, step.Now, result, identity);
        else Activities.Fail(run, activity, step.Now, TooLarge("Complete result exceeds size limit."), heartbeat: null, identity);
    }

    static TemporalFailure TooLarge(string why) => new() { Message = why, Source = "Server", ServerFailureInfo = new() { NonRetryable = true } };

    static void CancelActivity(Step step, RunState run, ActivityState activity, Payloads? details, string identity)
    {
        if (activity.CancelRequestedEventId == 0) throw Errors.Invalid("activity task not cancel requested");
        Activities.Cancel(step.Change(run), activity, step.Now, details, identity);
    }

    static RunState WorkflowTask(Step step, Google.Protobuf.ByteString bytes)
    {
        var token = TaskToken.Parse(bytes);
        var run = step.Find(token.RunKey);
        return token.ScheduledEventId == 0 && run?.Task is { IsStarted: true } task && task.Nonce == token.Nonce ? run : throw Errors.NoTask("Workflow task");
    }

    static (RunState Run, ActivityState Activity) Activity(Step step, Google.Protobuf.ByteString bytes)
    {
        var token = TaskToken.Parse(bytes);
        var run = step.Find(token.RunKey);
        return run is not null && run.Activities.TryGetValue(token.ScheduledEventId, out var activity) && activity.IsStarted && activity.Nonce == token.Nonce
            ? (run, activity) : throw Errors.NoTask("Activity");
    }

    static (RunState Run, ActivityState Activity) Activity(Step step, string workflowId, string runId, string activityId)
    {
        var run = step.Find(new WorkflowExecution { WorkflowId = workflowId, RunId = runId });
        var activity = run.Activities.Values.FirstOrDefault(open => open.Scheduled.ActivityId == activityId);
        return activity is { IsStarted: true } ? (run, activity) : throw Errors.NoTask("Activity");
    }
}
