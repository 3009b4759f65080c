using Stigmer.Config;
using Stigmer.Processes;
using Stigmer.Runtime.Control;
using Stigmer.Runtime.Supervision;

namespace Stigmer.Runtime;

/// <summary>
/// The supervisor of one home: holds its lock, starts the stack, answers on the control socket, and stops the stack when it is
/// told to or when nobody waits any more for one that is not ready.
/// </summary>
sealed class Daemon
{
    /// <summary>How long a component may take when it is told to end, unless the command says otherwise.</summary>
    public static readonly TimeSpan DefaultGrace = TimeSpan.FromSeconds(10);

    /// <summary>The same when a start is undone: a person waits who changed their mind.</summary>
    static readonly TimeSpan UndoGrace = TimeSpan.FromSeconds(1);

    /// <summary>How long a starter that has neither connected nor gone is waited for at the end.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>So long after the start nobody is waiting for anything any more.</summary>
    static readonly TimeSpan RestDelay = TimeSpan.FromSeconds(2);

    readonly Stack stack;
    readonly StackLogs logs;
    readonly TimeProvider time;
    readonly Action<ControlReply>? watcher;
    readonly Lock gate = new();
    readonly List<ControlReply> told = [];
    readonly HashSet<ControlConnection> waiting = [];
    readonly HashSet<ControlConnection> stopping = [];
    readonly CancellationTokenSource undo = new();
    readonly TaskCompletionSource<TimeSpan> stopAsked = new(TaskCreationOptions.RunContinuationsAsynchronously);
    string phase = DaemonPhase.Starting;
    ControlReply? last;
    bool starterWaits, wasReady, taken, failing;
    CommandOrder? newest;

    Daemon(StartOrder order, StackLogs logs, TimeProvider time, Action<ControlReply>? watcher)
    {
        (this.logs, this.time, this.watcher) = (logs, time, watcher);
        newest = order.Begun;
        stack = new Stack(order, logs, time);
    }

    /// <summary>
    /// Runs until the stack has ended. Completes with null, without having done anything, where another daemon holds the lock;
    /// fails with what hindered the start, which has been undone then.
    /// </summary>
    /// <param name="order">What to start.</param>
    /// <param name="time">The clock.</param>
    /// <param name="listening">Called when the control socket can be used.</param>
    /// <param name="starterGone">Completes when the process that ordered the start has gone away or has connected; null: nobody did.</param>
    /// <param name="watcher">Is told all that happens; null: only those who ask on the control socket.</param>
    /// <param name="echo">Gets component and line of all logs; null: nobody looks on.</param>
    /// <param name="stop">Asks for an end in order.</param>
    public static async Task<int?> Run(
        StartOrder order, TimeProvider time, Action listening, Task? starterGone, Action<ControlReply>? watcher, Action<string, string>? echo, CancellationToken stop)
    {
        var home = order.Settings.Home;
        foreach (var folder in (ReadOnlySpan<string>)[home.Root, home.Logs]) StigmerHome.Ensure(folder);
        home.EnsureRun();
        using var held = DaemonLock.TryTake(home);
        if (held is null) return null;
        StateFiles.MakeRoom(home);
        // After the lock, which a stop looks at after it has left word: one of the two sees the other.
        if (order.Begun is { } begun && begun.IsBeforeAStop(home)) throw Launcher.Stopped();
        CommandOrder.ForgetStops(home);
        using var logs = new StackLogs(home, time, echo, ownOutput: echo is null);
        var daemon = new Daemon(order, logs, time, watcher);
        try
        {
            return await daemon.Run(home, held, listening, starterGone, stop);
        }
        catch (Exception e) when (e is not Failure and not OperationCanceledException)
        {
            logs.Daemon.Error("the daemon failed", ("error", e));
            throw;
        }
    }

