using System.Runtime.InteropServices;
using Stigmer.Config;
using Stigmer.Processes;
using Stigmer.Rpc;
using Stigmer.Rpc.Temporal;
using Stigmer.Server.Api;
using Stigmer.Server.Engine;
using Stigmer.Server.Outbox;
using Stigmer.Server.Runs;
using Stigmer.Server.Storage;

namespace Stigmer.Server;

/// <summary>The stigmer-server role: the record of runs, its API, and where it is asked for the engine itself.</summary>
static class ServerRole
{
    /// <summary>Serves until it is cancelled, is sent SIGTERM or SIGINT, or its supervisor dies; the exit code.</summary>
    /// <exception cref="Failure">It cannot start.</exception>
    public static async Task<int> Run(ServerOptions options, CancellationToken cancel)
    {
        var time = TimeProvider.System;
        var log = new Log(ComponentName.Server, Console.Error, time);
        var notify = Notify.FromEnvironment(Environment.GetEnvironmentVariable, time);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancel, notify.SupervisorGone);
        void OnSignal(PosixSignalContext context)
        {
            context.Cancel = true;
            stop.Cancel();
        }
        using var term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);
        try
        {
            await Serve(options, Environment.GetEnvironmentVariable, time, log, port => notify.Ready(port), stop.Token, notify.Port);
            return ExitCode.Done;
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            return ExitCode.Done;
        }
        catch (Failure failure)
        {
            notify.Failed(failure);
            throw;
        }
        finally
        {
            notify.Close();
        }
    }

    /// <summary>
    /// Serves until <paramref name="stop"/>: then long polls and watchers end at once and the database is closed.
    /// </summary>
    /// <param name="ready">Called with the port once the API serves.</param>
    /// <param name="listening">Called with the port once it takes connections, which are answered a little later.</param>
    internal static async Task Serve(
        ServerOptions options, Func<string, string?> environment, TimeProvider time, Log log, Func<int, Task> ready, CancellationToken stop,
        Action<int>? listening = null)
    {
        var home = StigmerHome.From(environment);
        var dataDir = StigmerHome.DataOf(environment);
        StigmerHome.Ensure(home.Root);
        StigmerHome.Ensure(dataDir);
        var token = environment("STIGMER_TOKEN") is { Length: > 0 } given ? given : home.ReadOrMakeToken();
        var temporal = TemporalConnection.From(environment);
        var kind = EngineKind(environment("STIGMER_ENGINE"), temporal);

        using var owned = DataLock.Take(dataDir);
        using var listener = Listener.Bind(options.Listen);
        listening?.Invoke(listener.Port);
        await using var database = Database.Open(Path.Combine(dataDir, "stigmer.db"), log);
        await using var engine = kind == EngineName.Embedded ? new EmbeddedEngine(database, time, log) : null;
        if (engine is not null) await engine.Start();
        var store = await RunStore.Open(database, HostId.In(dataDir), time, log);
        // The server asks its own engine over the wire, as it would any other; with TLS in front on a port that nobody else is told of.
        using var inner = kind == EngineName.Embedded && options.TlsCert is not null ? Listener.Bind(new HostPort("127.0.0.1", 0)) : null;
        if (kind == EngineName.Embedded) temporal = new TemporalConnection((inner ?? listener).Address, "default", token);

        using var channel = Channels.ToTemporal(temporal!);
        var client = new EngineClient(new WorkflowService.WorkflowServiceClient(channel), temporal!.Namespace, $"stigmer-server-{store.ServerId}");
        var link = new EngineLink(store, client, new Neighbours(store, client, $"{temporal.Address}", dataDir, time), kind, $"{temporal.Address}", time, log);
        store.OutboxChanged = link.Wake;
        if (engine is not null) store.WorkerGone = engine.WorkerGone;

        using var stopping = CancellationTokenSource.CreateLinkedTokenSource(stop);
        await using var api = await ApiServer.Start(options, listener, inner, token, store, link.Missing, engine, log, stopping.Token);
        log.Info("stigmer-server serves", ("version", Build.Version), ("address", options.Listen with { Port = listener.Port }), ("engine", kind), ("temporal", temporal.Address), ("data", dataDir), ("server", store.ServerId));
        await ready(listener.Port);

        var driving = link.Run(stopping.Token);
        try
        {
            await Task.Delay(Timeout.Infinite, stop);
        }
        catch (OperationCanceledException)
        {
            log.Info("stigmer-server is being stopped");
        }
        engine?.EndPolls();
        await api.Stop();
        await driving;
        store.Runners.Dispose();
    }

    static string EngineKind(string? set, TemporalConnection? temporal) => set switch
    {
        null or "" => temporal is null ? EngineName.Embedded : EngineName.External,
        EngineName.Embedded => set,
        EngineName.Managed or EngineName.External when temporal is not null => set,
        EngineName.Managed or EngineName.External => throw new Failure(
            "There is no Temporal to use", $"STIGMER_ENGINE is {set}, but TEMPORAL_SERVICE_ADDRESS is not set", "Set it to something like localhost:7233", ExitCode.Usage),
        _ => throw new Failure("STIGMER_ENGINE is not an engine", $"it is '{set}'", "Set it to managed, external or embedded, or unset it", ExitCode.Usage),
    };
}
