using Google.Protobuf;
using Grpc.Core;
using Microsoft.Data.Sqlite;
using Stigmer.Rpc;
using Stigmer.Rpc.Temporal;
using Stigmer.Server.Api;

namespace Stigmer.Server.Engine;

/// <summary>How the engine is called: Temporal's WorkflowService. What is not here answers Unimplemented.</summary>
sealed class EngineService(EmbeddedEngine engine)
{
    /// <summary>What it answers. See <see cref="ServiceMethods{TService}"/> for why this is written out.</summary>
    public static ServiceMethods<EngineService> Methods(Faults? faults) => new(TemporalConnection.Service, faults, m =>
    {
        m.Unary<GetSystemInfoRequest, GetSystemInfoResponse>("GetSystemInfo", (_, _, _) => GetSystemInfo());
        m.Unary<DescribeNamespaceRequest, DescribeNamespaceResponse>("DescribeNamespace", (service, request, _) => service.DescribeNamespace(request));
        m.Unary<StartWorkflowExecutionRequest, StartWorkflowExecutionResponse>("StartWorkflowExecution", (service, request, _) => service.StartWorkflowExecution(request));
        m.Unary<SignalWorkflowExecutionRequest, SignalWorkflowExecutionResponse>("SignalWorkflowExecution", (service, request, _) => service.SignalWorkflowExecution(request));
        m.Unary<RequestCancelWorkflowExecutionRequest, RequestCancelWorkflowExecutionResponse>("RequestCancelWorkflowExecution", (service, request, _) => service.RequestCancelWorkflowExecution(request));
        m.Unary<TerminateWorkflowExecutionRequest, TerminateWorkflowExecutionResponse>("TerminateWorkflowExecution", (service, request, _) => service.TerminateWorkflowExecution(request));
        m.Unary<DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse>("DescribeWorkflowExecution", (service, request, _) => service.DescribeWorkflowExecution(request));
        m.Unary<GetWorkflowExecutionHistoryRequest, GetWorkflowExecutionHistoryResponse>("GetWorkflowExecutionHistory", (service, request, context) => service.GetWorkflowExecutionHistory(request, context));
        m.Unary<ListWorkflowExecutionsRequest, ListWorkflowExecutionsResponse>("ListWorkflowExecutions", (service, request, _) => service.ListWorkflowExecutions(request));
        m.Unary<CountWorkflowExecutionsRequest, CountWorkflowExecutionsResponse>("CountWorkflowExecutions", (service, request, _) => service.CountWorkflowExecutions(request));
        m.Unary<DescribeTaskQueueRequest, DescribeTaskQueueResponse>("DescribeTaskQueue", (service, request, _) => service.DescribeTaskQueue(request));
        m.Unary<PollWorkflowTaskQueueRequest, PollWorkflowTaskQueueResponse>("PollWorkflowTaskQueue", (service, request, context) => service.PollWorkflowTaskQueue(request, context));
        m.Unary<PollActivityTaskQueueRequest, PollActivityTaskQueueResponse>("PollActivityTaskQueue", (service, request, context) => service.PollActivityTaskQueue(request, context));
        m.Unary<RespondWorkflowTaskCompletedRequest, RespondWorkflowTaskCompletedResponse>("RespondWorkflowTaskCompleted", (service, request, _) => service.RespondWorkflowTaskCompleted(request));
        m.Unary<RespondWorkflowTaskFailedRequest, RespondWorkflowTaskFailedResponse>("RespondWorkflowTaskFailed", (service, request, _) => service.RespondWorkflowTaskFailed(request));
        m.Unary<RespondQueryTaskCompletedRequest, RespondQueryTaskCompletedResponse>("RespondQueryTaskCompleted", (_, _, _) => throw Errors.NoTask("Query task"));
        m.Unary<RecordActivityTaskHeartbeatRequest, RecordActivityTaskHeartbeatResponse>("RecordActivityTaskHeartbeat", (service, request, _) => service.RecordActivityTaskHeartbeat(request));
        m.Unary<RespondActivityTaskCompletedRequest, RespondActivityTaskCompletedResponse>("RespondActivityTaskCompleted", (service, request, _) => service.RespondActivityTaskCompleted(request));
        m.Unary<RespondActivityTaskCompletedByIdRequest, RespondActivityTaskCompletedByIdResponse>("RespondActivityTaskCompletedById", (service, request, _) => service.RespondActivityTaskCompletedById(request));
        m.Unary<RespondActivityTaskFailedRequest, RespondActivityTaskFailedResponse>("RespondActivityTaskFailed", (service, request, _) => service.RespondActivityTaskFailed(request));
        m.Unary<RespondActivityTaskFailedByIdRequest, RespondActivityTaskFailedByIdResponse>("RespondActivityTaskFailedById", (service, request, _) => service.RespondActivityTaskFailedById(request));
        m.Unary<RespondActivityTaskCanceledRequest, RespondActivityTaskCanceledResponse>("RespondActivityTaskCanceled", (service, request, _) => service.RespondActivityTaskCanceled(request));
        m.Unary<RespondActivityTaskCanceledByIdRequest, RespondActivityTaskCanceledByIdResponse>("RespondActivityTaskCanceledById", (service, request, _) => service.RespondActivityTaskCanceledById(request));
    });

