using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Time.Testing;
using Stigmer.Rpc.Temporal;
using Stigmer.Server.Engine;
using Stigmer.Server.Storage;
using Stigmer.Standins;
using Duration = Google.Protobuf.WellKnownTypes.Duration;
using TemporalFailure = Stigmer.Rpc.Temporal.Failure;

namespace Stigmer.Tests.Engine;

/// <summary>The engine behind a real server on loopback, called as a worker and a client call it; its clock stands still until it is set.</summary>
sealed class EngineHost : IAsyncDisposable
{
    public const string Queue = "queue";

    readonly string folder = Directory.CreateTempSubdirectory("stigmer-engine-").FullName;

    /// <summary>A task that never comes fails its test and does not hold up all others.</summary>
    readonly CancellationTokenSource limit = new(TimeSpan.FromMinutes(2));

    WebApplication? app;
    GrpcChannel? channel;
    Database? database;

    public FakeTimeProvider Time { get; } = new(new DateTimeOffset(2026, 11, 24, 8, 0, 0, TimeSpan.Zero));

    public EmbeddedEngine Engine { get; private set; } = null!;

    public Database Database => database!;

    public WorkflowService.WorkflowServiceClient Client { get; private set; } = null!;

    public CallInvoker Invoker => channel!.CreateCallInvoker();

    public static async Task<EngineHost> Start()
    {
        var host = new EngineHost();
        await host.Open();
        return host;
    }

    /// <summary>Ends the engine, in order or as a kill does, and starts it anew on the same file.</summary>
    public async Task Restart(bool killed = true)
    {
        await Close(killed);
        await Open();
    }

    /// <summary>Ends the engine as a kill does, and starts it anew after something.</summary>
    public async Task CloseWhile(Action happens)
    {
        await Close(killed: true);
        happens();
        await Open();
    }

    public Task StopServing() => app!.StopAsync();

    public async ValueTask DisposeAsync()
    {
        await Close(killed: false);
        limit.Dispose();
        Directory.Delete(folder, recursive: true);
    }

    async Task Open()
    {
        var log = new Log("test", TextWriter.Null, Time);
        database = Database.Open(Path.Combine(folder, "stigmer.db"), log);
        Engine = new EmbeddedEngine(database, Time, log);
        await Engine.Start();
        app = await Loopback.Grpc(services => services.AddEngine(Engine), served => served.MapEngine(Engine));
        channel = GrpcChannel.ForAddress(app.Urls.Single(), new GrpcChannelOptions { HttpHandler = new SocketsHttpHandler { UseProxy = false, EnableMultipleHttp2Connections = true } });
        Client = new WorkflowService.WorkflowServiceClient(channel);
    }

    async Task Close(bool killed)
    {
        if (killed) await database!.Abandon();
        channel!.Dispose();
        await app!.DisposeAsync();
        await Engine.DisposeAsync();
        if (!killed) await database!.DisposeAsync();
    }

    public async Task<string> StartWorkflow(string id = "w", Action<StartWorkflowExecutionRequest>? change = null)
    {
        var request = new StartWorkflowExecutionRequest
        {
            Namespace = "default", WorkflowId = id, WorkflowType = new() { Name = "t" }, TaskQueue = new() { Name = Queue }, Identity = "client",
            RequestId = $"start {id}", Input = Text("input"),
        };
        change?.Invoke(request);
        return (await Client.StartWorkflowExecutionAsync(request)).RunId;
    }

    public async Task Signal(string name = "bell", string id = "w", string requestId = "") => await Client.SignalWorkflowExecutionAsync(new()
    {
        Namespace = "default", WorkflowExecution = new() { WorkflowId = id }, SignalName = name, RequestId = requestId, Input = Text(name),
    });

    public async Task RequestCancel(string id = "w") => await Client.RequestCancelWorkflowExecutionAsync(new()
    {
        Namespace = "default", WorkflowExecution = new() { WorkflowId = id }, Identity = "client", RequestId = "cancel", Reason = "enough",
    });

    public async Task Terminate(string id = "w") => await Client.TerminateWorkflowExecutionAsync(new()
    {
        Namespace = "default", WorkflowExecution = new() { WorkflowId = id }, Reason = "enough",
    });

    public AsyncUnaryCall<PollWorkflowTaskQueueResponse> PollingWorkflow(string identity = "worker") => PollingWorkflowUntil(limit.Token, identity);

