using Stigmer.Rpc.Temporal;

namespace Stigmer.Server.Engine;

/// <summary>Workers' long polls.</summary>
static class Polling
{
    /// <summary>Temporal answers a poll without a task after about a minute.</summary>
    internal static readonly TimeSpan Hold = TimeSpan.FromSeconds(60);

    /// <summary>A task, or an empty answer after <paramref name="hold"/>. What it returns is on disk as given to <paramref name="identity"/>.</summary>
    /// <param name="caller">Cancelled when the caller has gone: then it takes no task.</param>
    public static async Task<GivenTask?> Poll(EmbeddedEngine engine, QueueKey queue, string identity, TimeSpan hold, CancellationToken caller)
    {
        var poller = new Poller(identity);
        await engine.Apply(step =>
        {
            step.Queues.Add(queue, poller, step.Now);
            return true;
        }).ConfigureAwait(false);
        GivenTask? given;
        try
        {
            using var end = CancellationTokenSource.CreateLinkedTokenSource(caller, engine.Stopping);
            given = await poller.Given.WaitAsync(hold, engine.Time, end.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is TimeoutException or OperationCanceledException)
        {
            if (poller.TryTake())
            {
                await engine.Apply(step =>
                {
                    step.Queues.Remove(queue, poller, step.Now);
                    return true;
                }).ConfigureAwait(false);
                return null;
            }
            given = await poller.Given.ConfigureAwait(false);
        }
        if (given is null || !caller.IsCancellationRequested) return given;
        await Requeue(engine, given.Token).ConfigureAwait(false);
        return null;
    }

    /// <summary>Takes back what was given to a caller who has gone.</summary>
    public static Task Requeue(EmbeddedEngine engine, TaskToken token) => engine.Apply(step =>
    {
        WorkerCalls.Requeue(step, token);
        return true;
    });

    /// <summary>The answer to a poll for workflow tasks: with the history, or its first page.</summary>
    public static async Task<PollWorkflowTaskQueueResponse> WithHistory(EmbeddedEngine engine, GivenTask given)
    {
        var response = (PollWorkflowTaskQueueResponse)given.Respond;
        var (events, rest) = await HistoryReading.Page(engine, new PageToken(given.Token.RunKey, 1, given.ToEventId, given.Unwritten), int.MaxValue)
            .ConfigureAwait(false);
        response.History = new History { Events = { events } };
        if (rest is { } next) response.NextPageToken = next.ToBytes();
        return response;
    }
}
