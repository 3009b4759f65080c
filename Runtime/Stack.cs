using System.Globalization;
using Stigmer.Config;
using Stigmer.Processes;
using Stigmer.Rpc;
using Stigmer.Runtime.Control;
using Stigmer.Runtime.Supervision;
using Stigmer.Runtime.Temporal;

namespace Stigmer.Runtime;

/// <summary>The components of one stack: started in order, kept alive, stopped in order.</summary>
/// <param name="order">What to start.</param>
/// <param name="logs">Where the components' output goes.</param>
/// <param name="time">The clock.</param>
sealed class Stack(StartOrder order, StackLogs logs, TimeProvider time) : IDisposable
{
    /// <summary>So many lives of the runner are handed on: one that was killed before it had registered hands on what it was handed.</summary>
    const int LivesKept = 8;

    readonly Settings settings = order.Settings;
    readonly StigmerHome home = order.Settings.Home;
    readonly Lock gate = new();
    // Also of a daemon that was killed: whoever begins this stack has seen to it that nothing of that one is left.
    readonly List<string> lives = [.. StateFiles.ReadChildren(order.Settings.Home.Children).Lives];
    readonly string mark = RandomId.New();
    readonly Dictionary<string, string> environment = ChildEnvironment.Clean(Environment.GetEnvironmentVariables());
    readonly DateTimeOffset startedAt = time.GetUtcNow();
    volatile Component? temporal, server, runner;
    TemporalHealth? temporalHealth;
    TemporalMode engine = order.Settings.Temporal.Mode;
    string? engineDetail;
    TemporalDevServer? devServer;
    string? token;

    /// <summary>Where stigmer-server listens; with the port that it really has, once it has said so.</summary>
    HostPort Endpoint => settings.Endpoint with { Port = server?.State.Port ?? settings.Endpoint.Port };

    IEnumerable<Component> Components => new[] { temporal, server, runner }.OfType<Component>();

    /// <summary>The latest lives of the agent-runner, the present one last: the next daemon hands them on.</summary>
    public IReadOnlyList<string> Lives
    {
        get
        {
            lock (gate) return [.. lives];
        }
    }

    /// <summary>
    /// Starts everything and completes when it is ready. Fails with what hinders it; what was started then still runs, and is
    /// for <see cref="Stop"/> to end.
    /// </summary>
    /// <param name="tell">Is told each step when it is true.</param>
    public async Task Start(Action<ControlReply> tell, CancellationToken cancel)
    {
        using var clock = new StartClock(TimeSpan.FromMilliseconds(order.TimeoutMs), time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancel, clock.Elapsed);
        try
        {
            await Start(tell, clock, both.Token);
        }
        catch (OperationCanceledException) when (clock.Elapsed.IsCancellationRequested && !cancel.IsCancellationRequested)
        {
            throw TookTooLong();
        }
    }

    /// <summary>Stops everything: runner, Temporal, server. What does not end within the grace is killed.</summary>
    public async Task Stop(TimeSpan grace)
    {
        foreach (var component in new[] { runner, temporal, server }) await (component?.Stop(grace) ?? Task.CompletedTask);
    }

    /// <summary>Ends what was started, all at once: nothing has been done with it yet that would need an order.</summary>
    public Task Undo(TimeSpan grace) => Task.WhenAll(Components.Select(c => c.Stop(grace)));

    /// <summary>To be called every <see cref="Notify.Beat"/>: finds components that hang.</summary>
    /// <param name="ran">See <see cref="Component.Look"/>.</param>
    public void Look(bool ran)
    {
        foreach (var component in Components) component.Look(ran);
    }

    /// <summary>Completes when a component of a stack that was started is given up, with why.</summary>
    public async Task<Failure> GivenUp(CancellationToken cancel)
    {
        var components = Components.ToList();
        var first = await Task.WhenAny(components.Select(c => c.Until(s => s.Phase == ChildPhase.Failed, cancel)));
        await first;
        return await components.First(c => c.State.Phase == ChildPhase.Failed).WhyGivenUp();
    }

    /// <inheritdoc/>
    public void Dispose() => temporalHealth?.Dispose();

