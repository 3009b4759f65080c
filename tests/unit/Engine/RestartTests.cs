using Grpc.Core;
using Stigmer.Rpc.Temporal;
using static Stigmer.Tests.Engine.EngineHost;

namespace Stigmer.Tests.Engine;

public sealed class RestartTests
{
    [Theory, InlineData(true), InlineData(false)]
    public async Task A_workflow_goes_on_from_every_point(bool killed)
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        await host.Restart(killed);
        var task = await host.WorkflowTask();
        await host.Signal();
        await host.Restart(killed);
        // The task was given back, and what was kept is told with it.
        await Refused(StatusCode.NotFound, () => host.Complete(task));
        task = await host.WorkflowTask();
        Assert.Equal("WorkflowExecutionStarted WorkflowTaskScheduled WorkflowExecutionSignaled WorkflowTaskStarted", Told(task.History.Events));
        await host.Complete(task, Schedule(), StartTimer("t", 30));
        await host.Restart(killed);
        var activity = await host.ActivityTask();
        await host.Heartbeat(activity, "half");
        await host.Restart(killed);
        Assert.Equal("half", TextOf((await host.Describe()).PendingActivities.Single().HeartbeatDetails));
        await host.Complete(activity);
        await host.Restart(killed);
        host.Time.Advance(TimeSpan.FromSeconds(30));
        task = await host.WorkflowTask();
        Assert.EndsWith("ActivityTaskStarted ActivityTaskCompleted WorkflowTaskScheduled TimerFired WorkflowTaskStarted", Told(task.History.Events),
            StringComparison.Ordinal);
        await host.Complete(task, ContinueAsNew("next"));
        await host.Restart(killed);
        await host.Decide(Finish());
        await host.Restart(killed);
        Assert.Equal(WorkflowExecutionStatus.Completed, (await host.Describe()).WorkflowExecutionInfo.Status);
    }

    [Fact]
    public async Task Heartbeats_are_missed_only_since_the_engines_start()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        await host.Decide(Schedule());
        var activity = await host.ActivityTask();
        await host.Restart();
        host.Time.Advance(TimeSpan.FromSeconds(9));
        Assert.Equal(1, (await host.Describe()).PendingActivities.Single().Attempt);
        await host.Heartbeat(activity);
        await host.Restart();
        host.Time.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal(2, (await host.Describe()).PendingActivities.Single().Attempt);
    }

    [Fact]
    public async Task A_restart_while_time_passes_does_not_lose_what_was_due()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow("timer");
        await host.Decide(StartTimer("t", 5));
        await host.StartWorkflow("retry");
        await host.Decide(Schedule());
        await host.Fail(await host.ActivityTask(), f => f.ApplicationFailureInfo.NextRetryDelay = Seconds(5));
        await host.StartWorkflow("expiring", r => r.WorkflowRunTimeout = Seconds(5));
        await host.CloseWhile(() => host.Time.Advance(TimeSpan.FromSeconds(5)));
        Assert.Equal(2, (await host.ActivityTask()).Attempt);
        Assert.Equal("timer", (await host.WorkflowTask()).WorkflowExecution.WorkflowId);
        Assert.Equal(WorkflowExecutionStatus.TimedOut, (await host.Describe("expiring")).WorkflowExecutionInfo.Status);
    }

    [Fact]
    public async Task A_repeated_attempt_of_a_workflow_task_survives()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        await host.Fail(await host.WorkflowTask());
        await host.Restart();
        var task = await host.WorkflowTask();
        Assert.Equal(2, task.Attempt);
        await host.Restart();
        task = await host.WorkflowTask();
        Assert.Equal(2, task.Attempt);
        await host.Complete(task, Finish());
    }

    [Fact]
    public async Task A_cancel_request_and_a_failure_survive()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        await host.Decide(Schedule(change: a => a.RetryPolicy = new() { MaximumAttempts = 2 }));
        await host.Fail(await host.ActivityTask());
        await host.Restart();
        host.Time.Advance(TimeSpan.FromSeconds(1));
        var activity = await host.ActivityTask();
        await host.Signal();
        await host.Decide(CancelActivity(5));
        await host.Restart();
        Assert.True((await host.Heartbeat(activity)).CancelRequested);
        await host.Canceled(activity);
        var started = (await host.History())[^3].ActivityTaskStartedEventAttributes;
        Assert.Equal((2, "it broke"), (started.Attempt, started.LastFailure.Message));
    }

    [Fact]
    public async Task What_could_not_be_written_did_not_happen_and_the_workflow_goes_on()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        var task = await host.WorkflowTask();
        using var poll = host.PollingActivity();
        await host.PollersOf(TaskQueueType.Activity, 1);
        await host.Database.Write(t => t.Execute(
            "CREATE TEMP TRIGGER full BEFORE INSERT ON main.engine_activities BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"));
        await Refused(StatusCode.Unavailable, () => host.Complete(task, Schedule(), StartTimer("t", 1)));
        Assert.Equal("WorkflowExecutionStarted WorkflowTaskScheduled", await host.Story());
        Assert.Empty((await host.Describe()).PendingActivities);
        Assert.False(poll.ResponseAsync.IsCompleted);
        await host.Database.Write(t => t.Execute("DROP TRIGGER full"));
        await host.Complete(task, Schedule(), StartTimer("t", 1));
        Assert.Equal("a", (await poll).ActivityId);
        host.Time.Advance(TimeSpan.FromSeconds(1));
        Assert.EndsWith("ActivityTaskScheduled TimerStarted TimerFired WorkflowTaskScheduled", await host.Story(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_poll_whose_task_could_not_be_written_fails_and_another_gets_it()
    {
        await using var host = await EngineHost.Start();
        using var poll = host.PollingWorkflow();
        await host.PollersOf(TaskQueueType.Workflow, 1);
        await host.Database.Write(t => t.Execute(
            "CREATE TEMP TRIGGER full BEFORE UPDATE ON main.engine_runs BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"));
        await Refused(StatusCode.Unavailable, () => host.StartWorkflow());
        await Refused(StatusCode.Unavailable, async () => await poll);
        await host.Database.Write(t => t.Execute("DROP TRIGGER full"));
        await host.StartWorkflow();
        await host.Decide(Finish());
    }

    [Fact]
    public async Task What_was_due_while_nothing_could_be_written_happens_afterwards()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        await host.Decide(StartTimer("t", 5));
        await host.Database.Write(t => t.Execute(
            "CREATE TEMP TRIGGER full BEFORE INSERT ON main.engine_events BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"));
        host.Time.Advance(TimeSpan.FromSeconds(5));
        await host.Describe();
        await host.Database.Write(t => t.Execute("DROP TRIGGER full"));
        using var poll = host.PollingWorkflow();
        while (!poll.ResponseAsync.IsCompleted)
        {
            host.Time.Advance(TimeSpan.FromSeconds(1));
            await host.Describe();
        }
        Assert.EndsWith("TimerFired WorkflowTaskScheduled WorkflowTaskStarted", Told((await poll).History.Events), StringComparison.Ordinal);
    }
}
