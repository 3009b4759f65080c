using Grpc.Core;
using Stigmer.Rpc.Temporal;
using static Stigmer.Tests.Engine.EngineHost;

namespace Stigmer.Tests.Engine;

public sealed class WorkflowTaskTests
{
    [Fact]
    public async Task A_start_brings_a_task_with_the_whole_history()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        var task = await host.WorkflowTask();
        Assert.Equal("WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted", Told(task.History.Events));
        Assert.Equal((3, 0, 1), (task.StartedEventId, task.PreviousStartedEventId, task.Attempt));
        Assert.Equal("input", TextOf(task.History.Events[0].WorkflowExecutionStartedEventAttributes.Input));
        Assert.Equal("t", task.WorkflowType.Name);
    }

    [Fact]
    public async Task Completing_closes_the_workflow_with_its_result()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        await host.Decide(Finish());
        var history = await host.History();
        Assert.Equal("WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted WorkflowExecutionCompleted", Told(history));
        Assert.Equal("result", TextOf(history[^1].WorkflowExecutionCompletedEventAttributes.Result));
        Assert.Equal(4, history[^1].WorkflowExecutionCompletedEventAttributes.WorkflowTaskCompletedEventId);
        Assert.Equal(WorkflowExecutionStatus.Completed, (await host.Describe()).WorkflowExecutionInfo.Status);
    }

    [Fact]
    public async Task A_workflow_has_one_task_at_a_time()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        await host.WorkflowTask();
        await host.Signal();
        using var second = host.PollingWorkflow();
        await host.Describe();
        host.Time.Advance(TimeSpan.FromSeconds(9));
        await host.Signal();
        var pending = (await host.Describe()).PendingWorkflowTask;
        Assert.Equal((PendingWorkflowTaskState.Started, 1), (pending.State, pending.Attempt));
        Assert.False(second.ResponseAsync.IsCompleted);
    }

    [Fact]
    public async Task What_happens_while_a_task_is_worked_on_comes_after_its_commands_and_brings_a_new_task()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        var task = await host.WorkflowTask();
        await host.Signal();
        Assert.Equal("WorkflowExecutionStarted WorkflowTaskScheduled", await host.Story());
        await host.Complete(task, Schedule());
        Assert.Equal("WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted ActivityTaskScheduled "
            + "WorkflowExecutionSignaled WorkflowTaskScheduled", await host.Story());
        var next = await host.WorkflowTask();
        Assert.Equal((3, 8), (next.PreviousStartedEventId, next.StartedEventId));
    }

    [Fact]
    public async Task A_workflow_does_not_close_over_what_it_has_not_seen()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        var task = await host.WorkflowTask();
        await host.Signal();
        var refusal = await Refused(StatusCode.InvalidArgument, () => host.Complete(task, Schedule(), Finish()));
        Assert.Equal("UnhandledCommand", refusal.Status.Detail);
        var history = await host.History();
        Assert.Equal("WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskFailed WorkflowExecutionSignaled WorkflowTaskScheduled",
            Told(history));
        Assert.Equal(WorkflowTaskFailedCause.UnhandledCommand, history[3].WorkflowTaskFailedEventAttributes.Cause);
        await host.Decide(Finish());
        Assert.EndsWith("WorkflowTaskCompleted WorkflowExecutionCompleted", await host.Story(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_task_that_is_not_answered_in_time_comes_again_and_the_late_answer_is_refused()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        var late = await host.WorkflowTask();
        host.Time.Advance(TimeSpan.FromSeconds(10));
        var again = await host.WorkflowTask();
        Assert.Equal(2, again.Attempt);
        Assert.Equal("WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskTimedOut WorkflowTaskScheduled WorkflowTaskStarted",
            Told(again.History.Events));
        await Refused(StatusCode.NotFound, () => host.Complete(late, Finish()));
        await host.Complete(again, Finish());
        Assert.EndsWith("WorkflowTaskTimedOut WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted WorkflowExecutionCompleted",
            await host.Story(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Repeated_failures_leave_the_first_in_the_history_and_no_other()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        for (var attempt = 1; attempt <= 4; attempt++)
        {
            var task = await host.WorkflowTask();
            Assert.Equal(attempt, task.Attempt);
            Assert.Equal(task.StartedEventId, task.History.Events[^1].EventId);
            await host.Fail(task);
            Assert.Equal("WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskFailed", await host.Story());
            host.Time.Advance(TimeSpan.FromSeconds(10));
        }
        await host.Decide(Finish());
        var history = await host.History();
        Assert.EndsWith("WorkflowTaskFailed WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted WorkflowExecutionCompleted", Told(history),
            StringComparison.Ordinal);
        Assert.Equal(5, history[4].WorkflowTaskScheduledEventAttributes.Attempt);
    }

    [Fact]
    public async Task A_worker_that_keeps_failing_is_asked_more_and_more_rarely()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        await host.Fail(await host.WorkflowTask());
        await host.Fail(await host.WorkflowTask());
        using var poll = host.PollingWorkflow();
        await host.Describe();
        host.Time.Advance(TimeSpan.FromMilliseconds(999));
        await host.Describe();
        Assert.False(poll.ResponseAsync.IsCompleted);
        host.Time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal(3, (await poll).Attempt);
    }

    [Fact]
    public async Task News_make_a_repeated_task_a_first_attempt_again()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        await host.Fail(await host.WorkflowTask());
        await host.Signal();
        var task = await host.WorkflowTask();
        Assert.Equal(1, task.Attempt);
        Assert.EndsWith("WorkflowTaskFailed WorkflowExecutionSignaled WorkflowTaskScheduled WorkflowTaskStarted", Told(task.History.Events),
            StringComparison.Ordinal);
        await host.Complete(task);
        Assert.Equal(Told(task.History.Events) + " WorkflowTaskCompleted", await host.Story());
    }

    [Fact]
    public async Task A_bad_command_fails_the_task_and_leaves_no_trace_of_the_others()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        var task = await host.WorkflowTask();
        await Refused(StatusCode.InvalidArgument, () => host.Complete(task, Schedule("a"), Schedule("a")));
        Assert.Empty((await host.Describe()).PendingActivities);
        Assert.Equal(WorkflowTaskFailedCause.ScheduleActivityDuplicateId, (await host.History())[^1].WorkflowTaskFailedEventAttributes.Cause);
    }

    public static TheoryData<string> BadCommands() => new(Bad.Keys.Select(cause => cause.ToString()));

    static readonly Dictionary<WorkflowTaskFailedCause, Command[]> Bad = new()
    {
        [WorkflowTaskFailedCause.BadScheduleActivityAttributes] = [Schedule("a", a => a.StartToCloseTimeout = null)],
        [WorkflowTaskFailedCause.BadRequestCancelActivityAttributes] = [CancelActivity(17)],
        [WorkflowTaskFailedCause.BadStartTimerAttributes] = [StartTimer("t", 0)],
        [WorkflowTaskFailedCause.StartTimerDuplicateId] = [StartTimer("t", 1), StartTimer("t", 1)],
        [WorkflowTaskFailedCause.BadCancelTimerAttributes] = [CancelTimer("t")],
        [WorkflowTaskFailedCause.BadCompleteWorkflowExecutionAttributes] = [Finish(), Schedule()],
        [WorkflowTaskFailedCause.FeatureDisabled] = [new Command { CommandType = CommandType.StartChildWorkflowExecution }],
    };

    [Theory, MemberData(nameof(BadCommands))]
    public async Task A_command_that_cannot_be_carried_out_has_a_cause(string name)
    {
        var cause = Enum.Parse<WorkflowTaskFailedCause>(name);
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        var task = await host.WorkflowTask();
        await Refused(StatusCode.InvalidArgument, () => host.Complete(task, Bad[cause]));
        Assert.Equal(cause, (await host.History())[^1].WorkflowTaskFailedEventAttributes.Cause);
    }

    [Fact]
    public async Task A_task_can_ask_for_another()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        var task = await host.WorkflowTask();
        await host.CompleteAndDecideAgain(task);
        Assert.EndsWith("WorkflowTaskCompleted WorkflowTaskScheduled", await host.Story(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_long_history_suggests_to_continue_as_new()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        var task = await host.WorkflowTask();
        Assert.False(task.History.Events[^1].WorkflowTaskStartedEventAttributes.SuggestContinueAsNew);
        await Task.WhenAll(Enumerable.Range(0, 4100).Select(n => host.Signal()));
        await host.Complete(task);
        var next = await host.WorkflowTask();
        var events = next.History.Events.ToList();
        for (var token = next.NextPageToken; !token.IsEmpty;)
        {
            var page = await host.Page(token);
            events.AddRange(page.History.Events);
            token = page.NextPageToken;
        }
        Assert.Equal(Enumerable.Range(1, 4106).Select(n => (long)n), events.Select(happened => happened.EventId));
        Assert.True(events[^1].WorkflowTaskStartedEventAttributes.SuggestContinueAsNew);
    }
}