    /// <summary>What there is to see.</summary>
    /// <param name="phase">What the daemon as a whole is doing.</param>
    public StackState State(string phase)
    {
        var components = Components.Select(Status).ToList();
        var ready = phase == DaemonPhase.Ready && components.TrueForAll(c => c.State == "ready");
        var llm = settings.Llm;
        var document = new StatusDocument
        {
            Running = true,
            Ready = ready,
            Pid = Environment.ProcessId,
            StartedAt = startedAt.UtcDateTime,
            Version = Build.Version,
            Endpoint = Endpoint.ToString(),
            Home = home.Root,
            DataDir = settings.DataDir,
            Llm = LlmStatus.Of(llm),
            Temporal = TemporalStatus(),
            Components = components,
        };
        return new StackState(document, phase, EngineName.Of(engine), settings.Values.Where(v => !v.Origin.StartsWith("--", StringComparison.Ordinal)).ToDictionary(v => v.Key, v => v.Value));
    }

    /// <summary>The external Temporal, which nobody of ours watches: what there is to see at this moment.</summary>
    public async Task<TemporalStatus> LookAtEngine(CancellationToken cancel)
    {
        var known = TemporalStatus();
        if (engine != TemporalMode.External) return known;
        var (reachable, running, why) = await TemporalReadiness.Look(Connection(settings.Endpoint), time, cancel);
        return known with { Reachable = reachable, RunningWorkflows = running, Detail = why };
    }

    async Task Start(Action<ControlReply> tell, StartClock clock, CancellationToken cancel)
    {
        void Line(string text) => tell(new ControlReply { Type = ControlReply.Line, Text = text });

        environment["STIGMER_HOME"] = home.Root;
        environment[Leftovers.Mark] = mark;
        if (Ports.Check(settings.Endpoint, ComponentName.Server, "backend.local.endpoint") is { } taken) throw taken;
        token = home.ReadOrMakeToken();
        switch (engine)
        {
            case TemporalMode.Managed:
                await StartTemporal(tell, clock, cancel);
                break;
            case TemporalMode.External:
                await TemporalReadiness.Check(Connection(settings.Endpoint), time, cancel);
                Line($"Using external Temporal at {settings.Temporal.Address}");
                break;
        }
        if (engine == TemporalMode.Embedded) Line("Using the embedded engine");

        server = Add(ComponentName.Server, ServerChild);
        server.Start();
        Line("Starting stigmer-server...");
        // The runner needs no more than a port that takes connections: from there on the two come up side by side.
        await server.Until(s => s.Port is not null || s.Phase is ChildPhase.Ready or ChildPhase.Failed, cancel);
        if (server.State.Phase != ChildPhase.Failed)
        {
            runner = Add(ComponentName.Runner, RunnerChild);
            runner.Start();
            Line("Starting agent-runner...");
        }
        await AllReady([server, .. runner is null ? (Component[])[] : [runner]], cancel);
        Line($"Ready! Stigmer is running on {Endpoint}");
        if (engine == TemporalMode.External) Line("Daemon started successfully");
    }

    async Task StartTemporal(Action<ControlReply> tell, StartClock clock, CancellationToken cancel)
    {
        void Line(string text) => tell(new ControlReply { Type = ControlReply.Line, Text = text });

        var wanted = settings.Temporal;
        devServer = new TemporalDevServer(settings, logs.Daemon, time);
        // True once its binary is there or on its way: until then the embedded engine may come to take its place.
        var said = false;
        void Begin()
        {
            if (!said) Line("Starting managed Temporal server...");
            said = true;
        }
        TemporalBinary binary;
        try
        {
            binary = await TemporalBinary.Acquire(wanted, home, null, new Installing(tell, time, Begin, clock), cancel);
        }
        catch (TemporalUnavailable why) when (wanted.IsDefault)
        {
            (engine, engineDetail) = (TemporalMode.Embedded, why.Message);
            tell(new ControlReply { Type = ControlReply.Warning, Text = $"{why.Message}: using the embedded engine" });
            return;
        }
        finally
        {
            clock.Go();
        }
        Begin();
        foreach (var warning in devServer.Use(binary)) tell(new ControlReply { Type = ControlReply.Warning, Text = warning });
        temporalHealth = new TemporalHealth(new TemporalConnection(devServer.Address, settings.Temporal.Namespace));
        temporal = Add(ComponentName.Temporal, _ => devServer.Child(environment), devServer.WhenReady, temporalHealth.Check);
        temporal.Start();
        await temporal.UntilReady(cancel);
        Line($"Temporal started on {devServer.Address}");
    }

    Component Add(
        string name, Func<ChildState, ChildSpec> child, Func<CancellationToken, Task>? whenReady = null, Func<CancellationToken, Task>? health = null) => new(
        new ComponentSpec { Name = name, Child = child, WhenReady = whenReady, Health = health }, logs.Of(name), logs.Daemon, time, _ => WriteChildren());

