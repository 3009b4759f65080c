using Stigmer.Rpc.Temporal;
using Stigmer.Server.Storage;

namespace Stigmer.Server.Engine;

/// <summary>
/// One transaction of the engine, on the writer thread: finds runs, notes which are changed, and at its end stores them, gives
/// ready tasks to waiting polls and sets the deadlines. If the transaction comes to nothing, the runs that it touched are
/// forgotten and read back from the database.
/// </summary>
sealed class Step(OpenRuns open, Transaction transaction, long now)
{
    readonly HashSet<RunState> touched = [];

    /// <summary>The moment of everything that happens in this step.</summary>
    public long Now { get; } = now;

    public Connection Connection { get; } = transaction.Connection;

    public TaskQueues Queues => open.Queues;

    /// <summary>The tasks that wait in a queue.</summary>
    public int Backlog(QueueKey key) => Queues.Backlog(key, open.IsWaiting);

    /// <summary>An open run by its key; null where it is closed or unknown.</summary>
    public RunState? Find(long key) => open.Find(key, this);

    /// <summary>An open run.</summary>
    /// <exception cref="Grpc.Core.RpcException">NotFound: there is none, or it is closed.</exception>
    public RunState Find(WorkflowExecution? execution)
    {
        var row = Row(execution);
        return Find(row.Key) ?? throw Errors.AlreadyCompleted();
    }

    /// <summary>A run, open or closed.</summary>
    /// <exception cref="Grpc.Core.RpcException">NotFound: there is none.</exception>
    public RunRow Row(WorkflowExecution? execution)
    {
        if (string.IsNullOrEmpty(execution?.WorkflowId)) throw Errors.Invalid("WorkflowId is not set on request");
        return Store.Find(Connection, execution.WorkflowId, execution.RunId) ?? throw Errors.NoWorkflow(execution.WorkflowId, execution.RunId);
    }

    /// <summary>Must be called before a run is changed; what changed is stored at the step's end.</summary>
    public RunState Change(RunState run)
    {
        if (touched.Add(run)) transaction.OnRollback(() => open.Forget(run));
        return run;
    }

    /// <summary>Adds a run that has just begun.</summary>
    public void Begin(RunState run)
    {
        Change(run);
        open.Add(run);
    }

    /// <summary>A key for a run that is about to begin.</summary>
    public long NewKey() => open.NewKey();

    /// <summary>Runs after the commit, in order.</summary>
    public void AfterCommit(Action action) => transaction.AfterCommit(action);

    /// <summary>Stores, enters into the queues, matches; to be called once, last.</summary>
    public void Finish()
    {
        foreach (var run in touched) Save(run);
        while (Queues.TryTakeHot(out var key)) Queues.Match(key, open.IsWaiting, Give);
    }

    void Save(RunState run)
    {
        var news = run.Changes.Events.Count > 0;
        var (endedActivities, changedActivities) = (run.Changes.EndedActivities.ToArray(), run.Changes.Activities.ToArray());
        var (endedTimers, newTimers) = (run.Changes.EndedTimers.ToArray(), run.Changes.Timers.ToArray());
        Store.Save(Connection, run);
        foreach (var ended in endedActivities) open.Deadlines.Remove(ended.Deadline);
        foreach (var ended in endedTimers) open.Deadlines.Remove(ended.Deadline);
        foreach (var changed in changedActivities) open.Watch(run, changed, Now);
        foreach (var added in newTimers) open.Watch(run, added);
        open.Watch(run, Now);
        if (!run.IsOpen) open.Remove(run);
        if (news) AfterCommit(() => open.Readers.Wake(run.Key));
    }

    void Give(TaskRef task, Poller poller)
    {
        transaction.OnRollback(poller.Fail);
        var run = Change(Find(task.RunKey)!);
        var nonce = Random.Shared.NextInt64(1, long.MaxValue);
        var token = new TaskToken(run.Key, task.ScheduledEventId, nonce);
        GivenTask given;
        if (task.ScheduledEventId == 0)
        {
            WorkflowTasks.Start(run, Now, poller.Identity, nonce);
            given = new GivenTask(token, run.NextEventId, WorkflowTasks.Unwritten(run), Responses.WorkflowTask(run, token));
        }
        else
        {
            var activity = run.Activities[task.ScheduledEventId];
            Activities.Start(run, activity, Now, poller.Identity, nonce);
            given = new GivenTask(token, 0, [], Responses.ActivityTask(run, activity, token));
        }
        Save(run);
        AfterCommit(() => poller.Complete(given));
    }
}
