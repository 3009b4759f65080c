using Stigmer.Rpc.Temporal;

namespace Stigmer.Server.Engine;

/// <summary>
/// The runs that are open, with what waits for them: tasks in queues, deadlines, readers of histories. All of it can be made
/// anew from the database. For the writer thread.
/// </summary>
/// <param name="log">For what should not happen.</param>
/// <param name="recover">Called when a run was forgotten: must soon look for it again, so that its tasks and deadlines come back.</param>
sealed class OpenRuns(Log log, Action recover)
{
    readonly Dictionary<long, RunState> runs = [];
    readonly HashSet<long> forgotten = [];
    long lastKey;

    public TaskQueues Queues { get; } = new();

    public Deadlines Deadlines { get; } = new();

    public HistoryReaders Readers { get; } = new();

    /// <summary>When this engine began: a heartbeat can be missed only since then.</summary>
    public long Epoch { get; private set; }

    public IEnumerable<RunState> All => runs.Values;

    /// <summary>Begins with what the database holds.</summary>
    public void Load(Step step)
    {
        Epoch = step.Now;
        lastKey = Store.LastKey(step.Connection);
        forgotten.UnionWith(Store.OpenKeys(step.Connection));
        Recover(step);
    }

    /// <summary>Reads every run that was forgotten.</summary>
    public void Recover(Step step)
    {
        foreach (var key in forgotten.Order().ToList()) Find(key, step);
    }

    public long NewKey() => ++lastKey;

    public void Add(RunState run) => runs.Add(run.Key, run);

    public RunState? Find(long key, Step step)
    {
        if (runs.TryGetValue(key, out var run)) return run;
        if (!forgotten.Remove(key)) return null;
        run = Store.Load(step.Connection, key);
        if (run is null) return null;
        runs.Add(key, run);
        foreach (var activity in run.Activities.Values)
        {
            if (activity.IsStarted) activity.HeartbeatAt = Epoch;
            Watch(run, activity, step.Now);
        }
        foreach (var timer in run.Timers.Values) Watch(run, timer);
        Watch(run, step.Now);
        return run;
    }

    /// <summary>A transaction that changed the run came to nothing: what is in memory is not what is stored.</summary>
    public void Forget(RunState run)
    {
        log.Warn("A change of a workflow could not be stored; it is read again", ("workflow", run.WorkflowId));
        Remove(run);
        forgotten.Add(run.Key);
        recover();
    }

    public void Remove(RunState run)
    {
        runs.Remove(run.Key);
        Deadlines.Remove(run.TaskDeadline);
        Deadlines.Remove(run.ExpiryDeadline);
        foreach (var activity in run.Activities.Values) Deadlines.Remove(activity.Deadline);
        foreach (var timer in run.Timers.Values) Deadlines.Remove(timer.Deadline);
        // What a rolled-back transaction had ended is not in the run any more, but may still be waited for.
        foreach (var activity in run.Changes.EndedActivities) Deadlines.Remove(activity.Deadline);
        foreach (var timer in run.Changes.EndedTimers) Deadlines.Remove(timer.Deadline);
    }

    /// <summary>Whether an entry of a queue still stands for a task that waits.</summary>
    public bool IsWaiting(TaskRef task)
    {
        if (!runs.TryGetValue(task.RunKey, out var run)) return false;
        if (task.ScheduledEventId == 0) return run.Task is { IsStarted: false } waiting && waiting.Ticket == task.Ticket;
        return run.Activities.TryGetValue(task.ScheduledEventId, out var activity) && !activity.IsStarted && activity.Ticket == task.Ticket;
    }

    /// <summary>Sets what is to come of the run and its workflow task: a deadline, a place in the queue.</summary>
    public void Watch(RunState run, long now)
    {
        run.ExpiryDeadline = Deadlines.Replace(run.ExpiryDeadline, run.IsOpen ? run.ExpiresAt : 0, run, DeadlineKind.Expiry);
        run.TaskDeadline = Deadlines.Replace(run.TaskDeadline, WorkflowTasks.DueAt(run, now), run, DeadlineKind.WorkflowTask);
        if (run.Task is not { } task) return;
        if (task.IsStarted) task.Ticket = 0;
        else if (task.Ticket == 0 && task.ReadyAt <= now) task.Ticket = Queues.Add(new QueueKey(TaskQueueType.Workflow, run.TaskQueue), run.Key, 0);
    }

    /// <summary>Sets what is to come of an activity.</summary>
    public void Watch(RunState run, ActivityState activity, long now)
    {
        activity.Deadline = Deadlines.Replace(activity.Deadline, Activities.Due(activity, now).At, run, DeadlineKind.Activity, activity);
        if (activity.IsStarted) activity.Ticket = 0;
        else if (activity.Ticket == 0 && activity.ReadyAt <= now)
        {
            activity.Ticket = Queues.Add(new QueueKey(TaskQueueType.Activity, activity.Scheduled.TaskQueue.Name), run.Key, activity.ScheduledEventId);
        }
    }

    public void Watch(RunState run, TimerState timer) =>
        timer.Deadline = Deadlines.Replace(timer.Deadline, timer.FiresAt, run, DeadlineKind.Timer, timer);
}

/// <summary>Readers that wait for a run's next event. Each is woken once.</summary>
sealed class HistoryReaders
{
    readonly Lock gate = new();
    readonly Dictionary<long, List<TaskCompletionSource>> waiting = [];

    /// <summary>Completes with the run's next event.</summary>
    public TaskCompletionSource Wait(long runKey)
    {
        var woken = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (gate)
        {
            if (!waiting.TryGetValue(runKey, out var readers)) waiting.Add(runKey, readers = []);
            readers.Add(woken);
        }
        return woken;
    }

    /// <summary>Something was committed.</summary>
    public void Wake(long runKey)
    {
        List<TaskCompletionSource>? readers;
        lock (gate) waiting.Remove(runKey, out readers);
        readers?.ForEach(reader => reader.TrySetResult());
    }

    /// <summary>The reader waits no more.</summary>
    public void Leave(long runKey, TaskCompletionSource reader)
    {
        lock (gate)
        {
            if (waiting.TryGetValue(runKey, out var readers) && readers.Remove(reader) && readers.Count == 0) waiting.Remove(runKey);
        }
    }
}
