using Grpc.Core;

namespace Stigmer.Server.Runs;

/// <summary>Requests that cannot be granted, as statuses whose detail is a sentence for the person who asked.</summary>
static class Refusal
{
    /// <summary>There is no such thing.</summary>
    public static RpcException NotFound(string sentence) => new(new Status(StatusCode.NotFound, sentence));

    /// <summary>Not in the state that it is in.</summary>
    public static RpcException Precondition(string sentence) => new(new Status(StatusCode.FailedPrecondition, sentence));

    /// <summary>Not a request that makes sense.</summary>
    public static RpcException Invalid(string sentence) => new(new Status(StatusCode.InvalidArgument, sentence));

    /// <summary>Not now; the same request later may be granted.</summary>
    public static RpcException Later(string sentence) => new(new Status(StatusCode.Unavailable, sentence));
}
