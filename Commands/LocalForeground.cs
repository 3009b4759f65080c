using System.Collections.Concurrent;
using Stigmer.Config;
using Stigmer.Processes;
using Stigmer.Runtime;
using Stigmer.Runtime.Control;

namespace Stigmer.Commands;

/// <summary>
/// <c>stigmer local --foreground</c>: this process is the daemon. The start's lines, then the logs of all components; ends in
/// order on a signal or by <c>local stop</c>. Fit to be pid 1 of a container.
/// </summary>
static class LocalForeground
{
    /// <summary>Finds out what is needed, and runs the stack; 0 once it was ready.</summary>
    public static async Task<int> Run(Settings settings, TimeSpan timeout, Terminal terminal, CancellationToken cancel)
    {
        if (DaemonLock.IsHeld(settings.Home)) throw AlreadyRunning(settings.Home);
        var view = new StartView(terminal);
        return await Run(await LocalStart.Order(settings, timeout, view, terminal, cancel), view, terminal, cancel);
    }

    /// <summary>Runs the stack until it has ended; 0 once it was ready.</summary>
    public static async Task<int> Run(StartOrder order, StartView view, Terminal terminal, CancellationToken cancel)
    {
        using var orphans = Environment.ProcessId == 1 && OperatingSystem.IsLinux() ? UnixProcess.AdoptOrphans() : null;
        var home = order.Settings.Home;
        var screen = new Screen(terminal, order.Settings.Llm, view, cancel);
        int? ended;
        // Somebody who asks whether a stack runs holds the lock for an instant.
        do ended = await Daemon.Run(order, TimeProvider.System, listening: () => { }, starterGone: null, screen.Show, screen.Echo, cancel);
        while (ended is null && !DaemonLock.IsHeld(home));
        view.End();
        if (ended is not { } code) throw AlreadyRunning(home);
        // Told to end before it was ready: whoever sent the signal learns that it was heard.
        if (!screen.WasReady) cancel.ThrowIfCancellationRequested();
        return code;
    }

    static Failure AlreadyRunning(StigmerHome home) =>
        new("Stigmer is already running", $"another daemon holds {home.DaemonLock}", "`stigmer local stop` ends it");

    /// <summary>Lines of the logs are held back until the start's own lines are through.</summary>
    sealed class Screen(Terminal terminal, LlmSettings llm, StartView view, CancellationToken cancel)
    {
        readonly Lock gate = new();
        readonly ConcurrentQueue<string> held = new();

        public bool WasReady { get; private set; }

        public void Show(ControlReply reply)
        {
            lock (gate)
            {
                if (reply.Type != ControlReply.Ready)
                {
                    view.Show(reply);
                    return;
                }
                WasReady = true;
                if (terminal.Json && reply.State is { } state) terminal.Document(state.Document with { AlreadyRunning = false }, StatusJson.Default.StatusDocument);
                while (held.TryDequeue(out var line)) Write(line);
            }
            _ = WarnOfModel();
        }

        public void Echo(string component, string line)
        {
            lock (gate)
            {
                if (WasReady) Write($"{component} | {line}");
                else held.Enqueue($"{component} | {line}");
            }
        }

        void Write(string line)
        {
            // Asked for by --foreground; with --json standard output carries documents alone.
            if (terminal.Json) terminal.Note(line);
            else terminal.Line(line);
        }

        async Task WarnOfModel()
        {
            try
            {
                await StatusChecks.WarnOfModel(LlmStatus.Of(llm), terminal, cancel);
            }
            catch (OperationCanceledException)
            {
                // Told to end meanwhile.
            }
        }
    }
}
