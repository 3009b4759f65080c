namespace Stigmer.Server.Engine;

/// <summary>What is to be looked at when its time comes.</summary>
enum DeadlineKind { WorkflowTask, Activity, Timer, Expiry }

/// <summary>A moment at which something of a run must be looked at.</summary>
/// <param name="at">Milliseconds since 1970.</param>
/// <param name="order">Tells deadlines of the same moment apart.</param>
/// <param name="item">The <see cref="ActivityState"/> or <see cref="TimerState"/>.</param>
sealed class Deadline(long at, long order, RunState run, DeadlineKind kind, object? item)
{
    public long At { get; } = at;

    public long Order { get; } = order;

    public RunState Run { get; } = run;

    public DeadlineKind Kind { get; } = kind;

    public object? Item { get; } = item;

    /// <summary>It is still to come; false once it was taken or replaced.</summary>
    public bool IsSet { get; set; } = true;
}

/// <summary>All that the engine waits for, in order; an entry goes when what it stands for goes. For the writer thread.</summary>
sealed class Deadlines
{
    readonly SortedSet<Deadline> ordered = new(Comparer<Deadline>.Create(static (a, b) => a.At != b.At ? a.At.CompareTo(b.At) : a.Order.CompareTo(b.Order)));
    long orders;

    /// <summary>The earliest; <see cref="long.MaxValue"/> where there is nothing to wait for.</summary>
    public long Next => ordered.Min?.At ?? long.MaxValue;

    /// <summary>Puts one in the place of another.</summary>
    /// <param name="at">0 or <see cref="long.MaxValue"/>: never.</param>
    public Deadline? Replace(Deadline? old, long at, RunState run, DeadlineKind kind, object? item = null)
    {
        if (old is { IsSet: true } && old.At == at) return old;
        Remove(old);
        if (at is 0 or long.MaxValue) return null;
        var deadline = new Deadline(at, ++orders, run, kind, item);
        ordered.Add(deadline);
        return deadline;
    }

    /// <summary>Forgets one.</summary>
    public void Remove(Deadline? deadline)
    {
        if (deadline is not { IsSet: true }) return;
        deadline.IsSet = false;
        ordered.Remove(deadline);
    }

    /// <summary>Takes the earliest if its time has come.</summary>
    public Deadline? TakeDue(long now)
    {
        if (ordered.Min is not { } first || first.At > now) return null;
        Remove(first);
        return first;
    }
}
