using System.CommandLine;
using Stigmer.Config;
using Stigmer.Rpc;
using Stigmer.Runtime;
using Stigmer.Runtime.Control;
using Stigmer.Runtime.Temporal;

namespace Stigmer.Commands;

/// <summary>
/// <c>stigmer local restart</c>: reads configuration and secrets afresh, and only then stops what runs and starts it again.
/// </summary>
static class LocalRestart
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("restart", "Read the configuration afresh, then stop and start the stack");
        var options = new StartOptions(command);
        command.SetAction((parsed, cancel) => Run(options.Read(parsed), Terminal.From(parsed), cancel));
        return command;
    }

    static async Task<int> Run(StartRequest request, Terminal terminal, CancellationToken cancel)
    {
        var settings = LocalStart.Resolve(request, terminal);
        if (request.Pull) await LlmPull.IfMissing(settings.Llm, terminal, cancel);
        var view = new StartView(terminal);
        var order = await LocalStart.Order(settings, request.Timeout, view, terminal, cancel);
        var (running, hangs) = await Running(settings.Home, cancel);
        // One that hangs, or is itself about to install, is not worth waiting for.
        if (running is { Phase: DaemonPhase.Ready }) await HaveTemporal(settings, view, cancel);
        if (running is not null && request.Flags is { Embedded: false, Managed: false }) WarnOfEngine(running, settings.Temporal, terminal);
        await Launcher.Stop(settings.Home, Daemon.DefaultGrace, () => { }, TimeProvider.System, cancel, hangs: hangs);
        // Its second half is given when the first is done: of two restarts at once neither calls off the other's start.
        order = order with { Begun = CommandOrder.Now() };
        if (request.Foreground) return await LocalForeground.Run(order, view, terminal, cancel);
        var launched = await LocalStart.Start(order, view, cancel);
        terminal.Ok("Daemon restarted successfully");
        await LocalStart.Report(launched.State, alreadyRunning: false, terminal, cancel);
        return ExitCode.Done;
    }

    /// <summary>
    /// Brings the binary that the new stack starts while the old one still runs, which a binary that is altered, or a version
    /// that is not to be had, then leaves alone; so does a Temporal of others that cannot be used. The old one's process keeps
    /// the file that it was started from.
    /// </summary>
    static async Task HaveTemporal(Settings settings, StartView view, CancellationToken cancel)
    {
        if (settings.Temporal.Mode == TemporalMode.External) await TemporalReadiness.Check(TemporalConnection.External(settings.Temporal), TimeProvider.System, cancel);
        if (settings.Temporal.Mode != TemporalMode.Managed) return;
        try
        {
            await TemporalBinary.Acquire(settings.Temporal, settings.Home, null, new Installing(view.Show, TimeProvider.System), cancel);
        }
        catch (TemporalUnavailable) when (settings.Temporal.IsDefault)
        {
            // The start says so, and goes on with the embedded engine.
        }
        finally
        {
            view.End();
        }
    }

    static async Task<(StackState? State, bool Hangs)> Running(StigmerHome home, CancellationToken cancel)
    {
        try
        {
            return (await Launcher.Status(home, TimeProvider.System, cancel), false);
        }
        catch (Failure)
        {
            return (null, true); // Which restarting is for.
        }
    }

    /// <summary>A flag of the last start is not remembered. A fall-back to the embedded engine is no change.</summary>
    static void WarnOfEngine(StackState running, TemporalSettings now, Terminal terminal)
    {
        var next = EngineName.Of(now.Mode);
        if (next == running.Engine || (running.Document.Temporal?.Detail is not null && now.IsDefault)) return;
        terminal.Warn($"The engine changes from {running.Engine} to {next}, as the configuration says");
    }
}