    public AsyncUnaryCall<PollWorkflowTaskQueueResponse> PollingWorkflowUntil(CancellationToken cancel, string identity = "worker") =>
        Client.PollWorkflowTaskQueueAsync(new() { Namespace = "default", TaskQueue = new() { Name = Queue }, Identity = identity }, cancellationToken: cancel);

    public AsyncUnaryCall<PollActivityTaskQueueResponse> PollingActivity(string identity = "worker") => PollingActivityUntil(limit.Token, identity);

    public AsyncUnaryCall<PollActivityTaskQueueResponse> PollingActivityUntil(CancellationToken cancel, string identity = "worker") =>
        Client.PollActivityTaskQueueAsync(new() { Namespace = "default", TaskQueue = new() { Name = Queue }, Identity = identity }, cancellationToken: cancel);

    /// <summary>A workflow task that is known to be there.</summary>
    public async Task<PollWorkflowTaskQueueResponse> WorkflowTask(string identity = "worker")
    {
        var task = await PollingWorkflow(identity);
        Assert.NotEmpty(task.TaskToken);
        return task;
    }

    /// <summary>An activity that is known to be there.</summary>
    public async Task<PollActivityTaskQueueResponse> ActivityTask(string identity = "worker")
    {
        var task = await PollingActivity(identity);
        Assert.NotEmpty(task.TaskToken);
        return task;
    }

    public async Task Complete(PollWorkflowTaskQueueResponse task, params Command[] commands) =>
        await Client.RespondWorkflowTaskCompletedAsync(new() { Namespace = "default", TaskToken = task.TaskToken, Identity = "worker", Commands = { commands } });

    public async Task CompleteAndDecideAgain(PollWorkflowTaskQueueResponse task) =>
        await Client.RespondWorkflowTaskCompletedAsync(new() { Namespace = "default", TaskToken = task.TaskToken, ForceCreateNewWorkflowTask = true });

    public async Task Fail(PollWorkflowTaskQueueResponse task) => await Client.RespondWorkflowTaskFailedAsync(new()
    {
        Namespace = "default", TaskToken = task.TaskToken, Cause = WorkflowTaskFailedCause.NonDeterministicError, Failure = new() { Message = "a bug" },
    });

    /// <summary>Takes the next workflow task and answers it.</summary>
    public async Task<PollWorkflowTaskQueueResponse> Decide(params Command[] commands)
    {
        var task = await WorkflowTask();
        await Complete(task, commands);
        return task;
    }

    public async Task Complete(PollActivityTaskQueueResponse task, string result = "done") =>
        await Client.RespondActivityTaskCompletedAsync(new() { Namespace = "default", TaskToken = task.TaskToken, Identity = "worker", Result = Text(result) });

    public async Task Fail(PollActivityTaskQueueResponse task, Action<TemporalFailure>? change = null)
    {
        var failure = new TemporalFailure { Message = "it broke", ApplicationFailureInfo = new() { Type = "Broken" } };
        change?.Invoke(failure);
        await Client.RespondActivityTaskFailedAsync(new() { Namespace = "default", TaskToken = task.TaskToken, Identity = "worker", Failure = failure });
    }

    public async Task Canceled(PollActivityTaskQueueResponse task) =>
        await Client.RespondActivityTaskCanceledAsync(new() { Namespace = "default", TaskToken = task.TaskToken, Identity = "worker" });

    public async Task<RecordActivityTaskHeartbeatResponse> Heartbeat(PollActivityTaskQueueResponse task, string? details = null) =>
        await Client.RecordActivityTaskHeartbeatAsync(new()
        {
            Namespace = "default", TaskToken = task.TaskToken, Details = details is null ? null : Text(details),
        });

    public async Task<DescribeWorkflowExecutionResponse> Describe(string id = "w", string runId = "") =>
        await Client.DescribeWorkflowExecutionAsync(new() { Namespace = "default", Execution = new() { WorkflowId = id, RunId = runId } });

    /// <summary>How many tasks wait.</summary>
    public async Task<long> Backlog(TaskQueueType type) => (await DescribeQueue(type)).Stats.ApproximateBacklogCount;

    /// <summary>Returns when so many workers have polled.</summary>
    public async Task PollersOf(TaskQueueType type, int count)
    {
        while ((await DescribeQueue(type)).Pollers.Count < count) await Task.Yield();
    }

