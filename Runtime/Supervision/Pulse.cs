namespace Stigmer.Runtime.Supervision;

/// <summary>
/// The one thing that the daemon does by the clock while all is well. It tells at each tick whether the daemon really ran since
/// the one before: a process that was stopped, or a machine that slept or starved it, must not take its own silence for others'.
/// </summary>
sealed class Pulse : IDisposable
{
    readonly TimeSpan period;
    readonly TimeProvider time;
    readonly Action<bool> tick;
    readonly ITimer timer;
    long last;

    /// <param name="period">From one tick to the next.</param>
    /// <param name="tick">Called at each, with false where the last one is not a period ago but longer.</param>
    public Pulse(TimeSpan period, TimeProvider time, Action<bool> tick)
    {
        (this.period, this.time, this.tick) = (period, time, tick);
        last = time.GetTimestamp();
        timer = time.CreateTimer(_ => Tick(), null, period, period);
    }

    /// <inheritdoc/>
    public void Dispose() => timer.Dispose();

    void Tick()
    {
        var elapsed = time.GetElapsedTime(Interlocked.Exchange(ref last, time.GetTimestamp()));
        // Ticks that were held up come together: of those that follow at once there is nothing to say, nor of a short while.
        if (elapsed > period / 2) tick(elapsed < period * 1.5);
    }
}