    ChildSpec ServerChild(ChildState state)
    {
        // Whatever became of it, it gets the port back that others know it by.
        var listen = settings.Endpoint with { Port = state.Port ?? settings.Endpoint.Port };
        return Role(
            ["server", "--listen", listen.ToString()],
            ChildEnvironment.Server(environment, settings, token!, engine, engine == TemporalMode.Embedded ? null : Connection(listen)));
    }

    ChildSpec RunnerChild(ChildState state)
    {
        var life = RandomId.New();
        List<string> replaces;
        lock (gate)
        {
            replaces = [.. lives];
            lives.Add(life);
            if (lives.Count > LivesKept) lives.RemoveAt(0);
        }
        return Role(["agent-runner"], ChildEnvironment.Runner(environment, order, token!, Endpoint, Connection(Endpoint), life, replaces));
    }

    ChildSpec Role(string[] arguments, Dictionary<string, string> environment)
    {
        var command = OwnExecutable.Command(arguments);
        return new ChildSpec
        {
            Path = command[0],
            Arguments = [.. command.Skip(1)],
            Environment = environment,
            WorkingDirectory = home.Root,
            PipeInput = true,
            Notifies = true,
        };
    }

    TemporalConnection Connection(HostPort serverAddress) => engine switch
    {
        TemporalMode.Managed => new TemporalConnection(devServer!.Address, settings.Temporal.Namespace),
        TemporalMode.External => TemporalConnection.External(settings.Temporal),
        // The engine inside the server has this one namespace.
        _ => new TemporalConnection(serverAddress, "default"),
    };

    static async Task AllReady(IReadOnlyList<Component> components, CancellationToken cancel)
    {
        var waiting = components.Select(c => c.UntilReady(cancel)).ToList();
        while (waiting.Count > 0)
        {
            // The first failure counts: another component may wait for this one for ever.
            var done = await Task.WhenAny(waiting);
            waiting.Remove(done);
            await done;
        }
    }

    Failure TookTooLong()
    {
        var late = Components.FirstOrDefault(c => c.State.Phase != ChildPhase.Ready);
        var seconds = (order.TimeoutMs / 1000.0).ToString("0.#", CultureInfo.InvariantCulture);
        if (late is null) return new Failure($"Stigmer was not ready within {seconds} s", null, "`stigmer local start --timeout 5m` waits longer");
        var detail = (late.State.Detail + late.LastLines()).TrimStart(';', ' ');
        return new Failure($"{late.Name} was not ready within {seconds} s", detail, $"`stigmer local logs {late.Name}` shows all that it said");
    }

    void WriteChildren()
    {
        lock (gate)
        {
            try
            {
                NameChildren();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // A full disk ends no component: without the files only a daemon that is killed leaves something to look for.
                logs.Daemon.Warn("the children's names cannot be written", ("why", e.Message));
            }
        }
    }

    void NameChildren()
    {
        var all = new List<NamedProcess>();
        foreach (var component in Components)
        {
            var process = component.Child is { } child ? NamedProcess.From(component.Name, child.Identity, home) : null;
            if (process is not null) all.Add(process);
            if (component.Name == ComponentName.Temporal) StateFiles.WriteProcess(home.TemporalPid, process);
        }
        StateFiles.WriteChildren(home.Children, new ChildrenDocument(all, lives, mark));
    }

    TemporalStatus TemporalStatus() => engine switch
    {
        TemporalMode.Managed => new TemporalStatus(
            EngineName.Managed, (devServer?.Address ?? new HostPort("localhost", settings.Temporal.Port)).ToString(), settings.Temporal.Namespace, devServer?.Version,
            temporal?.State.Phase == ChildPhase.Ready, null, devServer?.Ui, devServer?.Detail),
        TemporalMode.External => new TemporalStatus(EngineName.External, settings.Temporal.Address.ToString(), settings.Temporal.Namespace, null, null, null, null, engineDetail),
        _ => new TemporalStatus(EngineName.Embedded, Endpoint.ToString(), "default", null, server?.State.Phase == ChildPhase.Ready, null, null, engineDetail),
    };

    static ComponentStatus Status(Component component)
    {
        var state = component.State;
        var name = state.Phase switch
        {
            ChildPhase.Starting => state.Restarts > 0 ? "restarting" : "starting",
            ChildPhase.Ready => "ready",
            ChildPhase.Unhealthy or ChildPhase.Ending => "unhealthy",
            ChildPhase.Waiting => "restarting",
            ChildPhase.Failed => "failed",
            _ => "stopped",
        };
        return new ComponentStatus(component.Name, state.Pid, name, state.Restarts, state.Since.Clock.UtcDateTime, state.Phase == ChildPhase.Failed ? state.Detail + component.LastLines() : state.Detail);
    }
}
