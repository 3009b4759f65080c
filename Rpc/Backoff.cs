namespace Stigmer.Rpc;

/// <summary>How long to wait before something is tried again: longer after each failure, and never longer than a bound.</summary>
sealed class Backoff(TimeProvider time, TimeSpan first, TimeSpan most)
{
    /// <summary>For whoever lost a server on which everything waits: tries again at least every second.</summary>
    public static Backoff ForOutage(TimeProvider time) => new(time, TimeSpan.FromMilliseconds(20), TimeSpan.FromMilliseconds(900));

    /// <summary>How often it failed since it last went well.</summary>
    public int Failures { get; private set; }

    /// <summary>It went well.</summary>
    public void Reset() => Failures = 0;

    /// <summary>It failed: waits. Up to a tenth is left to chance, so that those who fail together do not return together.</summary>
    public Task Wait(CancellationToken cancel)
    {
        var wait = TimeSpan.FromTicks(Math.Min(most.Ticks, first.Ticks << Math.Min(Failures, 20)));
        Failures++;
        return Task.Delay(wait * (0.9 + 0.1 * Random.Shared.NextDouble()), time, cancel);
    }
}