    public async Task<DescribeTaskQueueResponse> DescribeQueue(TaskQueueType type) => await Client.DescribeTaskQueueAsync(new()
    {
        Namespace = "default", TaskQueue = new() { Name = Queue }, TaskQueueType = type, ReportStats = true,
    });

    /// <summary>One page of history.</summary>
    public async Task<GetWorkflowExecutionHistoryResponse> Page(ByteString? token = null, bool wait = false, bool closeOnly = false, string runId = "",
        string id = "w", int size = 0) =>
        await Client.GetWorkflowExecutionHistoryAsync(new()
        {
            Namespace = "default", Execution = new() { WorkflowId = id, RunId = runId }, NextPageToken = token ?? ByteString.Empty, MaximumPageSize = size,
            WaitNewEvent = wait,
            HistoryEventFilterType = closeOnly ? HistoryEventFilterType.CloseEvent : HistoryEventFilterType.AllEvent,
        }, cancellationToken: limit.Token);

    /// <summary>The whole history, by pages.</summary>
    public async Task<List<HistoryEvent>> History(string id = "w", string runId = "", int pageSize = 0)
    {
        // Reading does not wait for what the clock has set off; this does.
        await DescribeQueue(TaskQueueType.Workflow);
        var events = new List<HistoryEvent>();
        var token = ByteString.Empty;
        do
        {
            var page = await Page(token, runId: runId, id: id, size: pageSize);
            events.AddRange(page.History.Events);
            token = page.NextPageToken;
        }
        while (!token.IsEmpty);
        Assert.Equal(Enumerable.Range(1, events.Count).Select(n => (long)n), events.Select(happened => happened.EventId));
        return events;
    }

    /// <summary>The history's events by name, from the beginning.</summary>
    public async Task<string> Story(string id = "w", string runId = "") => Told(await History(id, runId));

    public static string Told(IEnumerable<HistoryEvent> events) => string.Join(' ', events.Select(happened => happened.EventType));

    public static Payloads Text(string text) => new()
    {
        Payloads_ = { new Payload { Data = ByteString.CopyFromUtf8(text), Metadata = { ["encoding"] = ByteString.CopyFromUtf8("json/plain") } } },
    };

    public static string TextOf(Payloads? payloads) => payloads is null ? "" : payloads.Payloads_.Single().Data.ToStringUtf8();

    public static Duration Seconds(double seconds) => Duration.FromTimeSpan(TimeSpan.FromSeconds(seconds));

    public static Command Schedule(string id = "a", Action<ScheduleActivityTaskCommandAttributes>? change = null)
    {
        var attributes = new ScheduleActivityTaskCommandAttributes
        {
            ActivityId = id, ActivityType = new() { Name = "act" }, Input = Text(id), StartToCloseTimeout = Seconds(3600), HeartbeatTimeout = Seconds(10),
        };
        change?.Invoke(attributes);
        return new Command { CommandType = CommandType.ScheduleActivityTask, ScheduleActivityTaskCommandAttributes = attributes };
    }

    public static Command CancelActivity(long scheduledEventId) => new()
    {
        CommandType = CommandType.RequestCancelActivityTask, RequestCancelActivityTaskCommandAttributes = new() { ScheduledEventId = scheduledEventId },
    };

    public static Command StartTimer(string id, double seconds) => new()
    {
        CommandType = CommandType.StartTimer, StartTimerCommandAttributes = new() { TimerId = id, StartToFireTimeout = Seconds(seconds) },
    };

    public static Command CancelTimer(string id) => new() { CommandType = CommandType.CancelTimer, CancelTimerCommandAttributes = new() { TimerId = id } };

    public static Command Finish() => new()
    {
        CommandType = CommandType.CompleteWorkflowExecution, CompleteWorkflowExecutionCommandAttributes = new() { Result = Text("result") },
    };

    public static Command ContinueAsNew(string input) => new()
    {
        CommandType = CommandType.ContinueAsNewWorkflowExecution, ContinueAsNewWorkflowExecutionCommandAttributes = new() { Input = Text(input) },
    };

    /// <summary>The call is refused with this code.</summary>
    public static async Task<RpcException> Refused(StatusCode code, Func<Task> call)
    {
        var refusal = await Assert.ThrowsAsync<RpcException>(call);
        Assert.Equal(code, refusal.StatusCode);
        return refusal;
    }
}
