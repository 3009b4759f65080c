using Stigmer.Rpc.V1;

namespace Stigmer.Rpc;

/// <summary>What a run's status means, and how it is called.</summary>
static class RunStatuses
{
    /// <summary>completed, timed_out, …: a contract with scripts. With spaces for underscores also a word for people.</summary>
    public static string Name(this RunStatus status) => status switch
    {
        RunStatus.Queued => "queued",
        RunStatus.Running => "running",
        RunStatus.Waiting => "waiting",
        RunStatus.Completed => "completed",
        RunStatus.Failed => "failed",
        RunStatus.Cancelled => "cancelled",
        RunStatus.TimedOut => "timed_out",
        RunStatus.LimitReached => "limit_reached",
        _ => "unknown",
    };

    /// <summary>The run is over (until somebody resumes it).</summary>
    public static bool HasEnded(this RunStatus status) =>
        status is RunStatus.Completed or RunStatus.Failed or RunStatus.Cancelled or RunStatus.TimedOut or RunStatus.LimitReached;
}
