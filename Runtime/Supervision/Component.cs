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

    /// <summary>Asks the component whether it lives; fails with a <see cref="Failure"/> where it does not say so. Null: it beats by itself.</summary>
    public Func<CancellationToken, Task>? Health { get; init; }
}

/// <summary>
/// A supervised component: one event loop, which alone writes its state. Threads that read its pipes and wait for its end
/// only put events into the queue.
/// </summary>
sealed class Component
{
    /// <summary>How long a component that is started again, and does not beat, may take until it is ready.</summary>
    static readonly TimeSpan LongestStart = TimeSpan.FromSeconds(60);

    /// <summary>How many lines of a component's log a failure quotes.</summary>
    const int Quoted = 20;

    /// <summary>How long the last words of a process may take from its pipe into its log.</summary>
    static readonly TimeSpan LastWords = TimeSpan.FromSeconds(1);

    readonly ComponentSpec spec;
    readonly LogFile output;
    readonly Log log;
    readonly TimeProvider time;
    readonly Action<Component> childChanged;
    readonly Channel<(int Start, ChildEvent Event, TaskCompletionSource? Handled)> events = Channel.CreateUnbounded<(int, ChildEvent, TaskCompletionSource?)>(new() { SingleReader = true });
    TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    volatile ChildState state;
    volatile Task copied = Task.CompletedTask;
    CancellationTokenSource? probing;
    Task asking = Task.CompletedTask;
    int starts;

    /// <param name="spec">What it is.</param>
    /// <param name="output">Where its output goes.</param>
    /// <param name="log">The daemon's log.</param>
    /// <param name="time">The clock.</param>
    /// <param name="childChanged">Called by the loop when there is another process, or none any more.</param>
    public Component(ComponentSpec spec, LogFile output, Log log, TimeProvider time, Action<Component> childChanged)
    {
        (this.spec, this.output, this.log, this.time, this.childChanged) = (spec, output, log, time, childChanged);
        state = new ChildState(ChildPhase.Stopped, Moment.Of(time));
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
        if (reached.Phase == ChildPhase.Failed) throw await WhyGivenUp();
    }

