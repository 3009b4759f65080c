using System.Collections.Concurrent;
using Grpc.Core;
using Stigmer.Agents.Loop;
using Stigmer.Rpc.Temporal;

namespace Stigmer.Agents.Worker;

/// <summary>Works on the activity tasks of one queue: keeps the engine told that it lives, and hands it the outcome.</summary>
/// <param name="carryOut">Carries out an activity; its result is a payload. Fails with <see cref="ActivityFailure"/>, or is cancelled.</param>
/// <param name="end">Ends the answers to the engine that could not be given, when the runner ends.</param>
sealed class ActivityTasks(
    Engine engine, string queue, Func<Attempt, Task<Payloads>> carryOut, Log log, TimeProvider time, CancellationToken end)
{
    /// <summary>A cancel reaches an activity only in the answer to a heartbeat, and is to take effect within a second.</summary>
    static readonly TimeSpan HeartbeatEvery = TimeSpan.FromMilliseconds(800);

    /// <summary>How soon another runner may take what was handed back.</summary>
    static readonly TimeSpan AtOnce = TimeSpan.FromMilliseconds(1);

    readonly ConcurrentDictionary<Attempt, bool> underWay = new();

    /// <summary>One long poll; null: there was nothing.</summary>
    public async Task<PollActivityTaskQueueResponse?> Poll(CancellationToken cancel)
    {
        var request = new PollActivityTaskQueueRequest
        {
            Namespace = engine.Namespace, Identity = engine.Identity, TaskQueue = new TaskQueue { Name = queue, Kind = TaskQueueKind.Normal },
        };
        var task = await engine.Calls.PollActivityTaskQueueAsync(request, engine.PollOptions(cancel));
        return task.TaskToken.IsEmpty ? null : task;
    }

    /// <summary>Ends everything that this queue's tasks are doing; what they hold is given back.</summary>
    public void HandBack()
    {
        foreach (var attempt in underWay.Keys) attempt.End(StopReason.Draining);
    }

    /// <summary>Ends what matches.</summary>
    public void End(Func<Attempt, bool> which, StopReason why)
    {
        foreach (var attempt in underWay.Keys.Where(which)) attempt.End(why);
    }

    /// <summary>Works on a task.</summary>
    public async Task Work(PollActivityTaskQueueResponse task)
    {
        using var attempt = new Attempt(task);
        underWay[attempt] = true;
        using var over = new CancellationTokenSource();
        var beats = Heartbeat(attempt, over.Token);
        try
        {
            var answer = await Outcome(attempt);
            await over.CancelAsync();
            await beats;
            await engine.Answer(attempt.ActivityId, attempt.WorkflowId, answer, end);
        }
        catch (OperationCanceledException) when (end.IsCancellationRequested)
        {
            // The engine gives the task to another runner after its timeout.
        }
        finally
        {
            underWay.TryRemove(attempt, out _);
            await over.CancelAsync();
            await beats;
        }
    }

    async Task<Func<CallOptions, Task>> Outcome(Attempt attempt)
    {
        try
        {
            return Completed(attempt, await carryOut(attempt));
        }
        catch (ActivityFailure e)
        {
            log.Warn("an activity failed", Fields(attempt, ("retried", e.Retryable), ("why", e.InnerException is null ? e.Message : $"{e.Message}: {e.InnerException.Message}")));
            return Failed(attempt, e.Error, e.Retryable, null);
        }
        catch (OperationCanceledException) when (attempt.Reason == StopReason.Cancelled)
        {
            return Canceled(attempt);
        }
        catch (OperationCanceledException) when (attempt.Stop.IsCancellationRequested)
        {
            return Failed(attempt, new TurnError("The runner handed the work back", attempt.Reason.ToString()), retryable: true, AtOnce);
        }
        catch (Exception e) when (e is not OperationCanceledException || !end.IsCancellationRequested)
        {
            // A bug of ours: it is tried again, also by a release without it.
            log.Error("an activity failed unexpectedly", Fields(attempt, ("error", e)));
            return Failed(attempt, new TurnError("The runner failed", e.Message), retryable: true, null);
        }
    }

    Func<CallOptions, Task> Completed(Attempt attempt, Payloads result)
    {
        var request = new RespondActivityTaskCompletedRequest
        {
            Namespace = engine.Namespace, Identity = engine.Identity, TaskToken = attempt.Task.TaskToken, Result = result,
        };
        return options => engine.Calls.RespondActivityTaskCompletedAsync(request, options).ResponseAsync;
    }

    Func<CallOptions, Task> Canceled(Attempt attempt)
    {
        var request = new RespondActivityTaskCanceledRequest { Namespace = engine.Namespace, Identity = engine.Identity, TaskToken = attempt.Task.TaskToken };
        return options => engine.Calls.RespondActivityTaskCanceledAsync(request, options).ResponseAsync;
    }

    Func<CallOptions, Task> Failed(Attempt attempt, TurnError error, bool retryable, TimeSpan? next)
    {
        var request = new RespondActivityTaskFailedRequest
        {
            Namespace = engine.Namespace, Identity = engine.Identity, TaskToken = attempt.Task.TaskToken, Failure = Failures.Of(error, retryable, next),
        };
        return options => engine.Calls.RespondActivityTaskFailedAsync(request, options).ResponseAsync;
    }

    /// <summary>Tells the engine that the attempt lives, and hears whether it is still wanted, until it has ended.</summary>
    async Task Heartbeat(Attempt attempt, CancellationToken over)
    {
        var request = new RecordActivityTaskHeartbeatRequest { Namespace = engine.Namespace, Identity = engine.Identity, TaskToken = attempt.Task.TaskToken };
        using var timer = new PeriodicTimer(HeartbeatEvery, time);
        try
        {
            while (await timer.WaitForNextTickAsync(over))
            {
                try
                {
                    var said = await engine.Calls.RecordActivityTaskHeartbeatAsync(request, engine.Options(over));
                    if (said.CancelRequested) attempt.End(StopReason.Cancelled);
                    else if (said.ActivityPaused || said.ActivityReset) attempt.End(StopReason.Paused);
                }
                catch (RpcException e) when (e.StatusCode == StatusCode.NotFound)
                {
                    // No longer ours at the engine; the work goes on all the same, for only the server may refuse its result.
                    engine.Missing(attempt.WorkflowId);
                    return;
                }
                catch (RpcException) when (!over.IsCancellationRequested)
                {
                    // The engine is away: the next beat tells it.
                }
            }
        }
        catch (Exception e) when (e is OperationCanceledException or RpcException)
        {
            // The attempt has ended.
        }
    }

    static (string, object?)[] Fields(Attempt attempt, params ReadOnlySpan<(string, object?)> more) =>
        [("activity", attempt.Task.ActivityType.Name), ("workflow", attempt.WorkflowId), ("id", attempt.ActivityId), ("attempt", attempt.Task.Attempt), .. more];
}
