using Stigmer.Rpc.Temporal;

namespace Stigmer.Server.Engine;

/// <summary>The part of Temporal's list filters that is understood: equalities joined by AND. A null member matches all.</summary>
sealed record VisibilityQuery(string? WorkflowType = null, WorkflowExecutionStatus? Status = null, string? WorkflowId = null, string? RunId = null)
{
    /// <exception cref="Grpc.Core.RpcException">InvalidArgument: not understood.</exception>
    public static VisibilityQuery Parse(string text)
    {
        var query = new VisibilityQuery();
        var rest = text.AsSpan().Trim();
        while (!rest.IsEmpty)
        {
            var equals = rest.IndexOf('=');
            if (equals < 0) throw NotUnderstood(text);
            var field = rest[..equals].Trim();
            rest = rest[(equals + 1)..].TrimStart();
            if (rest.IsEmpty || rest[0] is not ('\'' or '"')) throw NotUnderstood(text);
            var end = rest[1..].IndexOf(rest[0]);
            if (end < 0) throw NotUnderstood(text);
            query = query.With(field, rest[1..(end + 1)].ToString()) ?? throw NotUnderstood(text);
            rest = rest[(end + 2)..];
            if (rest.Trim().IsEmpty) break;
            var joined = rest.TrimStart();
            if (joined.Length == rest.Length || !joined.StartsWith("AND", StringComparison.OrdinalIgnoreCase)) throw NotUnderstood(text);
            rest = joined[3..];
            if (rest.IsEmpty || !char.IsWhiteSpace(rest[0])) throw NotUnderstood(text);
        }
        return query;
    }

    VisibilityQuery? With(ReadOnlySpan<char> field, string value) => field switch
    {
        "WorkflowType" when WorkflowType is null => this with { WorkflowType = value },
        "WorkflowId" when WorkflowId is null => this with { WorkflowId = value },
        "RunId" when RunId is null => this with { RunId = value },
        "ExecutionStatus" when Status is null && StatusOf(value) is { } status => this with { Status = status },
        _ => null,
    };

    static WorkflowExecutionStatus? StatusOf(string name) => name switch
    {
        "Running" => WorkflowExecutionStatus.Running,
        "Completed" => WorkflowExecutionStatus.Completed,
        "Failed" => WorkflowExecutionStatus.Failed,
        "Canceled" => WorkflowExecutionStatus.Canceled,
        "Terminated" => WorkflowExecutionStatus.Terminated,
        "ContinuedAsNew" => WorkflowExecutionStatus.ContinuedAsNew,
        "TimedOut" => WorkflowExecutionStatus.TimedOut,
        _ => null,
    };

    static Grpc.Core.RpcException NotUnderstood(string text) => Errors.Invalid(
        $"invalid query: {text}: this engine understands WorkflowType, ExecutionStatus, WorkflowId and RunId, compared by = and joined by AND");
}
