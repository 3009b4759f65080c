using Stigmer.Agents.Loop;
using Stigmer.Rpc.Temporal;

namespace Stigmer.Agents.Worker;

/// <summary>Why an attempt is to stop before its work is done.</summary>
enum StopReason
{
    /// <summary>It is not.</summary>
    None,

    /// <summary>The server said that the turn has ended.</summary>
    TurnEnded,

    /// <summary>The engine wants the activity cancelled.</summary>
    Cancelled,

    /// <summary>The engine wants another attempt: the activity was paused or reset.</summary>
    Paused,

    /// <summary>The runner ends: another one is to go on.</summary>
    Draining,
}

/// <summary>One attempt of an activity, as long as this runner works on it.</summary>
sealed class Attempt(PollActivityTaskQueueResponse task) : IDisposable
{
    readonly CancellationTokenSource stop = new();
    int reason;

    /// <summary>What the engine handed out.</summary>
    public PollActivityTaskQueueResponse Task => task;

    /// <summary>The workflow on whose behalf it is made.</summary>
    public string WorkflowId => task.WorkflowExecution.WorkflowId;

    /// <summary>The activity's id in it.</summary>
    public string ActivityId => task.ActivityId;

    /// <summary>Cancelled when the attempt is to stop.</summary>
    public CancellationToken Stop => stop.Token;

    /// <summary>Why it is to stop; the first reason stands.</summary>
    public StopReason Reason => (StopReason)Volatile.Read(ref reason);

    /// <summary>Ends the work.</summary>
    public void End(StopReason why)
    {
        if (Interlocked.CompareExchange(ref reason, (int)why, (int)StopReason.None) != (int)StopReason.None) return;
        try
        {
            stop.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // It has ended by itself.
        }
    }

    /// <inheritdoc/>
    public void Dispose() => stop.Dispose();
}

/// <summary>An attempt that failed.</summary>
/// <param name="error">For a person.</param>
/// <param name="retryable">Another attempt may succeed; else the run fails with this error.</param>
/// <param name="inner">What was caught.</param>
sealed class ActivityFailure(TurnError error, bool retryable, Exception? inner = null) : Exception(error.What, inner)
{
    public TurnError Error { get; } = error;

    public bool Retryable { get; } = retryable;
}