    static Task<GetSystemInfoResponse> GetSystemInfo() => Task.FromResult(new GetSystemInfoResponse
    {
        ServerVersion = $"stigmer-{Build.Version}",
        Capabilities = new()
        {
            InternalErrorDifferentiation = true, ActivityFailureIncludeHeartbeat = true, EncodedFailureAttributes = true, SignalAndQueryHeader = true,
        },
    });

    Task<DescribeNamespaceResponse> DescribeNamespace(DescribeNamespaceRequest request)
    {
        if (request.Id.Length == 0) Check(request.Namespace);
        else if (request.Id != engine.NamespaceId) throw Errors.NoNamespace(request.Id);
        return Task.FromResult(new DescribeNamespaceResponse
        {
            NamespaceInfo = new()
            {
                Name = Responses.Namespace, State = NamespaceState.Registered, Id = engine.NamespaceId, Description = "The engine inside stigmer-server",
            },
            Config = new() { WorkflowExecutionRetentionTtl = Histories.ToDuration(EmbeddedEngine.Retention) },
        });
    }

    Task<StartWorkflowExecutionResponse> StartWorkflowExecution(StartWorkflowExecutionRequest request) =>
        Step(request.Namespace, step => ClientCalls.Start(step, request));

    Task<SignalWorkflowExecutionResponse> SignalWorkflowExecution(SignalWorkflowExecutionRequest request) =>
        Step(request.Namespace, step => ClientCalls.Signal(step, request));

    Task<RequestCancelWorkflowExecutionResponse> RequestCancelWorkflowExecution(RequestCancelWorkflowExecutionRequest request) =>
        Step(request.Namespace, step => ClientCalls.RequestCancel(step, request));

    Task<TerminateWorkflowExecutionResponse> TerminateWorkflowExecution(TerminateWorkflowExecutionRequest request) =>
        Step(request.Namespace, step => ClientCalls.Terminate(step, request));

    Task<DescribeWorkflowExecutionResponse> DescribeWorkflowExecution(DescribeWorkflowExecutionRequest request) =>
        Step(request.Namespace, step => ClientCalls.Describe(step, request));

    Task<GetWorkflowExecutionHistoryResponse> GetWorkflowExecutionHistory(
        GetWorkflowExecutionHistoryRequest request, ServerCallContext context)
    {
        Check(request.Namespace);
        return Guarded(() => HistoryReading.Get(engine, request, Within(context, HistoryReading.Hold), context.CancellationToken));
    }