    async Task<int> Run(StigmerHome home, DaemonLock held, Action listening, Task? starterGone, CancellationToken stop)
    {
        logs.Daemon.Info("started", ("version", Build.Version), ("pid", Environment.ProcessId), ("home", home.Root));
        await Leftovers.End(
            home, UndoGrace, (component, process) => logs.Daemon.Warn("ends what an earlier daemon left", ("component", component), ("pid", process.Pid)), time, CancellationToken.None);
        try
        {
            StateFiles.WriteProcess(home.DaemonPid, NamedProcess.From(ComponentName.Daemon, ProcessIdentity.Of(Environment.ProcessId), home));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new Failure($"{home.Run} cannot be written", e.Message, "Make room there, or set STIGMER_HOME to a folder that you can write to", inner: e);
        }
        using var server = new ControlServer(() => ControlSocket.Listen(home.ControlSocket), Hello, Asked, Left, time);
        var serving = server.Run();
        if (starterGone is not null)
        {
            starterWaits = true;
            _ = WhenGone(starterGone);
        }
        listening();
        using var onStop = stop.Register(() => AskToStop(DefaultGrace));
        using var pulse = new Pulse(Notify.Beat, time, ran => Look(ran, home, held, server));

        Failure? failure = null;
        try
        {
            await stack.Start(Tell, undo.Token);
            Ready();
            _ = Rest();
            await UntilToldToEnd();
            await Stop();
        }
        catch (Failure why)
        {
            logs.Daemon.Error(why.What, ("why", why.Why));
            failure = why;
            // Who asks for the start from here on hears why it failed, and is not sent to the next daemon.
            lock (gate) failing = true;
            await Stop();
        }
        catch (OperationCanceledException)
        {
            logs.Daemon.Info("the start is undone");
            await Stop();
        }
        Farewell(failure);
        // A start can fail before whoever ordered it has connected: that one is to hear why, not to find nobody.
        if (starterGone is not null) await Task.WhenAny(starterGone, Task.Delay(Patience, time, CancellationToken.None));
        // Where the home was removed, what stands there now is another daemon's.
        if (held.IsIntact) CleanUp(home);
        logs.Daemon.Info("ended");
        pulse.Dispose();
        stack.Dispose();
        server.Dispose();
        await serving;
        await server.Drain(TimeSpan.FromSeconds(1));
        return failure is null ? ExitCode.Done : throw failure;
    }

    void CleanUp(StigmerHome home)
    {
        StateFiles.Delete(home.ControlSocket);
        try
        {
            // A runner that had to be killed has given nothing back: the next one is to know that it has ended.
            StateFiles.WriteChildren(home.Children, new ChildrenDocument([], stack.Lives));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            logs.Daemon.Warn("the next daemon is not told whom its runner replaces", ("why", e.Message));
        }
        StateFiles.Delete(home.TemporalPid);
        StateFiles.Delete(home.DaemonPid);
    }

    /// <summary>Every few seconds, while all is well the only thing that is done: are the children heard of, and can we be found?</summary>
    void Look(bool ran, StigmerHome home, DaemonLock held, ControlServer server)
    {
        stack.Look(ran);
        if (!held.IsIntact)
        {
            if (stopAsked.Task.IsCompleted) return;
            logs.Daemon.Warn("the home has been removed: the stack ends", ("home", home.Root));
            AskToStop(DefaultGrace);
        }
        else if (server.IsLost(home.ControlSocket))
        {
            logs.Daemon.Warn("the control socket has been removed, and is made again", ("socket", home.ControlSocket));
            server.Renew();
        }
    }

    /// <summary>
    /// In the foreground a component that is given up ends the stack, for whoever watches to see it: a container's manager.
    /// In the background the others are left running, and the status tells.
    /// </summary>
    async Task UntilToldToEnd()
    {
        if (watcher is null)
        {
            await stopAsked.Task;
            return;
        }
        using var cancel = new CancellationTokenSource();
        var givenUp = stack.GivenUp(cancel.Token);
        var first = await Task.WhenAny(stopAsked.Task, givenUp);
        await cancel.CancelAsync();
        if (first == givenUp) throw await givenUp;
    }

    /// <summary>From here on nothing may happen for hours: what only the start needed is given back.</summary>
    async Task Rest()
    {
        await Task.Delay(RestDelay, time);
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        if (OperatingSystem.IsLinux()) ProgramPages.Release();
    }

    ControlReply Hello()
    {
        lock (gate) return new ControlReply { Type = ControlReply.Hello, Version = Build.Version, Pid = Environment.ProcessId, Phase = phase };
    }

