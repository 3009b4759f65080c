using Google.Protobuf;
using Grpc.Core;
using Stigmer.Rpc.Temporal;
using Stigmer.Server.Engine;
using static Stigmer.Tests.Engine.EngineHost;
using TemporalFailure = Stigmer.Rpc.Temporal.Failure;

namespace Stigmer.Tests.Engine;

public sealed class ActivityTests
{
    static async Task<EngineHost> WithActivity(Action<ScheduleActivityTaskCommandAttributes>? change = null)
    {
        var host = await EngineHost.Start();
        await host.StartWorkflow();
        await host.Decide(Schedule("a", change));
        return host;
    }

    const string Begun = "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted ActivityTaskScheduled";

    [Fact]
    public async Task A_scheduled_activity_reaches_a_worker_with_all_that_was_asked()
    {
        await using var host = await WithActivity(a => a.RetryPolicy = new() { MaximumAttempts = 3 });
        var task = await host.ActivityTask("w1");
        Assert.Equal(("a", "act", "a", 1), (task.ActivityId, task.ActivityType.Name, TextOf(task.Input), task.Attempt));
        Assert.Equal(("w", "t", "default"), (task.WorkflowExecution.WorkflowId, task.WorkflowType.Name, task.WorkflowNamespace));
        Assert.Equal((Seconds(3600), Seconds(10)), (task.StartToCloseTimeout, task.HeartbeatTimeout));
        Assert.Equal((3, 2.0, Seconds(1), Seconds(100)), (task.RetryPolicy.MaximumAttempts, task.RetryPolicy.BackoffCoefficient,
            task.RetryPolicy.InitialInterval, task.RetryPolicy.MaximumInterval));
        var pending = (await host.Describe()).PendingActivities.Single();
        Assert.Equal((PendingActivityState.Started, "w1", 1), (pending.State, pending.LastWorkerIdentity, pending.Attempt));
    }

    [Fact]
    public async Task That_it_was_started_is_written_with_its_end()
    {
        await using var host = await WithActivity();
        var task = await host.ActivityTask();
        Assert.Equal(Begun, await host.Story());
        await host.Complete(task, "answer");
        var history = await host.History();
        Assert.Equal(Begun + " ActivityTaskStarted ActivityTaskCompleted WorkflowTaskScheduled", Told(history));
        var completed = history[6].ActivityTaskCompletedEventAttributes;
        Assert.Equal((5, 6, "answer"), (completed.ScheduledEventId, completed.StartedEventId, TextOf(completed.Result)));
        await Refused(StatusCode.NotFound, () => host.Complete(task));
    }

    [Fact]
    public async Task An_end_while_a_workflow_task_is_worked_on_keeps_its_start_and_its_end_together()
    {
        await using var host = await WithActivity();
        var activity = await host.ActivityTask();
        await host.Signal();
        var task = await host.WorkflowTask();
        await host.Complete(activity);
        await host.Complete(task, StartTimer("t", 1));
        var history = await host.History();
        Assert.EndsWith("WorkflowTaskCompleted TimerStarted ActivityTaskStarted ActivityTaskCompleted WorkflowTaskScheduled", Told(history), StringComparison.Ordinal);
        var completed = history[^2];
        Assert.Equal(completed.EventId - 1, completed.ActivityTaskCompletedEventAttributes.StartedEventId);
    }

    [Fact]
    public async Task A_failed_attempt_is_repeated_after_the_policys_interval_without_a_trace()
    {
        await using var host = await WithActivity();
        foreach (var (attempt, seconds) in new[] { (1, 1), (2, 2), (3, 4) })
        {
            var task = await host.ActivityTask();
            Assert.Equal(attempt, task.Attempt);
            await host.Fail(task);
            var pending = (await host.Describe()).PendingActivities.Single();
            Assert.Equal((PendingActivityState.Scheduled, attempt + 1, "it broke"), (pending.State, pending.Attempt, pending.LastFailure.Message));
            host.Time.Advance(TimeSpan.FromSeconds(seconds) - TimeSpan.FromMilliseconds(1));
            Assert.Equal(0, await host.Backlog(TaskQueueType.Activity));
            host.Time.Advance(TimeSpan.FromMilliseconds(1));
            Assert.Equal(1, await host.Backlog(TaskQueueType.Activity));
        }
        Assert.Equal(Begun, await host.Story());
    }

