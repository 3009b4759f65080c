using System.Text.Json;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Stigmer.Rpc;
using Stigmer.Rpc.Temporal;

namespace Stigmer.Server.Outbox;

/// <summary>What the server asks of a workflow engine, as Temporal's calls. Every call has a deadline; an <see cref="RpcException"/> says why not.</summary>
sealed class EngineClient(WorkflowService.WorkflowServiceClient calls, string ns, string identity)
{
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>The namespace's id: random per database of an engine.</summary>
    public async Task<string> Identify(CancellationToken cancel)
    {
        var answer = await calls.DescribeNamespaceAsync(new DescribeNamespaceRequest { Namespace = ns }, Options(cancel));
        return answer.NamespaceInfo?.Id is { Length: > 0 } id ? id : throw new RpcException(new Status(StatusCode.Internal, "the namespace has no id"));
    }

    /// <summary>Who polled the queue lately, and when last, whether for workflow tasks or activities; null: the engine does not tell.</summary>
    public async Task<Dictionary<string, DateTimeOffset>?> Pollers(string queue, CancellationToken cancel)
    {
        var pollers = new Dictionary<string, DateTimeOffset>(StringComparer.Ordinal);
        foreach (var type in (TaskQueueType[])[TaskQueueType.Workflow, TaskQueueType.Activity])
        {
            try
            {
                var answer = await calls.DescribeTaskQueueAsync(
                    new DescribeTaskQueueRequest { Namespace = ns, TaskQueue = new TaskQueue { Name = queue, Kind = TaskQueueKind.Normal }, TaskQueueType = type }, Options(cancel));
                foreach (var poller in answer.Pollers)
                {
                    var at = poller.LastAccessTime?.ToDateTimeOffset() ?? DateTimeOffset.MinValue;
                    if (!pollers.TryGetValue(poller.Identity, out var known) || known < at) pollers[poller.Identity] = at;
                }
            }
            catch (RpcException e) when (e.StatusCode is StatusCode.Unimplemented or StatusCode.PermissionDenied)
            {
                return null;
            }
        }
        return pollers;
    }

    /// <summary>Starts a turn's workflow. AlreadyExists: it was started before.</summary>
    public async Task Start(string workflow, TurnInput input, CancellationToken cancel) =>
        await calls.StartWorkflowExecutionAsync(
            new StartWorkflowExecutionRequest
            {
                Namespace = ns,
                WorkflowId = workflow,
                WorkflowType = new WorkflowType { Name = TurnWorkflow.Type },
                TaskQueue = new TaskQueue { Name = input.Queue },
                Input = Json(JsonSerializer.SerializeToUtf8Bytes(input, TurnJson.Default.TurnInput)),
                WorkflowTaskTimeout = Duration.FromTimeSpan(TimeSpan.FromSeconds(10)),
                WorkflowIdReusePolicy = WorkflowIdReusePolicy.RejectDuplicate,
                // One id for one life: a repeated start is the same start.
                RequestId = workflow,
                Identity = identity,
            },
            Options(cancel));

    /// <summary>Rings a workflow's bell; a repeated ring is one ring.</summary>
    public async Task Ring(string workflow, Bell bell, CancellationToken cancel) =>
        await calls.SignalWorkflowExecutionAsync(
            new SignalWorkflowExecutionRequest
            {
                Namespace = ns,
                WorkflowExecution = new WorkflowExecution { WorkflowId = workflow },
                SignalName = TurnWorkflow.BellSignal,
                Input = Json(JsonSerializer.SerializeToUtf8Bytes(bell, TurnJson.Default.Bell)),
                RequestId = bell.Row.ToString(System.Globalization.CultureInfo.InvariantCulture),
                Identity = identity,
            },
            Options(cancel));

    /// <summary>Asks a workflow to end.</summary>
    public async Task Cancel(string workflow, long row, CancellationToken cancel) =>
        await calls.RequestCancelWorkflowExecutionAsync(
            new RequestCancelWorkflowExecutionRequest
            {
                Namespace = ns,
                WorkflowExecution = new WorkflowExecution { WorkflowId = workflow },
                RequestId = row.ToString(System.Globalization.CultureInfo.InvariantCulture),
                Reason = "the run was cancelled",
                Identity = identity,
            },
            Options(cancel));

    /// <summary>Ends a workflow whose turn has gone elsewhere.</summary>
    public async Task Terminate(string workflow, CancellationToken cancel) =>
        await calls.TerminateWorkflowExecutionAsync(
            new TerminateWorkflowExecutionRequest
            {
                Namespace = ns,
                WorkflowExecution = new WorkflowExecution { WorkflowId = workflow },
                Reason = "the run goes on elsewhere",
                Identity = identity,
            },
            Options(cancel));

    /// <summary>Fails the activity of a runner that has died, so that it is handed out again at once.</summary>
    public async Task Fail(string workflow, string activity, CancellationToken cancel) =>
        await calls.RespondActivityTaskFailedByIdAsync(
            new RespondActivityTaskFailedByIdRequest
            {
                Namespace = ns,
                WorkflowId = workflow,
                ActivityId = activity,
                Identity = identity,
                Failure = new Rpc.Temporal.Failure
                {
                    Message = "the runner's process ended",
                    ApplicationFailureInfo = new ApplicationFailureInfo { Type = "RunnerGone", NextRetryDelay = Duration.FromTimeSpan(TimeSpan.FromMilliseconds(1)) },
                },
            },
            Options(cancel));

    /// <summary>Whether the workflow is open there; null where the engine does not know it.</summary>
    public async Task<bool?> IsOpen(string workflow, CancellationToken cancel)
    {
        try
        {
            var answer = await calls.DescribeWorkflowExecutionAsync(
                new DescribeWorkflowExecutionRequest { Namespace = ns, Execution = new WorkflowExecution { WorkflowId = workflow } }, Options(cancel));
            return answer.WorkflowExecutionInfo?.Status is WorkflowExecutionStatus.Running or WorkflowExecutionStatus.Paused;
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.NotFound)
        {
            return null;
        }
    }

    static CallOptions Options(CancellationToken cancel) => CallTime.Within(Patience, cancel);

    static Payloads Json(byte[] utf8) => new()
    {
        Payloads_ = { new Payload { Metadata = { ["encoding"] = ByteString.CopyFromUtf8("json/plain") }, Data = ByteString.CopyFrom(utf8) } },
    };
}
