using Google.Protobuf;
using Grpc.Core;
using Stigmer.Rpc.Temporal;
using static Stigmer.Tests.Engine.EngineHost;

namespace Stigmer.Tests.Engine;

public sealed class ClientTests
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_namespace_has_a_random_id_that_stays_with_the_database()
    {
        await using var host = await EngineHost.Start();
        await using var other = await EngineHost.Start();
        var described = await host.Client.DescribeNamespaceAsync(new() { Namespace = "default" }, cancellationToken: Cancel);
        var id = described.NamespaceInfo.Id;
        Assert.Equal(("default", NamespaceState.Registered), (described.NamespaceInfo.Name, described.NamespaceInfo.State));
        Assert.NotEqual(other.Engine.NamespaceId, id);
        await host.Restart();
        Assert.Equal(id, host.Engine.NamespaceId);
        Assert.Equal("default", (await host.Client.DescribeNamespaceAsync(new() { Id = id }, cancellationToken: Cancel)).NamespaceInfo.Name);
    }

    [Fact]
    public async Task Another_namespace_is_not_found()
    {
        await using var host = await EngineHost.Start();
        await Refused(StatusCode.NotFound, async () => await host.Client.DescribeNamespaceAsync(new() { Namespace = "other" }, cancellationToken: Cancel));
        await Refused(StatusCode.NotFound, () => host.StartWorkflow(change: r => r.Namespace = "other"));
        await Refused(StatusCode.InvalidArgument, () => host.StartWorkflow(change: r => r.Namespace = ""));
    }

    [Fact]
    public async Task The_system_says_what_it_is()
    {
        await using var host = await EngineHost.Start();
        Assert.StartsWith("stigmer-", (await host.Client.GetSystemInfoAsync(new(), cancellationToken: Cancel)).ServerVersion, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_is_not_offered_is_unimplemented()
    {
        await using var host = await EngineHost.Start();
        var method = new Method<GetSystemInfoRequest, GetSystemInfoResponse>(MethodType.Unary, "temporal.api.workflowservice.v1.WorkflowService", "GetClusterInfo",
            Marshallers.Create(r => r.ToByteArray(), GetSystemInfoRequest.Parser.ParseFrom), Marshallers.Create(r => r.ToByteArray(), GetSystemInfoResponse.Parser.ParseFrom));
        await Refused(StatusCode.Unimplemented, async () => await host.Invoker.AsyncUnaryCall(method, null, new CallOptions(), new GetSystemInfoRequest()));
    }

    [Fact]
    public async Task The_same_request_starts_once()
    {
        await using var host = await EngineHost.Start();
        var first = await host.StartWorkflow();
        Assert.Equal(first, await host.StartWorkflow());
        await host.Decide(Finish());
        Assert.Equal(first, await host.StartWorkflow());
        Assert.Equal(0, await host.Backlog(TaskQueueType.Workflow));
    }

    [Fact]
    public async Task An_id_in_use_is_refused_with_the_run_that_has_it()
    {
        await using var host = await EngineHost.Start();
        var first = await host.StartWorkflow();
        var refusal = await Refused(StatusCode.AlreadyExists, () => host.StartWorkflow(change: r => r.RequestId = "another"));
        var details = Stigmer.Rpc.StatusDetails.Status.Parser.ParseFrom(refusal.Trailers.GetValueBytes("grpc-status-details-bin"));
        Assert.Equal((int)StatusCode.AlreadyExists, details.Code);
        var failure = details.Details.Single().Unpack<WorkflowExecutionAlreadyStartedFailure>();
        Assert.Equal((first, "start w"), (failure.RunId, failure.StartRequestId));
    }

    [Fact]
    public async Task The_id_of_a_closed_workflow_is_free_unless_the_policy_says_otherwise()
    {
        await using var host = await EngineHost.Start();
        var first = await host.StartWorkflow();
        await host.Decide(Finish());
        await Refused(StatusCode.AlreadyExists, () => Again("2", WorkflowIdReusePolicy.RejectDuplicate));
        await Refused(StatusCode.AlreadyExists, () => Again("3", WorkflowIdReusePolicy.AllowDuplicateFailedOnly));
        var second = await Again("4", WorkflowIdReusePolicy.AllowDuplicate);
        Assert.NotEqual(first, second);
        Assert.Equal(WorkflowExecutionStatus.Completed, (await host.Describe(runId: first)).WorkflowExecutionInfo.Status);
        await host.Terminate();
        Assert.NotEqual(second, await Again("5", WorkflowIdReusePolicy.AllowDuplicateFailedOnly));
        Assert.Equal(WorkflowExecutionStatus.Running, (await host.Describe()).WorkflowExecutionInfo.Status);

        Task<string> Again(string requestId, WorkflowIdReusePolicy policy) =>
            host.StartWorkflow(change: r => (r.RequestId, r.WorkflowIdReusePolicy) = (requestId, policy));
    }

    [Fact]
    public async Task A_conflict_is_settled_as_the_client_asks()
    {
        await using var host = await EngineHost.Start();
        var first = await host.StartWorkflow();
        Assert.Equal(first, await host.StartWorkflow(change: r => (r.RequestId, r.WorkflowIdConflictPolicy) = ("2", WorkflowIdConflictPolicy.UseExisting)));
        var second = await host.StartWorkflow(change: r => (r.RequestId, r.WorkflowIdConflictPolicy) = ("3", WorkflowIdConflictPolicy.TerminateExisting));
        Assert.NotEqual(first, second);
        Assert.Equal(WorkflowExecutionStatus.Terminated, (await host.Describe(runId: first)).WorkflowExecutionInfo.Status);
        Assert.Equal(second, (await host.WorkflowTask()).WorkflowExecution.RunId);
    }

    [Fact]
    public async Task A_signal_wakes_the_workflow_and_counts_once()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        await host.Decide();
        await host.Signal(requestId: "7");
        await host.Signal(requestId: "7");
        await host.Restart();
        await host.Signal(requestId: "7");
        await host.Signal(requestId: "8");
        var task = await host.WorkflowTask();
        var signals = task.History.Events.Where(happened => happened.EventType == EventType.WorkflowExecutionSignaled).ToList();
        Assert.Equal(["7", "8"], signals.Select(signal => signal.WorkflowExecutionSignaledEventAttributes.RequestId));
        Assert.Equal("bell", TextOf(signals[0].WorkflowExecutionSignaledEventAttributes.Input));
    }

    [Fact]
    public async Task A_cancel_request_is_told_once_and_the_workflow_ends_as_canceled()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        await host.Decide();
        await host.RequestCancel();
        await host.RequestCancel();
        Assert.True((await host.Describe()).WorkflowExtendedInfo.CancelRequested);
        await host.Decide(new Command { CommandType = CommandType.CancelWorkflowExecution, CancelWorkflowExecutionCommandAttributes = new() });
        Assert.EndsWith("WorkflowTaskCompleted WorkflowExecutionCancelRequested WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted "
            + "WorkflowExecutionCanceled", await host.Story(), StringComparison.Ordinal);
        Assert.Equal(WorkflowExecutionStatus.Canceled, (await host.Describe()).WorkflowExecutionInfo.Status);
    }

    [Fact]
    public async Task Terminate_ends_at_once_what_is_worked_on()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        var task = await host.WorkflowTask();
        await host.Signal();
        await host.Terminate();
        Assert.Equal("WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskFailed WorkflowExecutionSignaled "
            + "WorkflowExecutionTerminated", await host.Story());
        await Refused(StatusCode.NotFound, () => host.Complete(task));
        await Refused(StatusCode.NotFound, () => host.Terminate());
    }

    [Fact]
    public async Task A_closed_or_unknown_workflow_is_not_found_by_who_wants_to_change_it()
    {
        await using var host = await EngineHost.Start();
        await Refused(StatusCode.NotFound, () => host.Signal());
        await Refused(StatusCode.NotFound, () => host.Describe());
        await host.StartWorkflow();
        await host.Decide(Finish());
        Assert.Contains("already completed", (await Refused(StatusCode.NotFound, () => host.Signal())).Status.Detail, StringComparison.Ordinal);
        await Refused(StatusCode.NotFound, () => host.RequestCancel());
    }

    [Fact]
    public async Task A_workflow_may_fail()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        await host.Decide(new Command { CommandType = CommandType.FailWorkflowExecution, FailWorkflowExecutionCommandAttributes = new() { Failure = new() { Message = "no" } } });
        Assert.Equal("no", (await host.History())[^1].WorkflowExecutionFailedEventAttributes.Failure.Message);
        Assert.Equal(WorkflowExecutionStatus.Failed, (await host.Describe()).WorkflowExecutionInfo.Status);
    }

    [Fact]
    public async Task Continuing_as_new_begins_another_run_of_the_same_id()
    {
        await using var host = await EngineHost.Start();
        var first = await host.StartWorkflow(change: r => r.Memo = new() { Fields = { ["run"] = Text("x").Payloads_[0] } });
        await host.Decide(ContinueAsNew("next"));
        var task = await host.WorkflowTask();
        var second = task.WorkflowExecution.RunId;
        var started = task.History.Events[0].WorkflowExecutionStartedEventAttributes;
        Assert.Equal(("next", first, first, "t"), (TextOf(started.Input), started.ContinuedExecutionRunId, started.FirstExecutionRunId, started.WorkflowType.Name));
        Assert.Equal("x", started.Memo.Fields["run"].Data.ToStringUtf8());
        Assert.Equal(second, (await host.History(runId: first))[^1].WorkflowExecutionContinuedAsNewEventAttributes.NewExecutionRunId);
        Assert.Equal(WorkflowExecutionStatus.ContinuedAsNew, (await host.Describe(runId: first)).WorkflowExecutionInfo.Status);
        await Refused(StatusCode.NotFound, async () => await host.Client.SignalWorkflowExecutionAsync(
            new() { Namespace = "default", WorkflowExecution = new() { WorkflowId = "w", RunId = first }, SignalName = "s" }, cancellationToken: Cancel));
        await host.Signal();
        await host.Complete(task);
        Assert.Equal(second, (await host.WorkflowTask()).WorkflowExecution.RunId);
    }

    [Fact]
    public async Task Timers_fire_in_time_and_can_be_canceled()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        await host.Decide(StartTimer("long", 60), StartTimer("short", 5));
        host.Time.Advance(TimeSpan.FromSeconds(5));
        var task = await host.WorkflowTask();
        Assert.Equal("short", task.History.Events.Single(e => e.EventType == EventType.TimerFired).TimerFiredEventAttributes.TimerId);
        await host.Complete(task, CancelTimer("long"));
        host.Time.Advance(TimeSpan.FromSeconds(60));
        Assert.EndsWith("TimerStarted TimerStarted TimerFired WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted TimerCanceled", await host.Story(),
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_timer_that_fired_unseen_can_still_be_canceled()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        await host.Decide(StartTimer("t", 5));
        await host.Signal();
        var task = await host.WorkflowTask();
        host.Time.Advance(TimeSpan.FromSeconds(5));
        await host.Complete(task, CancelTimer("t"));
        Assert.EndsWith("WorkflowTaskCompleted TimerCanceled", await host.Story(), StringComparison.Ordinal);
    }

    [Theory, InlineData(true), InlineData(false)]
    public async Task A_run_or_a_chain_of_runs_times_out(bool chain)
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow(change: r =>
        {
            if (chain) r.WorkflowExecutionTimeout = Seconds(60);
            else r.WorkflowRunTimeout = Seconds(60);
        });
        host.Time.Advance(TimeSpan.FromSeconds(30));
        await host.Decide(ContinueAsNew("next"));
        await host.Decide(Schedule());
        await host.ActivityTask();
        host.Time.Advance(TimeSpan.FromSeconds(30));
        Assert.Equal(chain ? WorkflowExecutionStatus.TimedOut : WorkflowExecutionStatus.Running, (await host.Describe()).WorkflowExecutionInfo.Status);
        host.Time.Advance(TimeSpan.FromSeconds(30));
        var described = await host.Describe();
        Assert.Equal(WorkflowExecutionStatus.TimedOut, described.WorkflowExecutionInfo.Status);
        Assert.Empty(described.PendingActivities);
    }

    [Fact]
    public async Task Lists_and_counts_go_by_type_and_status()
    {
        await using var host = await EngineHost.Start();
        for (var n = 0; n < 5; n++) await host.StartWorkflow($"w{n}");
        await host.StartWorkflow("other", r => r.WorkflowType = new() { Name = "u" });
        await host.Terminate("w3");
        Assert.Equal(4, await Count("WorkflowType = 't' AND ExecutionStatus = 'Running'"));
        Assert.Equal(1, await Count("ExecutionStatus='Terminated' and WorkflowType=\"t\""));
        Assert.Equal(6, await Count(""));
        var found = new List<string>();
        var token = ByteString.Empty;
        do
        {
            var page = await host.Client.ListWorkflowExecutionsAsync(
                new() { Namespace = "default", PageSize = 2, Query = "WorkflowType = 't' AND ExecutionStatus = 'Running'", NextPageToken = token }, cancellationToken: Cancel);
            Assert.InRange(page.Executions.Count, 0, 2);
            found.AddRange(page.Executions.Select(info => info.Execution.WorkflowId));
            token = page.NextPageToken;
        }
        while (!token.IsEmpty);
        Assert.Equal(["w4", "w2", "w1", "w0"], found);

        async Task<long> Count(string query) =>
            (await host.Client.CountWorkflowExecutionsAsync(new() { Namespace = "default", Query = query }, cancellationToken: Cancel)).Count;
    }

    [Theory, InlineData("StartTime > '2020-01-01'"), InlineData("WorkflowType = 't' OR WorkflowType = 'u'"), InlineData("WorkflowType = t"),
        InlineData("WorkflowType = 't'AND RunId = 'r'"), InlineData("WorkflowType = 't' AND"), InlineData("ExecutionStatus = 'Sleeping'"), InlineData("WorkflowType = 't")]
    public async Task A_query_that_is_not_understood_is_refused(string query)
    {
        await using var host = await EngineHost.Start();
        await Refused(StatusCode.InvalidArgument, async () => await host.Client.CountWorkflowExecutionsAsync(new() { Namespace = "default", Query = query }, cancellationToken: Cancel));
    }

    [Fact]
    public async Task A_closed_workflow_is_forgotten_after_a_day()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow("open");
        await host.StartWorkflow();
        await host.Terminate();
        host.Time.Advance(TimeSpan.FromHours(23));
        await host.Describe();
        host.Time.Advance(TimeSpan.FromHours(2));
        await Refused(StatusCode.NotFound, () => host.Describe());
        await host.Describe("open");
        await host.StartWorkflow(change: r => (r.RequestId, r.WorkflowIdReusePolicy) = ("again", WorkflowIdReusePolicy.RejectDuplicate));
    }

    [Theory, InlineData("id"), InlineData("type"), InlineData("queue"), InlineData("cron"), InlineData("retry")]
    public async Task A_start_that_lacks_something_or_asks_for_what_is_not_offered_is_refused(string what)
    {
        await using var host = await EngineHost.Start();
        await Refused(StatusCode.InvalidArgument, () => host.StartWorkflow(what == "id" ? "" : "w", r =>
        {
            if (what == "type") r.WorkflowType = null;
            if (what == "queue") r.TaskQueue = null;
            if (what == "cron") r.CronSchedule = "* * * * *";
            if (what == "retry") r.RetryPolicy = new();
        }));
    }

    [Fact]
    public async Task What_is_larger_than_Temporal_takes_is_refused_here_too()
    {
        await using var host = await EngineHost.Start();
        var large = Text(new string('x', 2 * 1024 * 1024));
        await Refused(StatusCode.InvalidArgument, () => host.StartWorkflow(change: r => r.Input = large));
        await host.StartWorkflow();
        await Refused(StatusCode.InvalidArgument, async () => await host.Client.SignalWorkflowExecutionAsync(
            new() { Namespace = "default", WorkflowExecution = new() { WorkflowId = "w" }, SignalName = "s", Input = large }, cancellationToken: Cancel));
        var task = await host.WorkflowTask();
        await Refused(StatusCode.InvalidArgument, () => host.Complete(task, Schedule(change: a => a.Input = large)));
        Assert.Equal(WorkflowTaskFailedCause.PayloadsTooLarge, (await host.History())[^1].WorkflowTaskFailedEventAttributes.Cause);
        await host.Decide(Schedule());
        await host.Complete(await host.ActivityTask(), new string('x', 2 * 1024 * 1024));
        Assert.Equal(RetryState.NonRetryableFailure, (await host.History())[^2].ActivityTaskFailedEventAttributes.RetryState);
    }
}
