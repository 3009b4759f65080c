namespace Stigmer.Runtime;

/// <summary>The time that a start may take. It stands still while something is downloaded: nobody knows how long that takes.</summary>
sealed class StartClock : IDisposable
{
    readonly TimeProvider time;
    readonly CancellationTokenSource elapsed = new();
    readonly ITimer timer;
    readonly Lock gate = new();
    TimeSpan left;
    long? runningSince;

    public StartClock(TimeSpan limit, TimeProvider time)
    {
        (this.time, left) = (time, limit);
        timer = time.CreateTimer(_ => elapsed.Cancel(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        Go();
    }

    /// <summary>Cancelled when the time is over.</summary>
    public CancellationToken Elapsed => elapsed.Token;

    /// <summary>Lets the clock stand still; nothing where it does.</summary>
    public void Stop()
    {
        lock (gate)
        {
            if (runningSince is not { } since) return;
            left -= time.GetElapsedTime(since);
            runningSince = null;
            timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>Lets it go on; nothing where it does.</summary>
    public void Go()
    {
        lock (gate)
        {
            if (runningSince is not null) return;
            runningSince = time.GetTimestamp();
            timer.Change(left > TimeSpan.Zero ? left : TimeSpan.Zero, Timeout.InfiniteTimeSpan);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => timer.Dispose();
}
