using Grpc.Core;

namespace Stigmer.Rpc;

/// <summary>
/// How long a call may take. gRPC reckons it by the machine's clock and asks no other: with the clock that a test has set, every
/// call would be late or never.
/// </summary>
static class CallTime
{
    /// <summary>The options of a call that is given up after so much time.</summary>
    public static CallOptions Within(TimeSpan time, CancellationToken cancel) => new(deadline: DateTime.UtcNow + time, cancellationToken: cancel);

    /// <summary>What is left of the time that a caller gave, negative where it is over; null: the caller waits for ever.</summary>
    public static TimeSpan? Left(ServerCallContext call) => call.Deadline == DateTime.MaxValue ? null : call.Deadline - DateTime.UtcNow;
}
