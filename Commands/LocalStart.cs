using System.CommandLine;
using Stigmer.Config;
using Stigmer.Runtime;
using Stigmer.Runtime.Control;

namespace Stigmer.Commands;

/// <summary><c>stigmer local</c>, <c>stigmer local start</c>: starts the stack and leaves when everything is ready.</summary>
static class LocalStart
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("start", "Start the stack; returns when everything is ready");
        AddTo(command);
        return command;
    }

    /// <summary>Makes a command start the stack.</summary>
    public static void AddTo(Command command)
    {
        var options = new StartOptions(command);
        command.SetAction((parsed, cancel) => Run(options.Read(parsed), Terminal.From(parsed), cancel));
    }

    /// <summary>For commands that need a stack: starts it if none runs, with one line on standard error.</summary>
    public static async Task<StackState> EnsureRunning(Settings settings, Terminal terminal, CancellationToken cancel)
    {
        if (await Launcher.Status(settings.Home, TimeProvider.System, cancel) is { Phase: DaemonPhase.Ready } running) return running;
        terminal.Note("Starting the stack (`stigmer local stop` ends it)...");
        var view = new StartView(terminal, toError: true);
        var order = await Order(settings, StartOptions.DefaultTimeout, view, terminal, cancel);
        // A conversation may have begun before the stop of the stack that it had.
        order = order with { Begun = CommandOrder.Now() };
        return (await Launcher.Start(order, view.Show, TimeProvider.System, cancel)).State;
    }

    static async Task<int> Run(StartRequest request, Terminal terminal, CancellationToken cancel)
    {
        var settings = Resolve(request, terminal);
        if (request.Pull) await LlmPull.IfMissing(settings.Llm, terminal, cancel);
        if (request.Foreground) return await LocalForeground.Run(settings, request.Timeout, terminal, cancel);
        // Whoever runs already needs no key.
        if (await Launcher.Status(settings.Home, TimeProvider.System, cancel) is { Phase: DaemonPhase.Ready } running)
        {
            return await AlreadyRunning(running, settings, request, terminal, cancel);
        }
        var view = new StartView(terminal);
        var order = await Order(settings, request.Timeout, view, terminal, cancel);
        var launched = await Start(order, view, cancel);
        if (launched.AlreadyRunning) return await AlreadyRunning(launched.State, settings, request, terminal, cancel);
        // The start of somebody else, that this one joined.
        CheckEngine(launched.State, request.Flags);
        await Report(launched.State, alreadyRunning: false, terminal, cancel);
        return ExitCode.Done;
    }

    /// <summary>Configuration, with its warnings said.</summary>
    public static Settings Resolve(StartRequest request, Terminal terminal)
    {
        var settings = Configuration.Resolve(Environment.GetEnvironmentVariable, request.Flags);
        foreach (var warning in settings.Warnings) terminal.Warn(warning);
        return settings;
    }

    /// <summary>Everything that a start needs, the keys among it; a line says what was found.</summary>
    public static async Task<StartOrder> Order(Settings settings, TimeSpan timeout, StartView view, Terminal terminal, CancellationToken cancel)
    {
        var provider = settings.Llm.Provider;
        var (keys, line) = await Secrets.Obtain(provider, settings.Llm.BaseUrl, Environment.GetEnvironmentVariable, terminal.CanPrompt ? terminal.AskSecret : null, cancel);
        view.Ok(line);
        return new StartOrder { Settings = settings, Keys = keys, TimeoutMs = (long)timeout.TotalMilliseconds, Begun = terminal.CanPrompt ? CommandOrder.Now() : CommandOrder.OfThisProcess() };
    }

    /// <summary>Starts and shows it.</summary>
    public static async Task<Launched> Start(StartOrder order, StartView view, CancellationToken cancel)
    {
        try
        {
            return await Launcher.Start(order, view.Show, TimeProvider.System, cancel);
        }
        finally
        {
            view.End();
        }
    }

    /// <summary>The document of a stack that is ready, or the warning about a model that does not answer.</summary>
    public static async Task Report(StackState state, bool alreadyRunning, Terminal terminal, CancellationToken cancel)
    {
        if (terminal.Json)
        {
            var document = await StatusChecks.Complete(state.Document, cancel);
            terminal.Document(document with { AlreadyRunning = alreadyRunning }, StatusJson.Default.StatusDocument);
            return;
        }
        if (alreadyRunning || state.Document.Llm is not { } llm) return;
        try
        {
            await StatusChecks.WarnOfModel(llm, terminal, cancel, offersPull: true);
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            // The stack is ready, and has been said to be: who does not wait for a warning has not undone anything.
        }
    }

    static async Task<int> AlreadyRunning(StackState running, Settings settings, StartRequest request, Terminal terminal, CancellationToken cancel)
    {
        CheckEngine(running, request.Flags);
        terminal.Ok($"Stigmer is already running on {running.Document.Endpoint}");
        var changed = Differences(running.Values, settings.Values);
        if (changed.Count > 0) terminal.Warn($"Configured otherwise since it was started: {string.Join(", ", changed)}: `stigmer local restart` puts that in force");
        if (running.Document.Version != Build.Version)
        {
            terminal.Warn($"The stack that runs is of version {running.Document.Version}, this is {Build.Version}: `stigmer local restart` brings both to the same one");
        }
        foreach (var component in running.Document.Components.Where(c => c.State == "failed"))
        {
            terminal.Warn($"{component.Name} does not run: {component.Detail}\n  `stigmer local restart` starts it again");
        }
        await Report(running, alreadyRunning: true, terminal, cancel);
        return ExitCode.Done;
    }

    static void CheckEngine(StackState running, Flags flags)
    {
        var asked = flags.Embedded ? EngineName.Embedded : flags.Managed ? EngineName.Managed : running.Engine;
        if (asked == running.Engine) return;
        throw new Failure(
            $"Stigmer is already running on {running.Document.Endpoint} with the {running.Engine} engine", $"--{asked} names another one",
            $"`stigmer local restart --{asked}` changes it");
    }

    /// <summary>The keys whose values are others now, each with both.</summary>
    public static IReadOnlyList<string> Differences(IReadOnlyDictionary<string, string?> running, IReadOnlyList<ResolvedValue> now) =>
        [.. now.Where(v => running.TryGetValue(v.Key, out var then) && then != v.Value).Select(v => $"{Schema.Short(v.Key)} is {v.Value ?? "unset"} (was {running[v.Key] ?? "unset"})")];
}
