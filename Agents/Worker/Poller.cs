using Grpc.Core;
using Stigmer.Rpc;

namespace Stigmer.Agents.Worker;

/// <summary>
/// Asks one task queue for work, and only while there is a free slot for it: a task that was handed out and is not worked on
/// runs into its timeout.
/// </summary>
/// <typeparam name="TTask">What the engine hands out.</typeparam>
/// <param name="what">For the log.</param>
/// <param name="poll">One long poll; null: there was nothing.</param>
/// <param name="work">Works on a task; fails with nothing.</param>
/// <param name="slots">How many tasks may be worked on at the same time; null: any number.</param>
sealed class Poller<TTask>(
    string what, Func<CancellationToken, Task<TTask?>> poll, Func<TTask, Task> work, SemaphoreSlim? slots, Log log, TimeProvider time)
    where TTask : class
{
    readonly Lock gate = new();
    readonly HashSet<Task> underWay = [];

    /// <summary>
    /// Begins so many polls. Each goes on until told to stop; what was taken is worked on beyond that (see
    /// <see cref="Drained"/>). An outage is waited for. One fails with <see cref="Failure"/> where the engine does not let us in.
    /// </summary>
    public IEnumerable<Task> Begin(int polls, CancellationToken stop) => Enumerable.Range(0, polls).Select(_ => Loop(stop));

    /// <summary>Completes when everything that was taken has been worked on. Only after the polls have ended.</summary>
    public Task Drained()
    {
        lock (gate) return Task.WhenAll(underWay);
    }

    async Task Loop(CancellationToken stop)
    {
        var backoff = Backoff.ForOutage(time);
        try
        {
            while (true)
            {
                if (slots is not null) await slots.WaitAsync(stop);
                TTask? task = null;
                RpcException? outage = null;
                try
                {
                    task = await poll(stop);
                }
                catch (RpcException e) when (!stop.IsCancellationRequested)
                {
                    if (Engine.IsRefusal(e.StatusCode)) throw Engine.Refused(e);
                    outage = e;
                }
                finally
                {
                    if (task is null) slots?.Release();
                }
                if (task is not null) Take(task);
                if (outage is null)
                {
                    if (backoff.Failures > 1) log.Info("polling again", ("what", what));
                    backoff.Reset();
                    continue;
                }
                // The first failure may be no more than a connection that was replaced.
                if (backoff.Failures == 1) log.Warn("polling fails, trying again", ("what", what), ("code", outage.StatusCode), ("why", outage.Status.Detail));
                await backoff.Wait(stop);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or RpcException && stop.IsCancellationRequested)
        {
            // Told to stop.
        }
    }

    void Take(TTask task)
    {
        // A thread of its own from the start: deciding and reading payloads must not hold up the next poll.
        var running = Task.Run(() => Work(task), CancellationToken.None);
        lock (gate) underWay.Add(running);
        _ = running.ContinueWith(
            done =>
            {
                lock (gate) underWay.Remove(done);
            },
            CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    async Task Work(TTask task)
    {
        try
        {
            await work(task);
        }
        catch (Exception e)
        {
            // Nothing is lost: the engine hands the task out again after its timeout.
            log.Error("a task was dropped", ("what", what), ("error", e));
        }
        finally
        {
            slots?.Release();
        }
    }
}
