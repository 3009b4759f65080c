using Stigmer.Rpc.Temporal;

namespace Stigmer.Agents.Worker;

/// <summary>The queues that a runner polls.</summary>
/// <param name="Main">Workflow tasks and model calls.</param>
/// <param name="End">Ends of turns.</param>
/// <param name="Host">The tools of this host's runs.</param>
sealed record Queues(string Main, string End, string Host)
{
    /// <summary>All of them.</summary>
    public IEnumerable<string> All => [Main, End, Host];
}

/// <summary>
/// The worker of one engine: polls the three queues, each with slots of its own, so that no workflow task and no end of a
/// turn waits behind model calls, and no model call behind a tool.
/// </summary>
sealed class TurnWorker
{
    /// <summary>Workflow tasks decided at the same time: each takes a millisecond and three round trips.</summary>
    const int WorkflowTasksAtOnce = 16;

    readonly Poller<PollWorkflowTaskQueueResponse> decisions;
    readonly (ActivityTasks Tasks, Poller<PollActivityTaskQueueResponse> Poller, int Polls)[] activities;
    readonly (ActivityTasks Tasks, Poller<PollActivityTaskQueueResponse> Poller, int Polls) tools;

    /// <param name="concurrency">Model calls at the same time.</param>
    /// <param name="carryOut">Carries out an activity.</param>
    /// <param name="end">Ends what cannot be told to the engine, when the runner's time is up.</param>
    public TurnWorker(Engine engine, Queues queues, int concurrency, Func<Attempt, Task<Payloads>> carryOut, Log log, TimeProvider time, CancellationToken end)
    {
        var workflows = new WorkflowTasks(engine, queues.Main, log, time);
        decisions = new("workflow tasks", workflows.Poll, workflows.Work, new SemaphoreSlim(WorkflowTasksAtOnce), log, time);
        activities =
        [
            Activities(queues.Main, "model calls", new SemaphoreSlim(concurrency), Math.Min(concurrency, 2)),
            Activities(queues.End, "ends of turns", null, 1),
            tools = Activities(queues.Host, "tool calls", null, 2),
        ];

        (ActivityTasks, Poller<PollActivityTaskQueueResponse>, int) Activities(string queue, string what, SemaphoreSlim? slots, int polls)
        {
            var tasks = new ActivityTasks(engine, queue, carryOut, log, time, end);
            return (tasks, new(what, tasks.Poll, tasks.Work, slots, log, time), polls);
        }
    }

    /// <summary>Polls until told to stop. Fails with <see cref="Failure"/> where the engine does not let us in.</summary>
    /// <param name="ownsTools">Completes when this runner owns the host's tools: before that it does not poll the host's queue. Null: it does.</param>
    public async Task Run(CancellationToken stop, Task? ownsTools = null)
    {
        using var any = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var all = activities.Where(each => each.Poller != tools.Poller).SelectMany(each => each.Poller.Begin(each.Polls, any.Token))
            .Concat(decisions.Begin(2, any.Token)).Append(Tools()).ToList();
        // One that fails takes the others along.
        await Task.WhenAny(all);
        await any.CancelAsync();
        await Task.WhenAll(all);

        async Task Tools()
        {
            try
            {
                if (ownsTools is not null) await ownsTools.WaitAsync(any.Token);
            }
            catch (OperationCanceledException) when (any.IsCancellationRequested)
            {
                return; // Told to stop before it owned any.
            }
            await Task.WhenAll(tools.Poller.Begin(tools.Polls, any.Token));
        }
    }

    /// <summary>Ends the attempts that match.</summary>
    public void End(Func<Attempt, bool> which, StopReason why)
    {
        foreach (var each in activities) each.Tasks.End(which, why);
    }

    /// <summary>Has everything that is under way given back, so that another runner goes on at once.</summary>
    public void HandBack()
    {
        foreach (var each in activities) each.Tasks.HandBack();
    }

    /// <summary>Completes when all that was taken has been worked on. Only after <see cref="Run"/> has ended.</summary>
    public Task Drained() => Task.WhenAll(activities.Select(each => each.Poller.Drained()).Append(decisions.Drained()));
}
