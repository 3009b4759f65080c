using Stigmer.Rpc.Temporal;

namespace Stigmer.Server.Engine;

/// <summary>A queue: workflow tasks and activities of one name are two.</summary>
readonly record struct QueueKey(TaskQueueType Type, string Name);

/// <summary>A task that waits. Valid only while the run's state says so, under the same ticket.</summary>
/// <param name="ScheduledEventId">The activity's; 0: the run's workflow task.</param>
readonly record struct TaskRef(long RunKey, long ScheduledEventId, long Ticket);

/// <summary>A worker's poll that hangs. Given a task on the writer thread, given up by its caller on any other: one of the two wins.</summary>
sealed class Poller(string identity)
{
    readonly TaskCompletionSource<GivenTask?> given = new(TaskCreationOptions.RunContinuationsAsynchronously);
    int taken;

    public string Identity { get; } = identity;

    /// <summary>The task, once it is on disk that this poll has it; null: none, ask again.</summary>
    public Task<GivenTask?> Given => given.Task;

    /// <summary>Whoever is first decides whether the poll gets a task (then <see cref="Complete"/> follows) or has ended.</summary>
    public bool TryTake() => Interlocked.Exchange(ref taken, 1) == 0;

    public void Complete(GivenTask? task) => given.TrySetResult(task);

    /// <summary>It could not be stored that this poll has a task: an error makes the worker wait a little, an empty answer would not.</summary>
    public void Fail() => given.TrySetException(Errors.NotStored());
}

/// <summary>What was given to a poll.</summary>
/// <param name="Token">Names the task in the worker's answer.</param>
/// <param name="ToEventId">For a workflow task: the history up to here (exclusive) is stored.</param>
/// <param name="Unwritten">For a workflow task: what follows it.</param>
/// <param name="Respond">The answer but for the history: a PollWorkflowTaskQueueResponse or PollActivityTaskQueueResponse.</param>
sealed record GivenTask(TaskToken Token, long ToEventId, IReadOnlyList<HistoryEvent> Unwritten, Google.Protobuf.IMessage Respond);

/// <summary>
/// Where tasks wait for pollers and pollers for tasks, first come, first served. Holds nothing that is not in the runs' states:
/// a task whose entry is lost to a rolled-back transaction is entered again. For the writer thread.
/// </summary>
sealed class TaskQueues
{
    /// <summary>A poller that has gone is listed for so long, in milliseconds.</summary>
    const long Remembered = 5 * 60 * 1000;

    readonly Dictionary<QueueKey, Queue> queues = [];
    readonly HashSet<QueueKey> hot = [];
    long tickets;

    /// <summary>Enters a task; the ticket that makes the entry valid.</summary>
    public long Add(QueueKey key, long runKey, long scheduledEventId)
    {
        Of(key).Tasks.Enqueue(new TaskRef(runKey, scheduledEventId, ++tickets));
        hot.Add(key);
        return tickets;
    }

    /// <summary>Lets a poll wait.</summary>
    public void Add(QueueKey key, Poller poller, long now)
    {
        var queue = Of(key);
        queue.Pollers.AddLast(poller);
        if (queue.Seen.TryAdd(poller.Identity, now)) Trim(queue, now);
        else queue.Seen[poller.Identity] = now;
        hot.Add(key);
    }

    /// <summary>Queues to which something was added since they were matched.</summary>
    public bool TryTakeHot(out QueueKey key)
    {
        foreach (var some in hot)
        {
            hot.Remove(some);
            key = some;
            return true;
        }
        key = default;
        return false;
    }

    /// <summary>Pairs the first valid task with the first poll that still hangs, until one of the two lines is empty.</summary>
    public void Match(QueueKey key, Func<TaskRef, bool> isValid, Action<TaskRef, Poller> give)
    {
        var queue = Of(key);
        while (true)
        {
            while (queue.Tasks.TryPeek(out var stale) && !isValid(stale)) queue.Tasks.Dequeue();
            if (queue.Tasks.Count == 0) return;
            var poller = queue.Pollers.First;
            while (poller is not null && !poller.Value.TryTake())
            {
                queue.Pollers.RemoveFirst();
                poller = queue.Pollers.First;
            }
            if (poller is null) return;
            queue.Pollers.RemoveFirst();
            give(queue.Tasks.Dequeue(), poller.Value);
        }
    }

    /// <summary>Forgets a poll that ended without a task.</summary>
    public void Remove(QueueKey key, Poller poller, long now)
    {
        var queue = Of(key);
        queue.Pollers.Remove(poller);
        queue.Seen[poller.Identity] = now;
        if (queue is not { Pollers.Count: 0, Tasks.Count: 0 }) return;
        Trim(queue, now);
        if (queue.Seen.Count == 0) queues.Remove(key);
    }

    /// <summary>Ends every poll of a worker that has died.</summary>
    public void EndPolls(string identity)
    {
        foreach (var queue in queues.Values)
        {
            foreach (var poller in queue.Pollers.Where(waiting => waiting.Identity == identity).ToList())
            {
                if (poller.TryTake()) poller.Complete(null);
                queue.Pollers.Remove(poller);
            }
            queue.Seen.Remove(identity);
        }
    }

    /// <summary>Who polled lately and when last; those that hang are polling now.</summary>
    public IReadOnlyList<(string Identity, long At)> Pollers(QueueKey key, long now)
    {
        if (!queues.TryGetValue(key, out var queue)) return [];
        foreach (var poller in queue.Pollers) queue.Seen[poller.Identity] = now;
        return [.. queue.Seen.Where(seen => seen.Value > now - Remembered).Select(seen => (seen.Key, seen.Value))];
    }

    /// <summary>The tasks that wait.</summary>
    public int Backlog(QueueKey key, Func<TaskRef, bool> isValid) => queues.TryGetValue(key, out var queue) ? queue.Tasks.Count(isValid) : 0;

    static void Trim(Queue queue, long now)
    {
        foreach (var (identity, at) in queue.Seen) if (at <= now - Remembered) queue.Seen.Remove(identity);
    }

    Queue Of(QueueKey key)
    {
        if (!queues.TryGetValue(key, out var queue)) queues.Add(key, queue = new Queue());
        return queue;
    }

    sealed class Queue
    {
        public Queue<TaskRef> Tasks { get; } = new();

        public LinkedList<Poller> Pollers { get; } = new();

        public Dictionary<string, long> Seen { get; } = [];
    }
}
