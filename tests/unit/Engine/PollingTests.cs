using Google.Protobuf;
using Grpc.Core;
using Stigmer.Rpc.Temporal;
using Stigmer.Server.Engine;
using static Stigmer.Tests.Engine.EngineHost;

namespace Stigmer.Tests.Engine;

public sealed class PollingTests
{
    [Fact]
    public async Task A_poll_hangs_until_there_is_a_task()
    {
        await using var host = await EngineHost.Start();
        using var workflow = host.PollingWorkflow();
        await host.PollersOf(TaskQueueType.Workflow, 1);
        await host.StartWorkflow();
        var task = await workflow;
        using var activity = host.PollingActivity();
        await host.PollersOf(TaskQueueType.Activity, 1);
        await host.Complete(task, Schedule());
        Assert.Equal("a", (await activity).ActivityId);
    }

    [Fact]
    public async Task Without_a_task_a_poll_answers_after_a_minute_with_an_empty_token()
    {
        await using var host = await EngineHost.Start();
        using var workflow = host.PollingWorkflow("w1");
        using var activity = host.PollingActivity("w2");
        await host.PollersOf(TaskQueueType.Workflow, 1);
        await host.PollersOf(TaskQueueType.Activity, 1);
        host.Time.Advance(TimeSpan.FromSeconds(59));
        await host.Backlog(TaskQueueType.Workflow);
        Assert.False(workflow.ResponseAsync.IsCompleted);
        host.Time.Advance(TimeSpan.FromSeconds(1));
        Assert.Empty((await workflow).TaskToken);
        Assert.Empty((await activity).TaskToken);
    }

    [Fact]
    public async Task A_poll_whose_caller_has_gone_takes_no_task()
    {
        await using var host = await EngineHost.Start();
        var queue = new QueueKey(TaskQueueType.Workflow, Queue);
        using var cancel = new CancellationTokenSource();
        var polling = Polling.Poll(host.Engine, queue, "gone", TimeSpan.FromHours(1), cancel.Token);
        await cancel.CancelAsync();
        Assert.Null(await polling);
        await host.StartWorkflow();
        // Here it is given and its caller turns out to have gone.
        Assert.Null(await Polling.Poll(host.Engine, queue, "gone", TimeSpan.FromHours(1), cancel.Token));
        var task = await host.WorkflowTask();
        Assert.Equal(1, task.Attempt);
        await host.Complete(task, Schedule());
        Assert.Null(await Polling.Poll(host.Engine, queue with { Type = TaskQueueType.Activity }, "gone", TimeSpan.FromHours(1), cancel.Token));
        Assert.Equal(1, (await host.ActivityTask()).Attempt);
    }

    [Fact]
    public async Task However_a_poll_and_its_end_race_the_task_is_worked_on_once()
    {
        await using var host = await EngineHost.Start();
        for (var round = 0; round < 20; round++)
        {
            using var cancel = new CancellationTokenSource();
            var polling = host.PollingWorkflowUntil(cancel.Token, "gone");
            var starting = host.StartWorkflow($"w{round}");
            if (round % 2 == 0) await Task.Yield();
            await cancel.CancelAsync();
            await starting;
            PollWorkflowTaskQueueResponse? taken = null;
            try
            {
                taken = await polling;
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.Cancelled)
            {
                // The task comes again: at once, or, where the answer was already on the wire, after its timeout.
            }
            if (taken is null || taken.TaskToken.IsEmpty)
            {
                using var again = host.PollingWorkflow("here");
                while (!again.ResponseAsync.IsCompleted)
                {
                    host.Time.Advance(TimeSpan.FromSeconds(1));
                    await host.Backlog(TaskQueueType.Workflow);
                }
                taken = await again;
            }
            Assert.Equal($"w{round}", taken.WorkflowExecution.WorkflowId);
            await host.Complete(taken, Finish());
            Assert.Equal(WorkflowExecutionStatus.Completed, (await host.Describe($"w{round}")).WorkflowExecutionInfo.Status);
        }
    }

    [Fact]
    public async Task Polls_end_at_once_when_the_server_stops()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        await host.Decide();
        using var workflow = host.PollingWorkflow();
        using var activity = host.PollingActivity();
        var reading = Reading();
        await host.PollersOf(TaskQueueType.Workflow, 1);
        await host.PollersOf(TaskQueueType.Activity, 1);
        await host.StopServing();
        Assert.Empty((await workflow).TaskToken);
        Assert.Empty((await activity).TaskToken);
        await reading;

        async Task Reading()
        {
            try
            {
                Assert.Empty((await host.Page(wait: true, closeOnly: true)).History.Events);
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.Unavailable)
            {
                // It came after the end.
            }
        }
    }

    [Fact]
    public async Task Who_polls_is_listed_for_some_minutes()
    {
        await using var host = await EngineHost.Start();
        using var polling = host.PollingActivity("someone");
        await host.PollersOf(TaskQueueType.Activity, 1);
        host.Time.Advance(TimeSpan.FromMinutes(1));
        await polling;
        host.Time.Advance(TimeSpan.FromMinutes(4));
        Assert.Equal("someone", (await host.DescribeQueue(TaskQueueType.Activity)).Pollers.Single().Identity);
        host.Time.Advance(TimeSpan.FromMinutes(2));
        Assert.Empty((await host.DescribeQueue(TaskQueueType.Activity)).Pollers);
    }

    [Fact]
    public async Task A_history_is_read_in_pages()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        for (var n = 0; n < 25; n++) await host.Signal();
        Assert.Equal(27, (await host.History(pageSize: 4)).Count);
    }

    [Fact]
    public async Task A_reader_gets_news_when_they_happen()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        var page = await host.Page(wait: true);
        Assert.Equal(2, page.History.Events.Count);
        var waiting = host.Page(page.NextPageToken, wait: true);
        await host.Decide();
        page = await waiting;
        Assert.Equal("WorkflowTaskStarted WorkflowTaskCompleted", Told(page.History.Events));
        await host.Terminate();
        page = await host.Page(page.NextPageToken, wait: true);
        Assert.Equal("WorkflowExecutionTerminated", Told(page.History.Events));
        Assert.Empty(page.NextPageToken);
    }

    [Fact]
    public async Task A_reader_without_news_is_told_to_ask_again()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        var token = (await host.Page(wait: true)).NextPageToken;
        var waiting = host.Page(token, wait: true);
        while (!waiting.IsCompleted)
        {
            // The reader may not have begun to wait yet.
            host.Time.Advance(TimeSpan.FromSeconds(20));
            await host.Backlog(TaskQueueType.Workflow);
        }
        Assert.Empty((await waiting).History.Events);
        Assert.Equal(token, (await waiting).NextPageToken);
    }

    [Fact]
    public async Task Who_waits_for_the_end_gets_the_end_alone()
    {
        await using var host = await EngineHost.Start();
        await host.StartWorkflow();
        Assert.Empty((await host.Page(closeOnly: true)).History.Events);
        var waiting = host.Page(wait: true, closeOnly: true);
        await host.Signal();
        await host.Decide(Finish());
        var page = await waiting;
        Assert.Equal("WorkflowExecutionCompleted", Told(page.History.Events));
        Assert.Empty(page.NextPageToken);
        Assert.Equal("WorkflowExecutionCompleted", Told((await host.Page(closeOnly: true)).History.Events));
    }

    [Fact]
    public async Task A_token_that_is_not_ours_is_refused()
    {
        await using var host = await EngineHost.Start();
        await Refused(StatusCode.InvalidArgument, () => host.Page(ByteString.CopyFromUtf8("no")));
    }
}
