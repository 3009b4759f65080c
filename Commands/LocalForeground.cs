using System.Collections.Concurrent;
using System.Runtime.InteropServices;
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
        // The end of its terminal, and what some managers of containers send instead of SIGTERM.
        using var told = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        using var hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, End);
        using var quit = PosixSignalRegistration.Create(PosixSignal.SIGQUIT, End);
        using var orphans = Environment.ProcessId == 1 && OperatingSystem.IsLinux() ? UnixProcess.AdoptOrphans() : null;
        var home = order.Settings.Home;
        var screen = new Screen(terminal, order.Settings.Llm, view, told.Token);
        int? ended;
        try
        {
            // Somebody who asks whether a stack runs holds the lock for an instant.
            do ended = await Daemon.Run(order, TimeProvider.System, listening: () => { }, starterGone: null, screen.Show, screen.Echo, told.Token);
            while (ended is null && !DaemonLock.IsHeld(home));
        }
        finally
        {
            screen.Finish();
            view.End();
        }
        if (ended is not { } code) throw AlreadyRunning(home);
        // Told to end before it was ready: whoever sent the signal learns that it was heard.
        if (screen.WasReady) return code;
        cancel.ThrowIfCancellationRequested();
        return told.IsCancellationRequested ? ExitCode.Terminated : code;

        void End(PosixSignalContext context)
        {
            context.Cancel = true;
            told.Cancel();
        }
    }

    static Failure AlreadyRunning(StigmerHome home) =>
        new("Stigmer is already running", $"another daemon holds {home.DaemonLock}", "`stigmer local stop` ends it");

    /// <summary>
    /// Shows the start's lines and then the logs, on a thread of its own: who does not read what we print keeps nobody but it.
    /// Lines of the logs are held back until the start's own lines are through.
    /// </summary>
    sealed class Screen
    {
        /// <summary>So many lines of the logs wait for a reader; what comes then is left out here, and is in the files.</summary>
        const int Backlog = 4096;

        /// <summary>How long the end waits for a reader.</summary>
        static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

        readonly Terminal terminal;
        readonly LlmSettings llm;
        readonly StartView view;
        readonly CancellationToken cancel;
        readonly Lock gate = new();
        readonly Queue<string> held = new();
        readonly BlockingCollection<Action> waiting = [];
        readonly Thread printer;
        int lines, leftOut;
        bool finished;

        public Screen(Terminal terminal, LlmSettings llm, StartView view, CancellationToken cancel)
        {
            (this.terminal, this.llm, this.view, this.cancel) = (terminal, llm, view, cancel);
            printer = new Thread(Print, 256 * 1024) { IsBackground = true, Name = "screen" };
            printer.Start();
        }

        public bool WasReady { get; private set; }

        public void Show(ControlReply reply)
        {
            lock (gate)
            {
                if (finished) return;
                if (reply.Type != ControlReply.Ready)
                {
                    waiting.Add(() => view.Show(reply));
                    return;
                }
                WasReady = true;
                if (terminal.Json && reply.State is { } state)
                {
                    waiting.Add(() => terminal.Document(state.Document with { AlreadyRunning = false }, StatusJson.Default.StatusDocument));
                }
                while (held.TryDequeue(out var line)) Add(line);
            }
            _ = WarnOfModel();
        }

        public void Echo(string component, string line)
        {
            lock (gate)
            {
                if (finished) return;
                if (lines == Backlog)
                {
                    leftOut++;
                    return;
                }
                lines++;
                if (WasReady) Add($"{component} | {line}");
                else held.Enqueue($"{component} | {line}");
            }
        }

        /// <summary>Prints what is left, for as long as somebody reads it.</summary>
        public void Finish()
        {
            lock (gate)
            {
                finished = true;
                waiting.CompleteAdding();
            }
            printer.Join(Patience);
        }

        void Add(string line) => waiting.Add(() =>
        {
            Write(line);
            int missing;
            lock (gate)
            {
                lines--;
                missing = lines == 0 ? leftOut : 0;
                leftOut -= missing;
            }
            if (missing > 0) Write($"daemon | {missing} lines are left out here; `stigmer local logs` has them");
        });

        void Print()
        {
            foreach (var print in waiting.GetConsumingEnumerable(CancellationToken.None)) print();
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
