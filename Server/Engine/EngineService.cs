using Google.Protobuf;
using Grpc.AspNetCore.Server;
using Grpc.Core;
using Microsoft.AspNetCore.Http;
using Microsoft.Data.Sqlite;
using Stigmer.Rpc.Temporal;
using Stigmer.Server.Api;
using Stigmer.Server.Storage;

namespace Stigmer.Server.Engine;

/// <summary>How the engine is called: Temporal's WorkflowService. What is not here answers Unimplemented.</summary>
sealed class EngineService(EmbeddedEngine engine)
{
    /// <summary>What it answers. See <see cref="ServiceMethods{TService}"/> for why this is written out.</summary>
    public static ServiceMethods<EngineService> Methods(Faults? faults) => new("temporal.api.workflowservice.v1.WorkflowService", faults, m =>
    {
        m.Unary<GetSystemInfoRequest, GetSystemInfoResponse>("GetSystemInfo", (service, request, context) => service.GetSystemInfo(request, context));
        m.Unary<DescribeNamespaceRequest, DescribeNamespaceResponse>("DescribeNamespace", (service, request, context) => service.DescribeNamespace(request, context));
        m.Unary<StartWorkflowExecutionRequest, StartWorkflowExecutionResponse>("StartWorkflowExecution", (service, request, context) => service.StartWorkflowExecution(request, context));
        m.Unary<SignalWorkflowExecutionRequest, SignalWorkflowExecutionResponse>("SignalWorkflowExecution", (service, request, context) => service.SignalWorkflowExecution(request, context));
        m.Unary<RequestCancelWorkflowExecutionRequest, RequestCancelWorkflowExecutionResponse>("RequestCancelWorkflowExecution", (service, request, context) => service.RequestCancelWorkflowExecution(request, context));
        m.Unary<TerminateWorkflowExecutionRequest, TerminateWorkflowExecutionResponse>("TerminateWorkflowExecution", (service, request, context) => service.TerminateWorkflowExecution(request, context));
        m.Unary<DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse>("DescribeWorkflowExecution", (service, request, context) => service.DescribeWorkflowExecution(request, context));
        m.Unary<GetWorkflowExecutionHistoryRequest, GetWorkflowExecutionHistoryResponse>("GetWorkflowExecutionHistory", (service, request, context) => service.GetWorkflowExecutionHistory(request, context));
        m.Unary<ListWorkflowExecutionsRequest, ListWorkflowExecutionsResponse>("ListWorkflowExecutions", (service, request, context) => service.ListWorkflowExecutions(request, context));
        m.Unary<CountWorkflowExecutionsRequest, CountWorkflowExecutionsResponse>("CountWorkflowExecutions", (service, request, context) => service.CountWorkflowExecutions(request, context));
        m.Unary<DescribeTaskQueueRequest, DescribeTaskQueueResponse>("DescribeTaskQueue", (service, request, context) => service.DescribeTaskQueue(request, context));
        m.Unary<PollWorkflowTaskQueueRequest, PollWorkflowTaskQueueResponse>("PollWorkflowTaskQueue", (service, request, context) => service.PollWorkflowTaskQueue(request, context));
        m.Unary<PollActivityTaskQueueRequest, PollActivityTaskQueueResponse>("PollActivityTaskQueue", (service, request, context) => service.PollActivityTaskQueue(request, context));
        m.Unary<RespondWorkflowTaskCompletedRequest, RespondWorkflowTaskCompletedResponse>("RespondWorkflowTaskCompleted", (service, request, context) => service.RespondWorkflowTaskCompleted(request, context));
        m.Unary<RespondWorkflowTaskFailedRequest, RespondWorkflowTaskFailedResponse>("RespondWorkflowTaskFailed", (service, request, context) => service.RespondWorkflowTaskFailed(request, context));
        m.Unary<RespondQueryTaskCompletedRequest, RespondQueryTaskCompletedResponse>("RespondQueryTaskCompleted", (service, request, context) => service.RespondQueryTaskCompleted(request, context));
        m.Unary<RecordActivityTaskHeartbeatRequest, RecordActivityTaskHeartbeatResponse>("RecordActivityTaskHeartbeat", (service, request, context) => service.RecordActivityTaskHeartbeat(request, context));
        m.Unary<RespondActivityTaskCompletedRequest, RespondActivityTaskCompletedResponse>("RespondActivityTaskCompleted", (service, request, context) => service.RespondActivityTaskCompleted(request, context));
        m.Unary<RespondActivityTaskCompletedByIdRequest, RespondActivityTaskCompletedByIdResponse>("RespondActivityTaskCompletedById", (service, request, context) => service.RespondActivityTaskCompletedById(request, context));
        m.Unary<RespondActivityTaskFailedRequest, RespondActivityTaskFailedResponse>("RespondActivityTaskFailed", (service, request, context) => service.RespondActivityTaskFailed(request, context));
        m.Unary<RespondActivityTaskFailedByIdRequest, RespondActivityTaskFailedByIdResponse>("RespondActivityTaskFailedById", (service, request, context) => service.RespondActivityTaskFailedById(request, context));
        m.Unary<RespondActivityTaskCanceledRequest, RespondActivityTaskCanceledResponse>("RespondActivityTaskCanceled", (service, request, context) => service.RespondActivityTaskCanceled(request, context));
        m.Unary<RespondActivityTaskCanceledByIdRequest, RespondActivityTaskCanceledByIdResponse>("RespondActivityTaskCanceledById", (service, request, context) => service.RespondActivityTaskCanceledById(request, context));
    });