    [Theory, InlineData(1, 1000), InlineData(2, 2000), InlineData(3, 4000), InlineData(4, 5000), InlineData(60, 5000), InlineData(5000, 5000)]
    public void The_interval_grows_by_the_coefficient_up_to_the_maximum(int attempt, long milliseconds)
    {
        var policy = new RetryPolicy { InitialInterval = Seconds(1), BackoffCoefficient = 2, MaximumInterval = Seconds(5) };
        Assert.Equal(milliseconds, Activities.Interval(policy, attempt));
    }

    [Fact]
    public async Task The_failure_may_say_when_to_try_again()
    {
        await using var host = await WithActivity();
        await host.Fail(await host.ActivityTask(), f => f.ApplicationFailureInfo.NextRetryDelay = Seconds(30));
        using var poll = host.PollingActivity();
        await host.Describe();
        host.Time.Advance(TimeSpan.FromSeconds(29));
        await host.Describe();
        Assert.False(poll.ResponseAsync.IsCompleted);
        host.Time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(2, (await poll).Attempt);
    }

    [Fact]
    public async Task Attempts_end_at_their_maximum()
    {
        await using var host = await WithActivity(a => a.RetryPolicy = new() { MaximumAttempts = 2 });
        await host.Fail(await host.ActivityTask());
        host.Time.Advance(TimeSpan.FromSeconds(1));
        await host.Fail(await host.ActivityTask());
        var history = await host.History();
        Assert.Equal(Begun + " ActivityTaskStarted ActivityTaskFailed WorkflowTaskScheduled", Told(history));
        Assert.Equal((2, "it broke"), (history[5].ActivityTaskStartedEventAttributes.Attempt, history[5].ActivityTaskStartedEventAttributes.LastFailure.Message));
        Assert.Equal(RetryState.MaximumAttemptsReached, history[6].ActivityTaskFailedEventAttributes.RetryState);
    }

    [Theory, InlineData(true, "Broken"), InlineData(false, "Hopeless")]
    public async Task A_failure_that_says_so_or_is_listed_is_final(bool nonRetryable, string type)
    {
        await using var host = await WithActivity(a => a.RetryPolicy = new() { NonRetryableErrorTypes = { "Hopeless" } });
        await host.Fail(await host.ActivityTask(), f => f.ApplicationFailureInfo = new() { Type = type, NonRetryable = nonRetryable });
        Assert.Equal(RetryState.NonRetryableFailure, (await host.History())[6].ActivityTaskFailedEventAttributes.RetryState);
    }

    [Fact]
    public async Task An_attempt_that_could_not_begin_before_the_limit_of_all_is_not_awaited()
    {
        await using var host = await WithActivity(a => a.ScheduleToCloseTimeout = Seconds(5));
        await host.Fail(await host.ActivityTask(), f => f.ApplicationFailureInfo.NextRetryDelay = Seconds(5));
        Assert.Equal(RetryState.Timeout, (await host.History())[6].ActivityTaskFailedEventAttributes.RetryState);
    }

    [Fact]
    public async Task An_attempt_that_takes_too_long_is_repeated()
    {
        await using var host = await WithActivity(a => (a.StartToCloseTimeout, a.HeartbeatTimeout) = (Seconds(20), null));
        var late = await host.ActivityTask();
        host.Time.Advance(TimeSpan.FromSeconds(20));
        var pending = (await host.Describe()).PendingActivities.Single();
        Assert.Equal((2, TimeoutType.StartToClose), (pending.Attempt, pending.LastFailure.TimeoutFailureInfo.TimeoutType));
        await Refused(StatusCode.NotFound, () => host.Complete(late));
        host.Time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(2, (await host.ActivityTask()).Attempt);
    }

    [Fact]
    public async Task An_activity_that_no_worker_takes_in_time_is_not_repeated()
    {
        await using var host = await WithActivity(a => a.ScheduleToStartTimeout = Seconds(3));
        host.Time.Advance(TimeSpan.FromSeconds(3));
        var timedOut = (await host.History())[5];
        Assert.Equal(EventType.ActivityTaskTimedOut, timedOut.EventType);
        Assert.Equal((0L, TimeoutType.ScheduleToStart), (timedOut.ActivityTaskTimedOutEventAttributes.StartedEventId,
            timedOut.ActivityTaskTimedOutEventAttributes.Failure.TimeoutFailureInfo.TimeoutType));
    }

    [Fact]
    public async Task The_limit_of_all_attempts_ends_the_activity_and_names_the_last_failure()
    {
        await using var host = await WithActivity(a => a.ScheduleToCloseTimeout = Seconds(30));
        await host.Fail(await host.ActivityTask(), f => f.ApplicationFailureInfo.NextRetryDelay = Seconds(10));
        host.Time.Advance(TimeSpan.FromSeconds(10));
        await host.Describe();
        host.Time.Advance(TimeSpan.FromSeconds(20));
        var timedOut = (await host.History())[5].ActivityTaskTimedOutEventAttributes;
        Assert.Equal((TimeoutType.ScheduleToClose, "it broke", RetryState.Timeout),
            (timedOut.Failure.TimeoutFailureInfo.TimeoutType, timedOut.Failure.Cause.Message, timedOut.RetryState));
    }