    void Asked(ControlConnection connection, ControlRequest request)
    {
        lock (gate)
        {
            switch (request.Command)
            {
                case ControlRequest.Start when phase == DaemonPhase.Stopping && !failing:
                    // It came after the stop, and is a wish for the next daemon.
                    connection.Finish();
                    break;
                case ControlRequest.Start:
                    if (request.Begun is { } begun && newest?.IsAfter(begun) != true) newest = begun;
                    foreach (var reply in told) connection.Send(reply);
                    waiting.Add(connection);
                    if (last is not null) connection.Send(last);
                    else if (phase == DaemonPhase.Ready) connection.Send(ReadyReply());
                    break;
                case ControlRequest.Taken:
                    taken = true;
                    break;
                case ControlRequest.Leave:
                    waiting.Remove(connection);
                    if (!UndoIfNobodyWaits()) connection.Send(new ControlReply { Type = ControlReply.Left });
                    break;
                case ControlRequest.Status:
                    connection.Send(new ControlReply { Type = ControlReply.Status, State = stack.State(phase) });
                    break;
                case ControlRequest.Engine:
                    _ = TellEngine(connection);
                    break;
                case ControlRequest.Stop when request.Begun is { } given && phase != DaemonPhase.Stopping && newest?.IsAfter(given) == true:
                    connection.Send(new ControlReply { Type = ControlReply.Superseded });
                    break;
                case ControlRequest.Stop:
                    if (last is not null) connection.Send(last);
                    stopping.Add(connection);
                    AskToStop(request.TimeoutMs is { } ms ? TimeSpan.FromMilliseconds(ms) : DefaultGrace);
                    break;
            }
        }
    }

    async Task TellEngine(ControlConnection connection)
    {
        try
        {
            connection.Send(new ControlReply { Type = ControlReply.Engine, Temporal = await stack.LookAtEngine(CancellationToken.None) });
        }
        catch (Exception e)
        {
            // Who asked waits for a while and goes on with what the status says.
            logs.Daemon.Error("the look at the engine failed", ("error", e));
        }
    }

    void Left(ControlConnection connection)
    {
        lock (gate)
        {
            stopping.Remove(connection);
            if (waiting.Remove(connection)) UndoIfNobodyWaits();
        }
    }

    async Task WhenGone(Task starterGone)
    {
        await starterGone;
        lock (gate)
        {
            starterWaits = false;
            UndoIfNobodyWaits();
        }
    }

    /// <summary>
    /// A start is under way until somebody has taken its result: whoever ordered it can be killed at the very moment when it
    /// is ready, and does not know then that it is.
    /// </summary>
    bool UndoIfNobodyWaits()
    {
        if (phase == DaemonPhase.Stopping || taken || watcher is not null || waiting.Count > 0 || starterWaits) return false;
        if (phase == DaemonPhase.Ready) stopAsked.TrySetResult(UndoGrace);
        phase = DaemonPhase.Stopping;
        undo.Cancel();
        return true;
    }

    void AskToStop(TimeSpan grace)
    {
        lock (gate)
        {
            wasReady = phase == DaemonPhase.Ready || wasReady;
            // Who asks for a start from here on comes after this.
            phase = DaemonPhase.Stopping;
        }
        stopAsked.TrySetResult(grace);
        undo.Cancel();
    }

    void Tell(ControlReply reply)
    {
        lock (gate)
        {
            // Of a download only the latest news are of interest to who comes late.
            if (reply.Type == ControlReply.Download) told.RemoveAll(r => r.Type == ControlReply.Download);
            told.Add(reply);
            foreach (var connection in waiting) connection.Send(reply);
        }
        if (reply.Type != ControlReply.Download) logs.Daemon.Info(reply.Text ?? reply.Type);
        watcher?.Invoke(reply);
    }

    void Ready()
    {
        ControlReply reply;
        lock (gate)
        {
            // The last who waited may have left at this very moment.
            undo.Token.ThrowIfCancellationRequested();
            phase = DaemonPhase.Ready;
            reply = ReadyReply();
            foreach (var connection in waiting) connection.Send(reply);
        }
        watcher?.Invoke(reply);
    }

    ControlReply ReadyReply() => new() { Type = ControlReply.Ready, State = stack.State(DaemonPhase.Ready) };

    async Task Stop()
    {
        lock (gate)
        {
            wasReady = phase == DaemonPhase.Ready || wasReady;
            phase = DaemonPhase.Stopping;
        }
        if (wasReady || stopAsked.Task.IsCompletedSuccessfully) await stack.Stop(stopAsked.Task.IsCompletedSuccessfully ? stopAsked.Task.Result : DefaultGrace);
        else await stack.Undo(UndoGrace);
    }

    void Farewell(Failure? failure)
    {
        lock (gate)
        {
            last = failure is null
                ? new ControlReply { Type = ControlReply.Stopped }
                : new ControlReply { Type = ControlReply.Failed, Failure = FailureDocument.From(failure) };
            foreach (var connection in waiting.Concat(stopping).Distinct()) connection.Send(last);
        }
    }
}
