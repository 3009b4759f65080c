using System.Text;
using Stigmer.Config;
using Stigmer.Processes;
using Stigmer.Runtime.Control;
using Stigmer.Runtime.Logs;

namespace Stigmer.Runtime;

/// <summary>What became of a start.</summary>
/// <param name="State">The stack, ready.</param>
/// <param name="AlreadyRunning">It was ready before.</param>
/// <param name="Version">The daemon's version.</param>
sealed record Launched(StackState State, bool AlreadyRunning, string? Version);

/// <summary>The commands' side of the daemon: starting it, joining a start, ending it.</summary>
static class Launcher
{
    /// <summary>
    /// How long a daemon that holds the lock may take to answer on its socket before it counts as hung: longer than it takes to
    /// notice that its socket is gone.
    /// </summary>
    static readonly TimeSpan Patience = ControlClient.Patience;

    /// <summary>How many components are stopped one after the other, each with the grace.</summary>
    const int Components = 3;

    /// <summary>
    /// Starts the stack and waits until it is ready; joins a start that is under way; a stack that runs is left as it is.
    /// Cancelling undoes the start, unless somebody else waits for it too. Fails with what hindered the start.
    /// </summary>
    /// <param name="order">What to start; without effect where a stack runs or starts already.</param>
    /// <param name="tell">Is told each step.</param>
    /// <param name="time">The clock.</param>
    public static async Task<Launched> Start(StartOrder order, Action<ControlReply> tell, TimeProvider time, CancellationToken cancel)
    {
        var home = order.Settings.Home;
        foreach (var folder in (ReadOnlySpan<string>)[home.Root, home.Logs]) StigmerHome.Ensure(folder);
        home.EnsureRun();
        var since = time.GetTimestamp();
        while (true)
        {
            cancel.ThrowIfCancellationRequested();
            if (await ControlClient.TryConnect(home, cancel) is { } running)
            {
                using (running)
                {
                    if (running.Hello.Phase == DaemonPhase.Stopping)
                    {
                        await WaitForEnd(home, running, time, cancel);
                        since = time.GetTimestamp();
                        continue;
                    }
                    var alreadyReady = running.Hello.Phase == DaemonPhase.Ready;
                    if (!alreadyReady) tell(new ControlReply { Type = ControlReply.Note, Text = "Another start is under way: waiting for it..." });
                    if (await Wait(home, running, order.Begun, alreadyReady ? _ => { } : tell, alreadyReady, null, time, cancel) is { } joined) return joined;
                    // It ended, or was told to, before it heard of us.
                    since = time.GetTimestamp();
                    continue;
                }
            }
            if (!DaemonLock.IsHeld(home))
            {
                if (order.Begun is { } begun && begun.IsBeforeAStop(home)) throw Stopped();
                using var launch = new Launch(home, order);
                // Null: another launcher's daemon was faster.
                if (await launch.Listening(cancel) is not true) continue;
                if (await ControlClient.TryConnect(home, cancel) is not { } connection) throw await Ended(home, launch, cancel);
                using (connection) return await Wait(home, connection, order.Begun, tell, false, launch, time, cancel) ?? throw await Ended(home, launch, cancel);
            }
            if (time.GetElapsedTime(since) > Patience) throw Hung(home);
            // It holds the lock and does not listen yet: a matter of milliseconds, of which nobody else can tell.
            await Task.Delay(TimeSpan.FromMilliseconds(5), time, cancel);
        }
    }

    /// <summary>
    /// Stops the stack. False: none ran. A daemon that does not answer, or does not come to an end in the time that its
    /// components have, is ended by its identity, and its children with it.
    /// </summary>
    /// <param name="home">Whose.</param>
    /// <param name="grace">How long each component may take before it is killed.</param>
    /// <param name="begins">Called when there is something to stop.</param>
    /// <param name="time">The clock.</param>
    /// <param name="begun">When the stop was given: a stack whose start was given later is not meant. Null: whatever runs is.</param>
    /// <param name="hangs">It is known not to answer: nobody waits for that again.</param>
    public static async Task<bool> Stop(StigmerHome home, TimeSpan grace, Action begins, TimeProvider time, CancellationToken cancel, CommandOrder? begun = null, bool hangs = false)
    {
        (begun ?? CommandOrder.OfThisProcess())?.NoteStop(home);
        var since = time.GetTimestamp();
        while (!hangs || !DaemonLock.IsHeld(home))
        {
            if (await ControlClient.TryConnect(home, cancel) is { } daemon)
            {
                using (daemon)
                {
                    begins();
                    await daemon.Send(new ControlRequest(ControlRequest.Stop, (long)grace.TotalMilliseconds, begun), cancel);
                    if (await EndsWithin(Components * grace + Patience, home, daemon, time, cancel) is { } ended) return ended;
                    await Kill(home, time, cancel);
                    return true;
                }
            }
            if (!DaemonLock.IsHeld(home)) return false;
            if (time.GetElapsedTime(since) > Patience) break;
            await Task.Delay(TimeSpan.FromMilliseconds(20), time, cancel);
        }
        begins();
        await Kill(home, time, cancel);
        return true;
    }

