using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Stigmer.Agents.Loop;
using Stigmer.Agents.Worker;
using Stigmer.Rpc;
using Stigmer.Rpc.Temporal;
using Updates = Stigmer.Rpc.Temporal.Updates;

namespace Stigmer.Tests.Agents;

public sealed class WorkerTests : IAsyncLifetime
{
    static readonly Queues queues = new(History.Queue, History.EndQueue, History.HostQueue);

    readonly CancellationTokenSource stop = new();
    readonly CancellationTokenSource end = new();
    World world = null!;
    TurnWorker worker = null!;
    Task running = Task.CompletedTask;

    public async ValueTask InitializeAsync() => world = await World.Start();

    void Run(Func<Attempt, Task<Payloads>>? carryOut = null)
    {
        var engine = new Stigmer.Agents.Worker.Engine(world.Channel, "default", "life", workflow => world.Record.MissingWorkflows.Writer.TryWrite(workflow), world.Log, TimeProvider.System);
        worker = new TurnWorker(engine, queues, 1, carryOut ?? (_ => Task.FromResult(new Payloads())), world.Log, TimeProvider.System, end.Token);
        running = worker.Run(stop.Token);
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await end.CancelAsync();
        worker.HandBack();
        await worker.Drained();
        await world.DisposeAsync();
    }

    static HistoryEvent Start() => new()
    {
        EventId = 1,
        EventType = EventType.WorkflowExecutionStarted,
        WorkflowExecutionStartedEventAttributes = new() { Input = JsonPayload.Of(History.Started().Input, TurnJson.Default.TurnInput) },
    };

    static PollWorkflowTaskQueueResponse WorkflowTask(params HistoryEvent[] events) => new()
    {
        TaskToken = ByteString.CopyFromUtf8("w"),
        WorkflowType = new WorkflowType { Name = TurnWorkflow.Type },
        WorkflowExecution = new WorkflowExecution { WorkflowId = "r/1/1", RunId = "x" },
        History = new Stigmer.Rpc.Temporal.History { Events = { events } },
    };

    static PollActivityTaskQueueResponse Activity(string name, string token = "a") => new()
    {
        TaskToken = ByteString.CopyFromUtf8(token),
        ActivityId = token,
        ActivityType = new ActivityType { Name = name },
        WorkflowExecution = new WorkflowExecution { WorkflowId = "r/1/1" },
        Attempt = 1,
    };

    [Fact]
    public async Task A_workflow_task_is_answered_with_what_the_loop_decides()
    {
        Run();
        world.Engine.HandOut(WorkflowTask(Start()));
        var answer = await world.Engine.Answer<RespondWorkflowTaskCompletedRequest>();
        var command = Assert.Single(answer.Commands).ScheduleActivityTaskCommandAttributes;
        Assert.Equal(("model-1", "CallModel", History.Queue), (command.ActivityId, command.ActivityType.Name, command.TaskQueue.Name));
        Assert.Equal((10, 24 * 3600, 5), (command.HeartbeatTimeout.Seconds, command.StartToCloseTimeout.Seconds, command.RetryPolicy.MaximumInterval.Seconds));
        Assert.Equal((0, null), (command.RetryPolicy.MaximumAttempts, command.ScheduleToCloseTimeout));
        Assert.Equal("life", answer.Identity);
    }

