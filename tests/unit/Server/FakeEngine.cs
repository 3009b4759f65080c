using System.Collections.Concurrent;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Stigmer.Config;
using Stigmer.Rpc.Temporal;
using Stigmer.Standins;

namespace Stigmer.Tests.Server;

/// <summary>A workflow engine that only takes notes: which workflows are open, and in which order it was asked for what.</summary>
sealed class FakeEngine : WorkflowService.WorkflowServiceBase, IAsyncDisposable
{
    readonly ConcurrentQueue<string> asked = new();
    readonly ConcurrentDictionary<string, bool> open = new();
    readonly ConcurrentDictionary<string, bool> ever = new();
    readonly SemaphoreSlim happened = new(0);
    WebApplication? host;

    /// <summary>The namespace's id: another one is another engine.</summary>
    public string Id { get; set; } = "ns-1";

    /// <summary>Thrown, by kind of request, until it is taken out.</summary>
    public ConcurrentDictionary<string, Status> Refuses { get; } = new();

    /// <summary>Workflows are started, but who asked hears that they had been before.</summary>
    public bool AnswersGetLost { get; set; }

    public HostPort Address { get; private set; }

    public IReadOnlyCollection<string> Asked => asked;

    public StartWorkflowExecutionRequest? LastStart { get; private set; }

    public static async Task<FakeEngine> Start()
    {
        var engine = new FakeEngine();
        engine.host = await Loopback.Grpc(engine);
        engine.Address = new HostPort("127.0.0.1", engine.host.Port());
        return engine;
    }

    /// <summary>Waits until it has been asked for this, by kind and workflow.</summary>
    public async Task Until(string request)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        patience.CancelAfter(TimeSpan.FromSeconds(30));
        while (!asked.Contains(request)) await happened.WaitAsync(patience.Token);
    }

    /// <summary>The workflow is no more.</summary>
    public void Lose(string workflow) => open.TryRemove(workflow, out _);

    public async ValueTask DisposeAsync()
    {
        if (host is not null) await host.DisposeAsync();
    }

    public override Task<DescribeNamespaceResponse> DescribeNamespace(DescribeNamespaceRequest request, ServerCallContext context)
    {
        Refuse("describe-namespace");
        return Task.FromResult(new DescribeNamespaceResponse { NamespaceInfo = new NamespaceInfo { Id = Id, Name = request.Namespace } });
    }

    /// <summary>The identities that poll every queue.</summary>
    public ConcurrentDictionary<TaskQueueType, string> Pollers { get; set; } = [];

    public override Task<DescribeTaskQueueResponse> DescribeTaskQueue(DescribeTaskQueueRequest request, ServerCallContext context)
    {
        Note("look", request.TaskQueue.Name);
        var answer = new DescribeTaskQueueResponse();
        if (Pollers.TryGetValue(request.TaskQueueType, out var identity)) answer.Pollers.Add(new PollerInfo { Identity = identity });
        return Task.FromResult(answer);
    }

    public override Task<StartWorkflowExecutionResponse> StartWorkflowExecution(StartWorkflowExecutionRequest request, ServerCallContext context)
    {
        Note("start", request.WorkflowId);
        // An id is never used twice, as RejectDuplicate says.
        var isNew = ever.TryAdd(request.WorkflowId, true);
        if (isNew) open[request.WorkflowId] = true;
        if (!isNew || AnswersGetLost) throw new RpcException(new Status(StatusCode.AlreadyExists, "already started"));
        LastStart = request;
        return Task.FromResult(new StartWorkflowExecutionResponse());
    }

    public override Task<SignalWorkflowExecutionResponse> SignalWorkflowExecution(SignalWorkflowExecutionRequest request, ServerCallContext context)
    {
        Note("bell", request.WorkflowExecution.WorkflowId);
        Known(request.WorkflowExecution.WorkflowId);
        return Task.FromResult(new SignalWorkflowExecutionResponse());
    }

    public override Task<RequestCancelWorkflowExecutionResponse> RequestCancelWorkflowExecution(RequestCancelWorkflowExecutionRequest request, ServerCallContext context)
    {
        Note("cancel", request.WorkflowExecution.WorkflowId);
        Known(request.WorkflowExecution.WorkflowId);
        return Task.FromResult(new RequestCancelWorkflowExecutionResponse());
    }

    public override Task<TerminateWorkflowExecutionResponse> TerminateWorkflowExecution(TerminateWorkflowExecutionRequest request, ServerCallContext context)
    {
        Note("terminate", request.WorkflowExecution.WorkflowId);
        Known(request.WorkflowExecution.WorkflowId);
        Lose(request.WorkflowExecution.WorkflowId);
        return Task.FromResult(new TerminateWorkflowExecutionResponse());
    }

    public override Task<RespondActivityTaskFailedByIdResponse> RespondActivityTaskFailedById(RespondActivityTaskFailedByIdRequest request, ServerCallContext context)
    {
        Note("fail", request.WorkflowId);
        return Task.FromResult(new RespondActivityTaskFailedByIdResponse());
    }

    public override Task<DescribeWorkflowExecutionResponse> DescribeWorkflowExecution(DescribeWorkflowExecutionRequest request, ServerCallContext context)
    {
        Note("describe", request.Execution.WorkflowId);
        Known(request.Execution.WorkflowId);
        return Task.FromResult(new DescribeWorkflowExecutionResponse { WorkflowExecutionInfo = new WorkflowExecutionInfo { Status = WorkflowExecutionStatus.Running } });
    }

    void Note(string kind, string workflow)
    {
        asked.Enqueue($"{kind} {workflow}");
        happened.Release();
        Refuse(kind);
    }

    void Refuse(string kind)
    {
        if (Refuses.TryGetValue(kind, out var status)) throw new RpcException(status);
    }

    void Known(string workflow)
    {
        if (!open.ContainsKey(workflow)) throw new RpcException(new Status(StatusCode.NotFound, "workflow not found"));
    }
}