    /// <summary>
    /// Ends a daemon that cannot be talked to: politely at first, for it may only be stopped, or have lost its socket, and
    /// would end its children in order.
    /// </summary>
    static async Task Kill(StigmerHome home, TimeProvider time, CancellationToken cancel)
    {
        // Whom the system names is the one; a file can be wrong, or a copy of another home's.
        var hung = DaemonLock.Holder(home);
        if (hung is null && StateFiles.ReadProcess(home.DaemonPid) is { } named && named.Home == home.Root) hung = named.Identity;
        if (hung is null || !hung.IsAlive)
        {
            if (!DaemonLock.IsHeld(home)) return;
            throw new Failure(
                "The daemon does not answer, and cannot be ended", $"{home.DaemonLock} is held, and the system does not tell by whom", "End that process by hand: `stigmer internal daemon`");
        }
        hung.AskToEnd();
        using (var patience = new CancellationTokenSource(Patience, time))
        using (var either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancel))
        {
            try
            {
                await hung.WaitForEnd(time, either.Token);
            }
            catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
            {
                hung.Kill();
                await hung.WaitForEnd(time, cancel);
            }
        }
        // On Linux they died with it, but for what they had started themselves.
        await Leftovers.End(home, TimeSpan.Zero, (_, _) => { }, time, cancel);
        if (DaemonLock.IsHeld(home)) return; // By the next one, whose files these are.
        foreach (var file in (ReadOnlySpan<string>)[home.ControlSocket, home.TemporalPid, home.DaemonPid]) StateFiles.Delete(file);
    }

    /// <summary>The state of the stack; null where none runs.</summary>
    /// <exception cref="Failure">A daemon holds the lock and does not answer.</exception>
    public static async Task<StackState?> Status(StigmerHome home, TimeProvider time, CancellationToken cancel)
    {
        var since = time.GetTimestamp();
        while (true)
        {
            using var daemon = await ControlClient.TryConnect(home, cancel);
            if (daemon is not null && await daemon.Status(Patience, time, cancel) is { } state) return state;
            if (!DaemonLock.IsHeld(home)) return null;
            if (time.GetElapsedTime(since) > Patience) throw Hung(home);
            await Task.Delay(TimeSpan.FromMilliseconds(20), time, cancel);
        }
    }

    /// <summary>What becomes of a start when a stop comes after it.</summary>
    public static Failure Stopped() => new("The start was stopped", "`stigmer local stop` or a signal ended the daemon before the stack was ready", null);

    /// <summary>Why a daemon that runs is of no use.</summary>
    public static Failure Hung(StigmerHome home) => new(
        "The daemon runs and does not answer", $"{home.DaemonLock} is held, and nobody answers on {home.ControlSocket}", "`stigmer local stop` ends it");

    /// <summary>Waits with the others until the stack is ready. Null: the daemon hung up without having heard of us.</summary>
    static async Task<Launched?> Wait(
        StigmerHome home, ControlClient daemon, CommandOrder? begun, Action<ControlReply> tell, bool alreadyRunning, Launch? launch, TimeProvider time, CancellationToken cancel)
    {
        await daemon.Send(new ControlRequest(ControlRequest.Start, Begun: begun), CancellationToken.None);
        var heard = false;
        try
        {
            while (await daemon.Next(cancel) is { } reply)
            {
                heard = true;
                // From the first answer on the connection stands for us.
                launch?.Release();
                switch (reply)
                {
                    case { Type: ControlReply.Ready, State: { } state }:
                        cancel.ThrowIfCancellationRequested();
                        await daemon.Send(new ControlRequest(ControlRequest.Taken), CancellationToken.None);
                        return new Launched(state, alreadyRunning, daemon.Hello.Version);
                    case { Type: ControlReply.Failed, Failure: { } failure }:
                        await WaitForEnd(home, daemon, time, cancel);
                        throw failure.ToFailure();
                    case { Type: ControlReply.Stopped }:
                        throw Stopped();
                    default:
                        tell(reply);
                        break;
                }
            }
            if (!heard) return null;
            throw launch is null ? Died(home) : await Ended(home, launch, cancel);
        }
        catch (OperationCanceledException)
        {
            await Leave(home, daemon, time);
            throw;
        }
    }

    /// <summary>A person changed their mind: waits until what was started is undone, or is somebody else's to wait for.</summary>
    static async Task Leave(StigmerHome home, ControlClient daemon, TimeProvider time)
    {
        using var patience = new CancellationTokenSource(Patience, time);
        try
        {
            await daemon.Send(new ControlRequest(ControlRequest.Leave), patience.Token);
            while (await daemon.Next(patience.Token) is { } reply)
            {
                if (reply.Type == ControlReply.Left) return;
            }
            await WaitForEnd(home, daemon, time, patience.Token);
        }
        catch (OperationCanceledException)
        {
            // It goes on undoing without us.
        }
    }

    /// <summary>Completes when the daemon's process has ended.</summary>
    /// <returns>False: the daemon goes on, having been asked to stop by somebody who was late.</returns>
    static async Task<bool> WaitForEnd(StigmerHome home, ControlClient daemon, TimeProvider time, CancellationToken cancel)
    {
        while (await daemon.Next(cancel) is { } reply)
        {
            if (reply.Type == ControlReply.Superseded) return false;
        }
        if (daemon.Daemon is { } process)
        {
            // Not by the lock: the next daemon may hold it already.
            await process.WaitForEnd(time, cancel);
            return true;
        }
        // Where the system does not tell of processes, the lock does, and the next daemon by being another.
        while (DaemonLock.IsHeld(home))
        {
            using var next = await ControlClient.TryConnect(home, cancel);
            if (next is not null && next.Hello.Pid != daemon.Hello.Pid) return true;
            await Task.Delay(TimeSpan.FromMilliseconds(5), time, cancel);
        }
        return true;
    }

    /// <returns>Null: it did not.</returns>
    static async Task<bool?> EndsWithin(TimeSpan limit, StigmerHome home, ControlClient daemon, TimeProvider time, CancellationToken cancel)
    {
        using var patience = new CancellationTokenSource(limit, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancel);
        try
        {
            return await WaitForEnd(home, daemon, time, either.Token);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return null;
        }
    }

    /// <summary>Why a daemon that we started is gone without a word: told to end by somebody else before it heard of us, or dead.</summary>
    static async Task<Failure> Ended(StigmerHome home, Launch launch, CancellationToken cancel) =>
        (await launch.Ended(cancel)).Code == ExitCode.Done ? Stopped() : Died(home);

    static Failure Died(StigmerHome home)
    {
        var last = string.Concat(LogReader.Tail(home.LogFile(ComponentName.Daemon), 5).Select(line => $"\n    {line}"));
        return new Failure("The daemon ended before the stack was ready", last.Length == 0 ? null : $"the last lines of its log:{last}", "`stigmer local logs daemon` shows all that it said");
    }

    /// <summary>A daemon that is being started.</summary>
    sealed class Launch : IDisposable
    {
        readonly Child daemon;
        readonly TaskCompletionSource<bool?> listening = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Launch(StigmerHome home, StartOrder order)
        {
            StateFiles.ClearAway(home.LogFile(ComponentName.Daemon));
            using var log = LogFile.OpenForAppending(home.LogFile(ComponentName.Daemon));
            var command = OwnExecutable.Command(["internal", "daemon"]);
            var environment = new Dictionary<string, string>();
            foreach (System.Collections.DictionaryEntry entry in Environment.GetEnvironmentVariables()) environment[(string)entry.Key] = (string)entry.Value!;
            environment.Remove(Notify.Variable);
            daemon = Child.Start(new ChildSpec
            {
                Path = command[0],
                Arguments = [.. command.Skip(1)],
                Environment = environment,
                // It must not keep the user's folder from being removed.
                WorkingDirectory = home.Root,
                OwnSession = true,
                PipeInput = true,
                OutputFile = log.SafeFileHandle,
                Notifies = true,
            });
            new Thread(Hear, 256 * 1024) { IsBackground = true, Name = "daemon notify" }.Start();
            try
            {
                daemon.Input.Write(Encoding.UTF8.GetBytes(order.ToJson() + "\n"));
            }
            catch (IOException)
            {
                // It ended already; the notify pipe tells.
            }
        }

        /// <summary>True: the control socket listens. False: another daemon holds the lock. Fails with what the daemon said.</summary>
        public Task<bool?> Listening(CancellationToken cancel) => listening.Task.WaitAsync(cancel);

        /// <summary>How it ended; completes when it has.</summary>
        public Task<ExitStatus> Ended(CancellationToken cancel) => daemon.Exited.WaitAsync(cancel);

        /// <summary>Hangs up: from here on the connection, not this pipe, tells the daemon that somebody waits.</summary>
        public void Release() => daemon.CloseInput();

        public void Dispose() => Release();

        void Hear()
        {
            Notification.ReadAll(daemon.Notifications, notification =>
            {
                switch (notification)
                {
                    case Notification.Ready:
                        listening.TrySetResult(true);
                        break;
                    case Notification.Status:
                        listening.TrySetResult(false);
                        break;
                    case Notification.Failed failed:
                        listening.TrySetException(failed.Failure);
                        break;
                }
            });
            listening.TrySetException(new Failure("The daemon ended before it listened", null, "`stigmer local logs daemon` shows what it said"));
        }
    }
}