    [Fact]
    public async Task Without_heartbeats_an_attempt_is_repeated_and_the_next_gets_the_last_details()
    {
        await using var host = await WithActivity();
        var first = await host.ActivityTask();
        Assert.Null(first.HeartbeatDetails);
        for (var beat = 1; beat <= 3; beat++)
        {
            host.Time.Advance(TimeSpan.FromSeconds(9));
            Assert.False((await host.Heartbeat(first, $"row {beat}")).CancelRequested);
        }
        host.Time.Advance(TimeSpan.FromSeconds(9));
        await host.Heartbeat(first);
        host.Time.Advance(TimeSpan.FromSeconds(10));
        await Refused(StatusCode.NotFound, () => host.Heartbeat(first));
        host.Time.Advance(TimeSpan.FromSeconds(1));
        var second = await host.ActivityTask();
        Assert.Equal((2, "row 3"), (second.Attempt, TextOf(second.HeartbeatDetails)));
        Assert.Equal(TimeoutType.Heartbeat, (await host.Describe()).PendingActivities.Single().LastFailure.TimeoutFailureInfo.TimeoutType);
    }

    [Fact]
    public async Task A_worker_learns_of_a_cancel_by_its_heartbeat_and_stops()
    {
        await using var host = await WithActivity();
        var activity = await host.ActivityTask();
        await Refused(StatusCode.InvalidArgument, () => host.Canceled(activity));
        await host.Signal();
        await host.Decide(CancelActivity(5));
        Assert.True((await host.Heartbeat(activity)).CancelRequested);
        Assert.Equal(PendingActivityState.CancelRequested, (await host.Describe()).PendingActivities.Single().State);
        await host.Canceled(activity);
        var history = await host.History();
        Assert.EndsWith("ActivityTaskCancelRequested ActivityTaskStarted ActivityTaskCanceled WorkflowTaskScheduled", Told(history), StringComparison.Ordinal);
        Assert.Equal(history[^4].EventId, history[^2].ActivityTaskCanceledEventAttributes.LatestCancelRequestedEventId);
    }

