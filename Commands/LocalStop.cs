using System.CommandLine;
using Stigmer.Config;
using Stigmer.Runtime;

namespace Stigmer.Commands;

/// <summary><c>stigmer local stop</c>: ends everything in order. Nothing running is no failure.</summary>
static class LocalStop
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var timeout = Duration.Option("--timeout", "How long each component may take before it is killed (default: 10s)");
        var command = new Command("stop", "Stop the stack") { timeout };
        command.SetAction((parsed, cancel) => Run(parsed.GetValue(timeout) ?? Daemon.DefaultGrace, Terminal.From(parsed), cancel));
        return command;
    }

    static async Task<int> Run(TimeSpan grace, Terminal terminal, CancellationToken cancel)
    {
        var home = StigmerHome.From(Environment.GetEnvironmentVariable);
        var stopped = await Launcher.Stop(home, grace, () => terminal.Say("Stopping daemon..."), TimeProvider.System, cancel, CommandOrder.OfThisProcess());
        if (terminal.Json) terminal.Document(new StopDocument(stopped), StatusJson.Default.StopDocument);
        else if (stopped) terminal.Ok("Daemon stopped successfully");
        else terminal.Say("Daemon is not running");
        return ExitCode.Done;
    }
}
