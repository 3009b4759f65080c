using System.Runtime.InteropServices;
using Stigmer.Agents.Activities;
using Stigmer.Agents.Llm;
using Stigmer.Agents.Tools;
using Stigmer.Agents.Worker;
using Stigmer.Config;
using Stigmer.Processes;
using Stigmer.Rpc;
using Stigmer.Rpc.V1;

namespace Stigmer.Agents;

/// <summary>
/// The agent-runner: registers with stigmer-server, then works on what the engine hands out until it is told to end. An
/// outage of either never ends it.
/// </summary>
static class RunnerRole
{
    /// <summary>How long a runner without a supervisor lets what is under way come to its end before it hands it back.</summary>
    static readonly TimeSpan DrainFor = TimeSpan.FromSeconds(25);

    /// <summary>How long it takes at most to give everything back. Together with the above less than 30 s.</summary>
    static readonly TimeSpan HandBackFor = TimeSpan.FromSeconds(4);

    /// <summary>Runs the role; ends with 0 when <paramref name="stop"/> is cancelled.</summary>
    /// <param name="concurrency">Model calls at the same time; null: one for each core.</param>
    /// <exception cref="Failure">Something in the environment is missing or wrong (exit code 2), or nobody lets the runner in.</exception>
    public static async Task<int> Run(int? concurrency, CancellationToken stop)
    {
        var time = TimeProvider.System;
        var log = new Log(ComponentName.Runner, Console.Error, time);
        var notify = Notify.FromEnvironment(Environment.GetEnvironmentVariable, time);
        try
        {
            var options = RunnerOptions.From(Environment.GetEnvironmentVariable, concurrency);
            using var told = CancellationTokenSource.CreateLinkedTokenSource(stop, notify.SupervisorGone);
            using var hurry = new Hurry();
            await Run(options, notify, log, time, told.Token, hurry.Token);
            return ExitCode.Done;
        }
        catch (Failure e)
        {
            notify.Failed(e);
            throw;
        }
        finally
        {
            notify.Close();
        }
    }