    Task<ListWorkflowExecutionsResponse> ListWorkflowExecutions(ListWorkflowExecutionsRequest request)
    {
        Check(request.Namespace);
        var query = VisibilityQuery.Parse(request.Query);
        var atMost = request.PageSize is > 0 and <= 1000 ? request.PageSize : 1000;
        var before = request.NextPageToken.IsEmpty ? long.MaxValue : PageToken.Parse(request.NextPageToken).RunKey;
        return Guarded(async () =>
        {
            var rows = await engine.Read(connection => Store.List(connection, query, before, atMost)).ConfigureAwait(false);
            var response = new ListWorkflowExecutionsResponse { Executions = { rows.Select(Responses.Info) } };
            if (rows.Count == atMost) response.NextPageToken = new PageToken(rows[^1].Key, 0, 0, []).ToBytes();
            return response;
        });
    }

    Task<CountWorkflowExecutionsResponse> CountWorkflowExecutions(CountWorkflowExecutionsRequest request)
    {
        Check(request.Namespace);
        var query = VisibilityQuery.Parse(request.Query);
        return Guarded(async () =>
            new CountWorkflowExecutionsResponse { Count = await engine.Read(connection => Store.Count(connection, query)).ConfigureAwait(false) });
    }

    Task<DescribeTaskQueueResponse> DescribeTaskQueue(DescribeTaskQueueRequest request)
    {
        var type = request.TaskQueueType == TaskQueueType.Activity ? TaskQueueType.Activity : TaskQueueType.Workflow;
        var queue = Queue(type, request.TaskQueue);
        return Step(request.Namespace, step =>
        {
            var response = new DescribeTaskQueueResponse();
            foreach (var (identity, at) in step.Queues.Pollers(queue, step.Now))
            {
                response.Pollers.Add(new PollerInfo { Identity = identity, LastAccessTime = Histories.ToTimestamp(at) });
            }
            if (request.ReportStats) response.Stats = new TaskQueueStats { ApproximateBacklogCount = step.Backlog(queue) };
            return response;
        });
    }

    Task<PollWorkflowTaskQueueResponse> PollWorkflowTaskQueue(PollWorkflowTaskQueueRequest request, ServerCallContext context)
    {
        Check(request.Namespace);
        var queue = Queue(TaskQueueType.Workflow, request.TaskQueue);
        return Guarded(async () =>
        {
            var given = await Poll(queue, request.Identity, context).ConfigureAwait(false);
            return given is null ? new PollWorkflowTaskQueueResponse() : await Polling.WithHistory(engine, given).ConfigureAwait(false);
        });
    }

    Task<PollActivityTaskQueueResponse> PollActivityTaskQueue(PollActivityTaskQueueRequest request, ServerCallContext context)
    {
        Check(request.Namespace);
        var queue = Queue(TaskQueueType.Activity, request.TaskQueue);
        return Guarded(async () =>
        {
            var given = await Poll(queue, request.Identity, context).ConfigureAwait(false);
            return given is null ? new PollActivityTaskQueueResponse() : (PollActivityTaskQueueResponse)given.Respond;
        });
    }

    async Task<RespondWorkflowTaskCompletedResponse> RespondWorkflowTaskCompleted(RespondWorkflowTaskCompletedRequest request)
    {
        var refusal = await Answer(request.Namespace, step => WorkerCalls.CompleteWorkflowTask(step, request)).ConfigureAwait(false);
        return refusal is null ? new RespondWorkflowTaskCompletedResponse() : throw Errors.Invalid(refusal.Why);
    }

    Task<RespondWorkflowTaskFailedResponse> RespondWorkflowTaskFailed(RespondWorkflowTaskFailedRequest request) =>
        Answer(request.Namespace, step => WorkerCalls.FailWorkflowTask(step, request));

    Task<RecordActivityTaskHeartbeatResponse> RecordActivityTaskHeartbeat(RecordActivityTaskHeartbeatRequest request) =>
        Answer(request.Namespace, step => WorkerCalls.Heartbeat(step, request));

    Task<RespondActivityTaskCompletedResponse> RespondActivityTaskCompleted(RespondActivityTaskCompletedRequest request) =>
        Answer(request.Namespace, step => WorkerCalls.CompleteActivity(step, request), new RespondActivityTaskCompletedResponse());