    [Fact]
    public async Task What_was_asked_to_stop_is_never_repeated()
    {
        await using var host = await WithActivity();
        await host.ActivityTask();
        await host.Signal();
        await host.Decide(CancelActivity(5));
        host.Time.Advance(TimeSpan.FromSeconds(10));
        var timedOut = (await host.History())[^2].ActivityTaskTimedOutEventAttributes;
        Assert.Equal(RetryState.CancelRequested, timedOut.RetryState);
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task What_no_worker_has_is_canceled_at_once(bool afterAnAttempt)
    {
        await using var host = await WithActivity();
        if (afterAnAttempt) await host.Fail(await host.ActivityTask());
        await host.Signal();
        await host.Decide(CancelActivity(5));
        Assert.EndsWith("WorkflowTaskCompleted ActivityTaskCancelRequested ActivityTaskCanceled WorkflowTaskScheduled", await host.Story(), StringComparison.Ordinal);
        Assert.Empty((await host.Describe()).PendingActivities);
        using var poll = host.PollingActivity();
        await host.Describe();
        host.Time.Advance(TimeSpan.FromSeconds(60));
        Assert.Empty((await poll).TaskToken);
    }

    [Fact]
    public async Task A_cancel_that_meets_an_end_which_the_workflow_has_not_seen_is_no_mistake()
    {
        await using var host = await WithActivity();
        var activity = await host.ActivityTask();
        await host.Signal();
        var task = await host.WorkflowTask();
        await host.Complete(activity);
        await host.Complete(task, CancelActivity(5));
        Assert.EndsWith("ActivityTaskCancelRequested ActivityTaskStarted ActivityTaskCompleted WorkflowTaskScheduled", await host.Story(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_activity_can_be_failed_by_its_id()
    {
        await using var host = await WithActivity();
        var byId = new RespondActivityTaskFailedByIdRequest
        {
            Namespace = "default", WorkflowId = "w", ActivityId = "a", Failure = new() { Message = "its runner died", ApplicationFailureInfo = new() },
        };
        await Refused(StatusCode.NotFound, async () => await host.Client.RespondActivityTaskFailedByIdAsync(byId, cancellationToken: TestContext.Current.CancellationToken));
        var first = await host.ActivityTask();
        await host.Client.RespondActivityTaskFailedByIdAsync(byId, cancellationToken: TestContext.Current.CancellationToken);
        await Refused(StatusCode.NotFound, () => host.Complete(first));
        host.Time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(2, (await host.ActivityTask()).Attempt);
    }

    [Fact]
    public async Task A_closed_workflow_is_told_to_its_activities_by_not_found()
    {
        await using var host = await WithActivity();
        var activity = await host.ActivityTask();
        await host.Terminate();
        await Refused(StatusCode.NotFound, () => host.Heartbeat(activity));
        await Refused(StatusCode.NotFound, () => host.Complete(activity));
    }

    [Fact]
    public async Task A_token_of_another_kind_is_refused()
    {
        await using var host = await WithActivity();
        await Refused(StatusCode.InvalidArgument, () => host.Complete(new PollActivityTaskQueueResponse { TaskToken = ByteString.CopyFromUtf8("no") }));
        var activity = await host.ActivityTask();
        await Refused(StatusCode.NotFound, () => host.Complete(new PollWorkflowTaskQueueResponse { TaskToken = activity.TaskToken }));
    }

    [Fact]
    public async Task Activities_of_one_queue_are_given_out_in_their_order_and_each_once()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        await host.Decide([.. Enumerable.Range(0, 16).Select(n => Schedule($"{n}"))]);
        var taken = new List<string>();
        for (var n = 0; n < 16; n++) taken.Add((await host.ActivityTask()).ActivityId);
        Assert.Equal(Enumerable.Range(0, 16).Select(n => $"{n}"), taken);
    }

    [Fact]
    public async Task A_dead_worker_gives_back_what_it_held_at_once()
    {
        await using var host = await WithActivity();
        await host.StartWorkflow("v");
        var mine = await host.ActivityTask("dead");
        await host.Heartbeat(mine, "half");
        await host.WorkflowTask("dead");
        await host.Engine.WorkerGone("dead");
        var again = await host.ActivityTask("alive");
        Assert.Equal((2, "half"), (again.Attempt, TextOf(again.HeartbeatDetails)));
        var task = await host.WorkflowTask("alive");
        Assert.Equal(("v", 1), (task.WorkflowExecution.WorkflowId, task.Attempt));
        await Refused(StatusCode.NotFound, () => host.Complete(mine));
        await host.Complete(again);
        await host.Complete(task, Finish());
    }

    [Fact]
    public async Task A_dead_workers_polls_take_nothing_more()
    {
        await using var host = await EngineHost.Start();
        using var poll = host.PollingActivity("dead");
        using var other = host.PollingWorkflow("dead");
        await host.PollersOf(TaskQueueType.Activity, 1);
        await host.PollersOf(TaskQueueType.Workflow, 1);
        await host.Engine.WorkerGone("dead");
        Assert.Empty((await poll).TaskToken);
        Assert.Empty((await other).TaskToken);
    }

    [Fact]
    public async Task A_dead_workers_activity_that_was_asked_to_stop_is_not_repeated()
    {
        await using var host = await WithActivity();
        await host.ActivityTask("dead");
        await host.Signal();
        await host.Decide(CancelActivity(5));
        await host.Engine.WorkerGone("dead");
        Assert.EndsWith("ActivityTaskStarted ActivityTaskTimedOut WorkflowTaskScheduled", await host.Story(), StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_policy_does_not_say_is_Temporals_default()
    {
        var policy = Activities.WithDefaults(new RetryPolicy { InitialInterval = Seconds(2) });
        Assert.Equal((Seconds(2), 2.0, Seconds(200), 0), (policy.InitialInterval, policy.BackoffCoefficient, policy.MaximumInterval, policy.MaximumAttempts));
    }

    [Fact]
    public void Canceled_and_terminated_failures_are_not_repeated()
    {
        var activity = new ActivityState
        {
            ScheduledEventId = 5, ScheduledAt = 1, ReadyAt = 1, Scheduled = new() { RetryPolicy = Activities.WithDefaults(null) },
        };
        Assert.Equal(RetryState.NonRetryableFailure, Activities.Retry(activity, 1, new TemporalFailure { CanceledFailureInfo = new() }, null).State);
        Assert.Equal(RetryState.NonRetryableFailure, Activities.Retry(activity, 1, new TemporalFailure { TerminatedFailureInfo = new() }, null).State);
        Assert.Equal(RetryState.InProgress, Activities.Retry(activity, 1, new TemporalFailure { Message = "plain" }, null).State);
    }
}