    /// <param name="hurry">What is under way is handed back at once.</param>
    static async Task Run(RunnerOptions options, Notify notify, Log log, TimeProvider time, CancellationToken stop, CancellationToken hurry)
    {
        using var serverChannel = Channels.ToServer(options.Server, options.Token, options.ServerTls);
        var embedded = options.Temporal.Address == options.Server;
        using var otherChannel = embedded ? null : Channels.ToTemporal(options.Temporal);
        using var end = new CancellationTokenSource();

        var server = new RunnerServer(serverChannel, options.Life, log, time);
        var slots = new Slots(server, log, time, end.Token);
        var transcripts = new Transcripts(server);
        var models = new RunModels(Environment.GetEnvironmentVariable, (settings, key) => ChatClients.Create(settings, key, time));
        var home = StigmerHome.From(Environment.GetEnvironmentVariable);
        StigmerHome.Ensure(home.Run);
        await using var tools = new ToolOwner(home, Environment.GetEnvironmentVariable, log, time);
        var activities = new TurnActivities(
            new OpenTools(slots, transcripts, tools.Servers.Open, time),
            new CallModel(server, slots, transcripts, models, log, time),
            new CallTool(slots, transcripts, tools.Box.Call, log, time),
            new EndTurn(server));

        TurnWorker? worker = null;
        Queues? queues = null;
        var registration = new Registration(server, Hello, Ended, log, time);

        // Registered until the last result is stored: whoever is away loses its claims.
        var registered = registration.Run(end.Token);
        try
        {
            var engine = new Engine(otherChannel ?? serverChannel, options.Temporal.Namespace, options.Life, workflow => _ = server.Missing(workflow, end.Token), log, time);
            var welcome = await First(registration.Welcome, registered, stop);
            await engine.WaitUntilUsable(stop);
            queues = new Queues(
                TurnWorkflow.Queue(welcome.ServerId), TurnWorkflow.EndQueue(welcome.ServerId), TurnWorkflow.HostQueue(welcome.ServerId, options.HostId));
            worker = new TurnWorker(engine, queues, options.Concurrency, activities.CarryOut, log, time, end.Token);
            Announce(options, queues, log);
            await Work(worker, tools.Own(stop), registered, notify, log, time, stop, hurry);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // Told to end before there was anything to do.
        }
        finally
        {
            await end.CancelAsync();
            await registered.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        void Ended(TurnKey turn)
        {
            worker?.End(attempt => IsOf(attempt, turn), StopReason.TurnEnded);
            // Whichever runner ended it.
            transcripts.Forget(turn.RunId);
            tools.Servers.TurnEnded(turn.RunId, turn.Turn);
        }

        RunnerHello Hello() => new()
        {
            Life = options.Life,
            HostId = options.HostId,
            Queues = { queues?.All ?? [] },
            Replaces = { options.Replaces },
            WorkingOn = { slots.Turns.Union(tools.Servers.Turns) },
            Version = Build.Version,
            Concurrency = options.Concurrency,
        };
    }

    static async Task Work(TurnWorker worker, Task ownsTools, Task registered, Notify notify, Log log, TimeProvider time, CancellationToken stop, CancellationToken hurry)
    {
        using var polling = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var polled = worker.Run(polling.Token, ownsTools);
        await notify.Ready();
        var ended = await Task.WhenAny(polled, registered);
        await polling.CancelAsync();
        try
        {
            await ended;
            await polled;
        }
        finally
        {
            // Under a supervisor another life of this runner goes on at once. Without one what is under way may come to its end.
            var atOnce = notify.IsSupervised || !stop.IsCancellationRequested;
            if (!atOnce) log.Info("told to end: what is under way comes to its end, or is handed back", ("within", DrainFor));
            if (!notify.SupervisorGone.IsCancellationRequested && (atOnce || !await IsDone(worker.Drained(), DrainFor, time, hurry)))
            {
                worker.HandBack();
                if (!await IsDone(worker.Drained(), HandBackFor, time, CancellationToken.None)) log.Warn("not everything could be given back: it comes back by its timeouts");
            }
        }
        log.Info("ended");
    }

    static async Task<bool> IsDone(Task task, TimeSpan within, TimeProvider time, CancellationToken cancel)
    {
        try
        {
            await task.WaitAsync(within, time, cancel);
            return true;
        }
        catch (Exception e) when (e is TimeoutException || cancel.IsCancellationRequested)
        {
            return task.IsCompleted;
        }
    }

    /// <summary>A second SIGTERM: who sends it does not want to wait for what is under way.</summary>
    sealed class Hurry : IDisposable
    {
        readonly CancellationTokenSource source = new();
        readonly PosixSignalRegistration registration;
        int signals;

        public Hurry() => registration = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context =>
        {
            context.Cancel = true;
            if (Interlocked.Increment(ref signals) > 1) source.Cancel();
        });

        public CancellationToken Token => source.Token;

        public void Dispose()
        {
            registration.Dispose();
            source.Dispose();
        }
    }

    /// <summary>The result, or the failure of what it depends on.</summary>
    static async Task<T> First<T>(Task<T> result, Task dependsOn, CancellationToken stop)
    {
        await Task.WhenAny(result, dependsOn).WaitAsync(stop);
        if (dependsOn.IsFaulted) await dependsOn;
        return await result.WaitAsync(stop);
    }

    static bool IsOf(Attempt attempt, TurnKey turn) =>
        attempt.Task.ActivityType.Name != ActivityName.EndTurn && TurnWorkflow.IsOf(attempt.WorkflowId, turn.RunId, turn.Turn, turn.Life);

    static void Announce(RunnerOptions options, Queues queues, Log log) => log.Info(
        "started",
        ("mode", options.Mode),
        ("provider", options.Llm.Provider.Name()),
        ("model", options.Llm.Model),
        ("base_url", options.Llm.BaseUrl),
        ("temporal", options.Temporal.Address),
        ("namespace", options.Temporal.Namespace),
        ("queues", string.Join(' ', queues.All)),
        ("server", options.Server),
        ("concurrency", options.Concurrency),
        ("life", options.Life));
}