    /// <summary>Why it was given up, in its own words, or how it ended and the last lines of its log.</summary>
    public async Task<Failure> WhyGivenUp()
    {
        // Its end may be known before its last words are written.
        await Task.WhenAny(copied, Task.Delay(LastWords, time));
        var last = state;
        // What was caught stays behind: the failure may have come from another thread, and before.
        if (last is { Failure: { } said, WasReady: false }) return new Failure(said.What, said.Why, said.Remedy, said.ExitCode);
        return new Failure(
            last.WasReady ? $"{Name} does not stay alive" : $"{Name} does not start", $"it was {last.Detail}{LastLines()}", $"`stigmer local logs {Name}` shows all that it said");
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

    /// <summary>
    /// To be called every <see cref="Notify.Beat"/>: what has not been heard of for too long is ended and replaced.
    /// </summary>
    /// <param name="ran">The daemon itself has run since the last time. Where it has not, nothing can be said of others.</param>
    public void Look(bool ran) => Post(starts, ran ? new ChildEvent.Looked() : new ChildEvent.Paused());

    /// <summary>The last lines of its log, indented, after words that introduce them; empty where there are none.</summary>
    public string LastLines()
    {
        var lines = string.Concat(LogReader.Tail(output.Path, Quoted).Select(line => $"\n    {line}"));
        return lines.Length == 0 ? "" : $"; the last lines of its log:{lines}";
    }

    void Post(int start, ChildEvent happened, TaskCompletionSource? handled = null) => events.Writer.TryWrite((start, happened, handled));

    async Task Loop()
    {
        await foreach (var (start, happened, handled) in events.Reader.ReadAllAsync())
        {
            // What an earlier process still had to say is of no account to the present one.
            if (start != starts && happened is not (ChildEvent.StartRequested or ChildEvent.StopRequested or ChildEvent.Looked or ChildEvent.Paused)) continue;
            var before = state;
            // One that does not beat is judged by its answers, which begin when it is ready.
            if (happened is ChildEvent.Looked && spec.WhenReady is not null && before.Phase == ChildPhase.Starting) continue;
            var (next, action) = ChildTransitions.Next(before, happened, RestartPolicy.Default, Moment.Of(time));
            Report(before, next, happened);
            if (happened is ChildEvent.Exited or ChildEvent.Refused)
            {
                probing?.Cancel();
                Child = null;
            }
            // What is to be done is done, or under way, when the new state shows.
            if (action is not null) Do(action, next);
            state = next;
            // The start of the next process tells of the end of this one, and comes first.
            if (happened is ChildEvent.Spawned || (happened is ChildEvent.Exited && action is not ChildAction.Spawn)) childChanged(this);
            if (next != before) Interlocked.Exchange(ref changed, new(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();
            if (happened is ChildEvent.Looked) Ask();
            handled?.SetResult();
        }
    }

    void Do(ChildAction action, ChildState now)
    {
        switch (action)
        {
            case ChildAction.Spawn:
                Spawn(now);
                break;
            case ChildAction.Terminate terminate:
                // The end itself comes as an event.
                _ = Child?.Terminate(terminate.Grace, time);
                break;
            case ChildAction.WaitFor wait:
                // Up to a tenth more, by chance.
                _ = Backoff(starts, wait.Delay * (1 + Random.Shared.NextDouble() / 10));
                break;
        }
    }

    /// <summary>Asks one that does not beat by itself, unless it still owes an answer.</summary>
    void Ask()
    {
        if (spec.Health is not { } health || state.Phase is not (ChildPhase.Ready or ChildPhase.Unhealthy) || !asking.IsCompleted || probing is not { } process) return;
        var answer = Answers(health, process.Token);
        asking = answer;
        _ = Beats(starts, answer);
    }

    async Task Beats(int start, Task<bool> answer)
    {
        if (await answer) Post(start, new ChildEvent.Beat());
    }

    static async Task<bool> Answers(Func<CancellationToken, Task> health, CancellationToken cancel)
    {
        try
        {
            await health(cancel);
            return true;
        }
        catch (Exception e) when (e is Failure or OperationCanceledException)
        {
            return false; // No sign of life: the looks count.
        }
    }

    async Task Backoff(int start, TimeSpan delay)
    {
        await Task.Delay(delay, time);
        Post(start, new ChildEvent.BackoffElapsed());
    }

    void Spawn(ChildState now)
    {
        var start = ++starts;
        Child child;
        try
        {
            child = Child.Start(spec.Child(now));
        }
        catch (Failure why)
        {
            Post(start, new ChildEvent.Refused(why));
            return;
        }
        Child = child;
        Post(start, new ChildEvent.Spawned(child.Pid));
        copied = Thread($"{Name} output", () => output.CopyFrom(child.Output));
        if (spec.WhenReady is { } whenReady)
        {
            probing = new CancellationTokenSource();
            _ = Probe(start, whenReady, now.WasReady, probing.Token);
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

    async Task Probe(int start, Func<CancellationToken, Task> whenReady, bool again, CancellationToken cancel)
    {
        // The first time there is somebody who waits, and says how long.
        using var limit = new CancellationTokenSource(again ? LongestStart : Timeout.InfiniteTimeSpan, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel, limit.Token);
        try
        {
            await whenReady(either.Token);
            Post(start, new ChildEvent.Ready());
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            Post(start, new ChildEvent.Failed(new Failure($"{Name} was not ready within {LongestStart.TotalSeconds:0} s")));
            _ = Child?.Terminate(RestartPolicy.Default.HangGrace, time);
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
            Notification.Beat => new ChildEvent.Beat(),
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
                log.Info("ready", ("component", Name), ("pid", next.Pid), ("after_ms", (long)(next.Since.Running - before.Since.Running).TotalMilliseconds));
                break;
            case ChildEvent.Beat when before.Phase == ChildPhase.Unhealthy:
                log.Info("is heard of again", ("component", Name), ("pid", next.Pid));
                break;
            case ChildEvent.Looked when next.Phase != before.Phase:
                log.Warn(next.Phase == ChildPhase.Ending ? "hangs and is ended" : "is unhealthy", ("component", Name), ("pid", next.Pid), ("why", next.Detail));
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

    static Task Thread(string name, Action work)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        new System.Threading.Thread(
            () =>
            {
                work();
                done.SetResult();
            },
            256 * 1024) { IsBackground = true, Name = name }.Start();
        return done.Task;
    }
}
