namespace Stigmer.Agents.Activities;

/// <summary>What is left of a run's time, for the work of one activity.</summary>
sealed class TimeLimit : IDisposable
{
    readonly CancellationTokenSource? limit;
    readonly CancellationTokenSource both;

    /// <param name="leftMs">In milliseconds; 0: no limit.</param>
    /// <param name="stop">What else ends the work.</param>
    public TimeLimit(long leftMs, TimeProvider time, CancellationToken stop)
    {
        // Timers end at 49 days; whoever asks for more means no limit.
        limit = leftMs is > 0 and < uint.MaxValue - 1 ? new CancellationTokenSource(TimeSpan.FromMilliseconds(leftMs), time) : null;
        both = CancellationTokenSource.CreateLinkedTokenSource(stop, limit?.Token ?? default);
    }

    /// <summary>Cancelled when the time is over, or the work is to stop.</summary>
    public CancellationToken Token => both.Token;

    /// <summary>The time is over.</summary>
    public bool IsOver => limit?.IsCancellationRequested == true;

    /// <inheritdoc/>
    public void Dispose()
    {
        both.Dispose();
        limit?.Dispose();
    }
}
