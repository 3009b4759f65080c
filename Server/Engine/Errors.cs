using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Stigmer.Rpc.Temporal;

namespace Stigmer.Server.Engine;

/// <summary>Refusals, as Temporal words and codes them.</summary>
static class Errors
{
    /// <summary>Where a program finds the details of an error.</summary>
    const string DetailsTrailer = "grpc-status-details-bin";

    public static RpcException Invalid(string why) => new(new Status(StatusCode.InvalidArgument, why));

    public static RpcException NotStored() => new(new Status(StatusCode.Unavailable, "The database could not be written"));

    /// <summary>A workflow, or an open one, is not there.</summary>
    public static RpcException NoWorkflow(string workflowId, string runId) =>
        WithDetails(StatusCode.NotFound, $"workflow not found for ID: {workflowId}{(runId.Length == 0 ? "" : $" and RunId: {runId}")}", new NotFoundFailure());

    public static RpcException AlreadyCompleted() => WithDetails(StatusCode.NotFound, "workflow execution already completed", new NotFoundFailure());

    /// <summary>The task is no longer the caller's.</summary>
    public static RpcException NoTask(string what) => WithDetails(StatusCode.NotFound, $"{what} not found or already completed", new NotFoundFailure());

    public static RpcException NoNamespace(string name) =>
        WithDetails(StatusCode.NotFound, $"Namespace {name} is not found.", new NamespaceNotFoundFailure { Namespace = name });

    public static RpcException AlreadyStarted(string why, string runId, string requestId) =>
        WithDetails(StatusCode.AlreadyExists, why, new WorkflowExecutionAlreadyStartedFailure { RunId = runId, StartRequestId = requestId });

    static RpcException WithDetails(StatusCode code, string message, IMessage details)
    {
        var status = new Rpc.StatusDetails.Status { Code = (int)code, Message = message, Details = { Any.Pack(details) } };
        return new RpcException(new Status(code, message), new Metadata { { DetailsTrailer, status.ToByteArray() } });
    }
}