    [Fact]
    public async Task A_workflow_that_fails_since_its_turn_could_not_be_closed_is_looked_at_by_the_server()
    {
        Run();
        var failed = new HistoryEvent { EventId = 5, EventType = EventType.ActivityTaskFailed };
        failed.ActivityTaskFailedEventAttributes = new() { ScheduledEventId = 4, Failure = Failures.Of(new TurnError("too large"), retryable: false) };
        world.Engine.HandOut(WorkflowTask(Start(), Scheduled(2, "model-1"), Completed(3, 2, new ModelReport { ReadUpTo = 1 }), Scheduled(4, "end-1"), failed));
        var answer = await world.Engine.Answer<RespondWorkflowTaskCompletedRequest>();
        Assert.Equal(CommandType.FailWorkflowExecution, Assert.Single(answer.Commands).CommandType);
        Assert.Equal("r/1/1", await world.Record.MissingWorkflows.Reader.ReadAsync(TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task The_history_is_read_to_its_last_page()
    {
        Run();
        var task = WorkflowTask(Start());
        task.NextPageToken = ByteString.CopyFromUtf8("2");
        world.Engine.Pages["2"] = new() { History = new() { Events = { Scheduled(2, "model-1") } }, NextPageToken = ByteString.CopyFromUtf8("3") };
        world.Engine.Pages["3"] = new() { History = new() { Events = { Completed(3, 2, new ModelReport { ReadUpTo = 4 }) } } };
        world.Engine.HandOut(task);
        var answer = await world.Engine.Answer<RespondWorkflowTaskCompletedRequest>();
        var command = Assert.Single(answer.Commands).ScheduleActivityTaskCommandAttributes;
        Assert.Equal(("end-1", History.EndQueue), (command.ActivityId, command.TaskQueue.Name));
        var input = JsonPayload.Read(command.Input, LoopJson.Default.EndTask);
        Assert.Equal(new EndTask { Run = "r", Turn = 1, Step = 1, End = TurnEnd.Completed, ReadUpTo = 4 }, input);
    }

    [Fact]
    public async Task The_error_of_a_failed_activity_reaches_the_end_of_the_turn_whole()
    {
        Run();
        var error = new TurnError("what", "why", "remedy");
        var failed = new HistoryEvent
        {
            EventId = 3,
            EventType = EventType.ActivityTaskFailed,
            ActivityTaskFailedEventAttributes = new()
            {
                ScheduledEventId = 2,
                Failure = new Stigmer.Rpc.Temporal.Failure { Message = "activity error", ActivityFailureInfo = new(), Cause = Failures.Of(error, retryable: false) },
            },
        };
        world.Engine.HandOut(WorkflowTask(Start(), Scheduled(2, "model-1"), failed));
        var command = Assert.Single((await world.Engine.Answer<RespondWorkflowTaskCompletedRequest>()).Commands).ScheduleActivityTaskCommandAttributes;
        Assert.Equal(error, JsonPayload.Read(command.Input, LoopJson.Default.EndTask).Error);
    }

    [Fact]
    public async Task An_event_that_may_not_be_skipped_fails_the_task_and_not_the_workflow()
    {
        Run();
        world.Engine.HandOut(WorkflowTask(Start(), new HistoryEvent { EventId = 2, EventType = (EventType)999 }));
        Assert.Equal(WorkflowTaskFailedCause.NonDeterministicError, (await world.Engine.Answer<RespondWorkflowTaskFailedRequest>()).Cause);

        world.Engine.HandOut(WorkflowTask(Start(), new HistoryEvent { EventId = 2, EventType = (EventType)999, WorkerMayIgnore = true }));
        Assert.Single((await world.Engine.Answer<RespondWorkflowTaskCompletedRequest>()).Commands);
    }

    [Fact]
    public async Task A_payload_that_is_not_ours_fails_the_task()
    {
        Run();
        var start = Start();
        start.WorkflowExecutionStartedEventAttributes.Input.Payloads_[0].Data = ByteString.CopyFromUtf8("{}");
        world.Engine.HandOut(WorkflowTask(start));
        Assert.Equal(WorkflowTaskFailedCause.WorkflowWorkerUnhandledFailure, (await world.Engine.Answer<RespondWorkflowTaskFailedRequest>()).Cause);
    }

    [Fact]
    public async Task Queries_are_answered_with_a_failure_and_updates_rejected()
    {
        Run();
        var task = WorkflowTask(Start());
        task.Queries["q"] = new WorkflowQuery { QueryType = "state" };
        var request = new Updates.Request { Meta = new Updates.Meta { UpdateId = "u" } };
        task.Messages.Add(new Updates.Message
        {
            Id = "m",
            ProtocolInstanceId = "u",
            EventId = 2,
            Body = new Any { TypeUrl = "type.googleapis.com/temporal.api.update.v1.Request", Value = request.ToByteString() },
        });
        world.Engine.HandOut(task);
        var answer = await world.Engine.Answer<RespondWorkflowTaskCompletedRequest>();
        Assert.Equal((QueryResultType.Failed, "unknown query type state"), (answer.QueryResults["q"].ResultType, answer.QueryResults["q"].ErrorMessage));
        var message = Assert.Single(answer.Messages);
        var rejection = Updates.Rejection.Parser.ParseFrom(message.Body.Value);
        Assert.Equal(
            ("u", "m", 2L, request),
            (message.ProtocolInstanceId, rejection.RejectedRequestMessageId, rejection.RejectedRequestSequencingEventId, rejection.RejectedRequest));

        var legacy = WorkflowTask(Start());
        legacy.Query = new WorkflowQuery { QueryType = "old" };
        world.Engine.HandOut(legacy);
        Assert.Equal("unknown query type old", (await world.Engine.Answer<RespondQueryTaskCompletedRequest>()).ErrorMessage);
    }

    [Fact]
    public async Task An_outage_of_the_engine_is_waited_for()
    {
        foreach (var code in new[] { StatusCode.Unavailable, StatusCode.DeadlineExceeded, StatusCode.ResourceExhausted, StatusCode.NotFound })
        {
            world.Engine.PollFailures.Enqueue(new Status(code, "away"));
        }
        world.Engine.AnswerFailures.Enqueue(new Status(StatusCode.Unavailable, "away"));
        Run();
        world.Engine.HandOut(WorkflowTask(Start()));
        Assert.Single((await world.Engine.Answer<RespondWorkflowTaskCompletedRequest>()).Commands);
    }

    [Fact]
    public async Task An_engine_that_does_not_let_the_runner_in_ends_it_with_a_sentence()
    {
        world.Engine.PollFailures.Enqueue(new Status(StatusCode.PermissionDenied, "no"));
        Run();
        Assert.Equal("no", (await Assert.ThrowsAsync<Stigmer.Failure>(() => running)).Why);
    }

    [Fact]
    public async Task A_model_call_is_taken_only_with_a_free_slot_and_no_end_of_a_turn_waits_for_one()
    {
        var begun = new SemaphoreSlim(0);
        var go = new TaskCompletionSource();
        Run(async attempt =>
        {
            if (attempt.Task.ActivityType.Name != ActivityName.CallModel) return new Payloads();
            begun.Release();
            await go.Task;
            return new Payloads();
        });
        world.Engine.HandOut(History.Queue, Activity("CallModel", "one"));
        world.Engine.HandOut(History.Queue, Activity("CallModel", "two"));
        await begun.WaitAsync(TestContext.Current.CancellationToken);
        world.Engine.HandOut(History.EndQueue, Activity("EndTurn", "end"));
        world.Engine.HandOut(History.HostQueue, Activity("CallTool", "tool"));
        world.Engine.HandOut(WorkflowTask(Start()));
        var answers = new List<object> { await world.Engine.Answer<object>(), await world.Engine.Answer<object>(), await world.Engine.Answer<object>() };
        Assert.Single(answers.OfType<RespondWorkflowTaskCompletedRequest>());
        Assert.Equal(["end", "tool"], answers.OfType<RespondActivityTaskCompletedRequest>().Select(answer => answer.TaskToken.ToStringUtf8()).Order());
        Assert.Equal(1, world.Engine.Waiting(History.Queue));

        go.SetResult();
        Assert.Equal("one", (await world.Engine.Answer<RespondActivityTaskCompletedRequest>()).TaskToken.ToStringUtf8());
        Assert.Equal("two", (await world.Engine.Answer<RespondActivityTaskCompletedRequest>()).TaskToken.ToStringUtf8());
    }

    [Fact]
    public async Task A_cancel_in_the_answer_to_a_heartbeat_ends_the_activity()
    {
        world.Engine.Heartbeat = () => new() { CancelRequested = true };
        Run(Forever);
        world.Engine.HandOut(History.Queue, Activity("CallModel"));
        await world.Engine.Answer<RespondActivityTaskCanceledRequest>();
    }

    [Fact]
    public async Task A_pause_is_answered_with_a_failure_that_is_tried_again()
    {
        world.Engine.Heartbeat = () => new() { ActivityPaused = true };
        Run(Forever);
        world.Engine.HandOut(History.Queue, Activity("CallModel"));
        Assert.False((await world.Engine.Answer<RespondActivityTaskFailedRequest>()).Failure.ApplicationFailureInfo.NonRetryable);
    }

    [Fact]
    public async Task An_activity_that_the_engine_has_lost_goes_on_and_the_server_is_told()
    {
        var go = new TaskCompletionSource();
        var stopped = new TaskCompletionSource<bool>();
        world.Engine.Heartbeat = () => throw new RpcException(new Status(StatusCode.NotFound, "unknown"));
        Run(async attempt =>
        {
            await go.Task;
            stopped.SetResult(attempt.Stop.IsCancellationRequested);
            return new Payloads();
        });
        world.Engine.HandOut(History.Queue, Activity("CallModel"));
        Assert.Equal("r/1/1", await world.Record.MissingWorkflows.Reader.ReadAsync(TestContext.Current.CancellationToken));
        go.SetResult();
        Assert.False(await stopped.Task);
    }

    [Fact]
    public async Task Work_that_is_handed_back_is_retried_elsewhere_at_once()
    {
        var begun = new TaskCompletionSource();
        Run(attempt =>
        {
            begun.SetResult();
            return Forever(attempt);
        });
        world.Engine.HandOut(History.Queue, Activity("CallModel"));
        await begun.Task;
        worker.HandBack();
        var failure = (await world.Engine.Answer<RespondActivityTaskFailedRequest>()).Failure.ApplicationFailureInfo;
        Assert.False(failure.NonRetryable);
        Assert.True(failure.NextRetryDelay.ToTimeSpan() < TimeSpan.FromSeconds(1));
    }

    [Fact]
    public async Task A_failed_activity_carries_its_error_in_three_parts()
    {
        Run(_ => throw new ActivityFailure(new TurnError("what", "why", "remedy"), retryable: false));
        world.Engine.HandOut(History.Queue, Activity("CallModel"));
        var failure = (await world.Engine.Answer<RespondActivityTaskFailedRequest>()).Failure;
        Assert.True(failure.ApplicationFailureInfo.NonRetryable);
        Assert.Equal(new TurnError("what", "why", "remedy"), Failures.Read(failure));
    }

    [Fact]
    public async Task A_bug_in_an_activity_is_tried_again()
    {
        Run(_ => throw new InvalidOperationException("a bug"));
        world.Engine.HandOut(History.Queue, Activity("CallModel"));
        Assert.False((await world.Engine.Answer<RespondActivityTaskFailedRequest>()).Failure.ApplicationFailureInfo.NonRetryable);
    }

    static async Task<Payloads> Forever(Attempt attempt)
    {
        await Task.Delay(Timeout.Infinite, attempt.Stop);
        return new Payloads();
    }

    static HistoryEvent Scheduled(long id, string activity) => new()
    {
        EventId = id, EventType = EventType.ActivityTaskScheduled, ActivityTaskScheduledEventAttributes = new() { ActivityId = activity },
    };

    static HistoryEvent Completed(long id, long scheduled, ModelReport report) => new()
    {
        EventId = id,
        EventType = EventType.ActivityTaskCompleted,
        ActivityTaskCompletedEventAttributes = new() { ScheduledEventId = scheduled, Result = JsonPayload.Of(report, LoopJson.Default.ModelReport) },
    };
}
