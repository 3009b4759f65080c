using System.Threading.Channels;
using Stigmer.Processes;
using Stigmer.Runtime.Logs;

namespace Stigmer.Runtime.Supervision;

/// <summary>What a component is: how to start it, and how to know that it is ready where it does not say so itself.</summary>
sealed record ComponentSpec
{
    /// <summary>As in the status: temporal, stigmer-server, agent-runner.</summary>
    public required string Name { get; init; }

    /// <summary>Called at each start, with the state that the component is in.</summary>
    public required Func<ChildState, ChildSpec> Child { get; init; }

    /// <summary>Completes when the component can be used; null: it notifies.</summary>
    public Func<CancellationToken, Task>? WhenReady { get; init; }
}

/// <summary>
/// A supervised component: one event loop, which alone writes its state. Threads that read its pipes and wait for its end
/// only put events into the queue.
/// </summary>
sealed class Component
{
    readonly ComponentSpec spec;
    readonly LogFile output;
    readonly Log log;
    readonly TimeProvider time;
    readonly Action<Component> childChanged;
    readonly Channel<(int Start, ChildEvent Event, TaskCompletionSource? Handled)> events = Channel.CreateUnbounded<(int, ChildEvent, TaskCompletionSource?)>(new() { SingleReader = true });
    TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    volatile ChildState state;
    CancellationTokenSource? probing;
    int starts;

    /// <param name="spec">What it is.</param>
    /// <param name="output">Where its output goes.</param>
    /// <param name="log">The daemon's log.</param>
    /// <param name="time">The clock.</param>
    /// <param name="childChanged">Called by the loop when there is another process, or none any more.</param>
    public Component(ComponentSpec spec, LogFile output, Log log, TimeProvider time, Action<Component> childChanged)
    {
        (this.spec, this.output, this.log, this.time, this.childChanged) = (spec, output, log, time, childChanged);
        state = new ChildState(ChildPhase.Stopped, time.GetUtcNow());
        _ = Loop();
    }

    /// <summary>As in the status.</summary>
    public string Name => spec.Name;

    /// <summary>Where it stands.</summary>
    public ChildState State => state;

    /// <summary>Its process; null: none.</summary>
    public Child? Child { get; private set; }

    /// <summary>Starts it; <see cref="Until"/> tells what became of that.</summary>
    public void Start() => Post(starts, new ChildEvent.StartRequested());

    /// <summary>Completes when its state is as asked, at once where it is.</summary>
    public async Task<ChildState> Until(Func<ChildState, bool> condition, CancellationToken cancel)
    {
        while (true)
        {
            // The promise before the state: a change between the two completes it.
            var next = Volatile.Read(ref changed).Task;
            var current = state;
            if (condition(current)) return current;
            await next.WaitAsync(cancel);
        }
    }

    /// <summary>Completes when it is ready; fails with its own words, and the last lines of its log, where it gave up.</summary>
    public async Task UntilReady(CancellationToken cancel)
    {
        var reached = await Until(s => s.Phase is ChildPhase.Ready or ChildPhase.Failed, cancel);
        if (reached.Phase == ChildPhase.Failed) throw GaveUp(reached);
    }

    /// <summary>Asks it to end, kills it after the grace, and completes when no process of it is left.</summary>
    public async Task Stop(TimeSpan grace)
    {
        // A start that was asked for a moment ago may not have begun: it comes first in the queue.
        var handled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(starts, new ChildEvent.StopRequested(grace), handled);
        await handled.Task;
        await Until(s => s.Phase is ChildPhase.Stopped or ChildPhase.Failed, CancellationToken.None);
    }

    /// <summary>The last lines of its log, indented, for a failure's text; empty where there are none.</summary>
    public string LastLines(int count = 5) => string.Concat(LogReader.Tail(output.Path, count).Select(line => $"\n    {line}"));

    Failure GaveUp(ChildState reached)
    {
        if (reached.Failure is { } failure) return new Failure(failure.What, failure.Why, failure.Remedy, failure.ExitCode);
        return new Failure($"{Name} does not start", $"it {reached.Detail}{LastLines()}", $"`stigmer local logs {Name}` shows all that it said");
    }

    void Post(int start, ChildEvent happened, TaskCompletionSource? handled = null) => events.Writer.TryWrite((start, happened, handled));