    Task<GetSystemInfoResponse> GetSystemInfo(GetSystemInfoRequest request, ServerCallContext context) => Task.FromResult(new GetSystemInfoResponse
    {
        ServerVersion = $"stigmer-{Build.Version}",
        Capabilities = new()
        {
            InternalErrorDifferentiation = true, ActivityFailureIncludeHeartbeat = true, EncodedFailureAttributes = true, SignalAndQueryHeader = true,
        },
    });

    Task<DescribeNamespaceResponse> DescribeNamespace(DescribeNamespaceRequest request, ServerCallContext context)
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

    Task<StartWorkflowExecutionResponse> StartWorkflowExecution(StartWorkflowExecutionRequest request, ServerCallContext context) =>
        Step(request.Namespace, step => ClientCalls.Start(step, request));

    Task<SignalWorkflowExecutionResponse> SignalWorkflowExecution(SignalWorkflowExecutionRequest request, ServerCallContext context) =>
        Step(request.Namespace, step => ClientCalls.Signal(step, request));

    Task<RequestCancelWorkflowExecutionResponse> RequestCancelWorkflowExecution(
        RequestCancelWorkflowExecutionRequest request, ServerCallContext context) =>
        Step(request.Namespace, step => ClientCalls.RequestCancel(step, request));

    Task<TerminateWorkflowExecutionResponse> TerminateWorkflowExecution(TerminateWorkflowExecutionRequest request, ServerCallContext context) =>
        Step(request.Namespace, step => ClientCalls.Terminate(step, request));

    Task<DescribeWorkflowExecutionResponse> DescribeWorkflowExecution(DescribeWorkflowExecutionRequest request, ServerCallContext context) =>
        Step(request.Namespace, step => ClientCalls.Describe(step, request));

    Task<GetWorkflowExecutionHistoryResponse> GetWorkflowExecutionHistory(
        GetWorkflowExecutionHistoryRequest request, ServerCallContext context)
    {
        Check(request.Namespace);
        return Guarded(() => HistoryReading.Get(engine, request, Within(context, HistoryReading.Hold), context.CancellationToken));
    }

    Task<ListWorkflowExecutionsResponse> ListWorkflowExecutions(ListWorkflowExecutionsRequest request, ServerCallContext context)
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

    Task<CountWorkflowExecutionsResponse> CountWorkflowExecutions(CountWorkflowExecutionsRequest request, ServerCallContext context)
    {
        Check(request.Namespace);
        var query = VisibilityQuery.Parse(request.Query);
        return Guarded(async () =>
            new CountWorkflowExecutionsResponse { Count = await engine.Read(connection => Store.Count(connection, query)).ConfigureAwait(false) });
    }

    Task<DescribeTaskQueueResponse> DescribeTaskQueue(DescribeTaskQueueRequest request, ServerCallContext context)
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

    async Task<RespondWorkflowTaskCompletedResponse> RespondWorkflowTaskCompleted(
        RespondWorkflowTaskCompletedRequest request, ServerCallContext context)
    {
        var refusal = await Answer(request.Namespace, step => WorkerCalls.CompleteWorkflowTask(step, request)).ConfigureAwait(false);
        return refusal is null ? new RespondWorkflowTaskCompletedResponse() : throw Errors.Invalid(refusal.Why);
    }

    Task<RespondWorkflowTaskFailedResponse> RespondWorkflowTaskFailed(RespondWorkflowTaskFailedRequest request, ServerCallContext context) =>
        Answer(request.Namespace, step => WorkerCalls.FailWorkflowTask(step, request));

    Task<RespondQueryTaskCompletedResponse> RespondQueryTaskCompleted(RespondQueryTaskCompletedRequest request, ServerCallContext context) =>
        throw Errors.NoTask("Query task");

    Task<RecordActivityTaskHeartbeatResponse> RecordActivityTaskHeartbeat(
        RecordActivityTaskHeartbeatRequest request, ServerCallContext context) =>
        Answer(request.Namespace, step => WorkerCalls.Heartbeat(step, request));

    Task<RespondActivityTaskCompletedResponse> RespondActivityTaskCompleted(
        RespondActivityTaskCompletedRequest request, ServerCallContext context) =>
        Answer(request.Namespace, step => WorkerCalls.CompleteActivity(step, request), new RespondActivityTaskCompletedResponse());

    Task<RespondActivityTaskCompletedByIdResponse> RespondActivityTaskCompletedById(
        RespondActivityTaskCompletedByIdRequest request, ServerCallContext context) =>
        Answer(request.Namespace, step => WorkerCalls.CompleteActivity(step, request), new RespondActivityTaskCompletedByIdResponse());

    Task<RespondActivityTaskFailedResponse> RespondActivityTaskFailed(RespondActivityTaskFailedRequest request, ServerCallContext context) =>
        Answer(request.Namespace, step => WorkerCalls.FailActivity(step, request), new RespondActivityTaskFailedResponse());

    Task<RespondActivityTaskFailedByIdResponse> RespondActivityTaskFailedById(
        RespondActivityTaskFailedByIdRequest request, ServerCallContext context) =>
        Answer(request.Namespace, step => WorkerCalls.FailActivity(step, request), new RespondActivityTaskFailedByIdResponse());

    Task<RespondActivityTaskCanceledResponse> RespondActivityTaskCanceled(
        RespondActivityTaskCanceledRequest request, ServerCallContext context) =>
        Answer(request.Namespace, step => WorkerCalls.CancelActivity(step, request), new RespondActivityTaskCanceledResponse());

    Task<RespondActivityTaskCanceledByIdResponse> RespondActivityTaskCanceledById(
        RespondActivityTaskCanceledByIdRequest request, ServerCallContext context) =>
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
        if (context.Deadline == DateTime.MaxValue) return hold;
        var left = context.Deadline - DateTime.UtcNow;
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