    Task<RespondActivityTaskCompletedByIdResponse> RespondActivityTaskCompletedById(RespondActivityTaskCompletedByIdRequest request) =>
        Answer(request.Namespace, step => WorkerCalls.CompleteActivity(step, request), new RespondActivityTaskCompletedByIdResponse());

    Task<RespondActivityTaskFailedResponse> RespondActivityTaskFailed(RespondActivityTaskFailedRequest request) =>
        Answer(request.Namespace, step => WorkerCalls.FailActivity(step, request), new RespondActivityTaskFailedResponse());

    Task<RespondActivityTaskFailedByIdResponse> RespondActivityTaskFailedById(RespondActivityTaskFailedByIdRequest request) =>
        Answer(request.Namespace, step => WorkerCalls.FailActivity(step, request), new RespondActivityTaskFailedByIdResponse());

    Task<RespondActivityTaskCanceledResponse> RespondActivityTaskCanceled(RespondActivityTaskCanceledRequest request) =>
        Answer(request.Namespace, step => WorkerCalls.CancelActivity(step, request), new RespondActivityTaskCanceledResponse());

    Task<RespondActivityTaskCanceledByIdResponse> RespondActivityTaskCanceledById(RespondActivityTaskCanceledByIdRequest request) =>
        Answer(request.Namespace, step => WorkerCalls.CancelActivity(step, request), new RespondActivityTaskCanceledByIdResponse());

    async Task<GivenTask?> Poll(QueueKey queue, string identity, ServerCallContext context)
    {
        var given = await Polling.Poll(engine, queue, identity, Within(context, Polling.Hold), context.CancellationToken).ConfigureAwait(false);
        if (given is null) return null;
        // The caller may go while the answer is on its way; one that goes later still costs a timeout.
        context.GetHttpContext().RequestAborted.Register(() => _ = Requeue(given.Token));
        return given;
    }

    async Task Requeue(TaskToken token)
    {
        try
        {
            await Polling.Requeue(engine, token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is ObjectDisposedException or SqliteException)
        {
            // The task's timeout brings it back.
        }
    }

    Task<T> Step<T>(string name, Func<Step, T> work)
    {
        Check(name);
        return Guarded(() => engine.Apply(work));
    }

    /// <summary>A worker's answer names its task by a token; the namespace may be left out.</summary>
    Task<T> Answer<T>(string name, Func<Step, T> work)
    {
        if (name.Length > 0) Check(name);
        return Guarded(() => engine.Apply(work));
    }

    Task<T> Answer<T>(string name, Action<Step> work, T response) where T : IMessage => Answer(name, step =>
    {
        work(step);
        return response;
    });

    static void Check(string name)
    {
        if (name.Length == 0) throw Errors.Invalid("Namespace not set on request.");
        if (name != Responses.Namespace) throw Errors.NoNamespace(name);
    }

    static QueueKey Queue(TaskQueueType type, TaskQueue? queue) =>
        string.IsNullOrEmpty(queue?.Name) ? throw Errors.Invalid("TaskQueue is not set on request.") : new QueueKey(type, queue.Name);

    /// <summary>Not longer than the caller waits: an answer without news is better than an error.</summary>
    static TimeSpan Within(ServerCallContext context, TimeSpan hold)
    {
        if (CallTime.Left(context) is not { } left) return hold;
        left = left > TimeSpan.FromSeconds(2) ? left - TimeSpan.FromSeconds(1) : left / 2;
        return left < TimeSpan.Zero ? TimeSpan.Zero : left < hold ? left : hold;
    }

    /// <summary>A database that is closed or full is the server's trouble, not the caller's: it may ask again.</summary>
    static async Task<T> Guarded<T>(Func<Task<T>> call)
    {
        try
        {
            return await call().ConfigureAwait(false);
        }
        catch (Exception e) when (e is ObjectDisposedException or SqliteException)
        {
            throw new RpcException(new Status(StatusCode.Unavailable, e is SqliteException ? e.Message : "The server is stopping"));
        }
    }
}