    async Task Loop()
    {
        await foreach (var (start, happened, handled) in events.Reader.ReadAllAsync())
        {
            // What an earlier process still had to say is of no account to the present one.
            if (start != starts && happened is not (ChildEvent.StartRequested or ChildEvent.StopRequested)) continue;
            var before = state;
            var (next, action) = ChildTransitions.Next(before, happened, RestartPolicy.Default, time.GetUtcNow());
            Report(before, next, happened);
            if (happened is ChildEvent.Exited or ChildEvent.Refused)
            {
                probing?.Cancel();
                Child = null;
            }
            state = next;
            if (happened is ChildEvent.Spawned or ChildEvent.Exited) childChanged(this);
            Interlocked.Exchange(ref changed, new(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();
            if (action is not null) Do(action);
            handled?.SetResult();
        }
    }

    void Do(ChildAction action)
    {
        switch (action)
        {
            case ChildAction.Spawn:
                Spawn();
                break;
            case ChildAction.Terminate terminate:
                // The end itself comes as an event.
                _ = Child?.Terminate(terminate.Grace, time);
                break;
            case ChildAction.WaitFor wait:
                _ = Backoff(starts, wait.Delay);
                break;
        }
    }

    async Task Backoff(int start, TimeSpan delay)
    {
        await Task.Delay(delay, time);
        Post(start, new ChildEvent.BackoffElapsed());
    }

    void Spawn()
    {
        var start = ++starts;
        Child child;
        try
        {
            child = Child.Start(spec.Child(state));
        }
        catch (Failure why)
        {
            Post(start, new ChildEvent.Refused(why));
            return;
        }
        Child = child;
        Post(start, new ChildEvent.Spawned(child.Pid));
        Thread($"{Name} output", () => output.CopyFrom(child.Output));
        if (spec.WhenReady is { } whenReady)
        {
            probing = new CancellationTokenSource();
            _ = Probe(start, whenReady, probing.Token);
        }
        else
        {
            Thread($"{Name} notify", () => Notification.ReadAll(child.Notifications, notification => Hear(start, notification)));
        }
        _ = AwaitEnd(start, child);
    }

    async Task AwaitEnd(int start, Child child)
    {
        Post(start, new ChildEvent.Exited(await child.Exited));
        child.Release();
    }

    async Task Probe(int start, Func<CancellationToken, Task> whenReady, CancellationToken cancel)
    {
        try
        {
            await whenReady(cancel);
            Post(start, new ChildEvent.Ready());
        }
        catch (Failure why)
        {
            Post(start, new ChildEvent.Failed(why));
            _ = Child?.Terminate(TimeSpan.FromSeconds(10), time);
        }
        catch (OperationCanceledException)
        {
            // It ended before it was ready, which its end tells.
        }
    }

    void Hear(int start, Notification notification)
    {
        ChildEvent? happened = notification switch
        {
            Notification.Port port => new ChildEvent.Listens(port.Number),
            Notification.Ready => new ChildEvent.Ready(),
            Notification.Status status => new ChildEvent.Said(status.Text),
            Notification.Failed failed => new ChildEvent.Failed(failed.Failure),
            // What a beat that stays away means comes with the detection of hangs.
            _ => null,
        };
        if (happened is not null) Post(start, happened);
    }

    void Report(ChildState before, ChildState next, ChildEvent happened)
    {
        switch (happened)
        {
            case ChildEvent.Spawned e:
                log.Info("started", ("component", Name), ("pid", e.Pid));
                break;
            case ChildEvent.Ready when before.Phase == ChildPhase.Starting:
                log.Info("ready", ("component", Name), ("pid", next.Pid), ("after_ms", (long)(next.Since - before.Since).TotalMilliseconds));
                break;
            case ChildEvent.Failed e:
                log.Error(e.Why.What, ("component", Name), ("why", e.Why.Why));
                break;
            case ChildEvent.Refused e:
                log.Error(e.Why.What, ("component", Name), ("why", e.Why.Why));
                break;
            case ChildEvent.Exited e when before.Phase == ChildPhase.Stopping:
                log.Info("stopped", ("component", Name), ("pid", before.Pid), ("how", e.How));
                break;
            case ChildEvent.Exited e:
                log.Warn("ended unasked", ("component", Name), ("pid", before.Pid), ("how", e.How), ("next", next.Phase), ("restarts", next.Restarts));
                break;
        }
    }

    static void Thread(string name, Action work) => new System.Threading.Thread(() => work(), 256 * 1024) { IsBackground = true, Name = name }.Start();
}
