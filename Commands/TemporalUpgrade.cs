using System.CommandLine;
using Stigmer.Config;
using Stigmer.Runtime.Temporal;

namespace Stigmer.Commands;

/// <summary><c>stigmer temporal upgrade</c>: installs the configured release where what is installed is older.</summary>
static class TemporalUpgrade
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("upgrade", "Install the configured release of Temporal's CLI where an older one is installed");
        command.SetAction((parsed, cancel) => Run(Terminal.From(parsed), cancel));
        return command;
    }

    static async Task<int> Run(Terminal terminal, CancellationToken cancel)
    {
        var settings = TemporalView.Resolve(terminal);
        var found = await InstalledTemporal.Look(settings.Home, cancel);
        if (found.Complaint(settings.Home) is { } complaint && found.Record?.Version == settings.Temporal.Version)
        {
            throw new Failure($"Temporal CLI v{settings.Temporal.Version} is not upgraded", complaint, "`stigmer temporal install` puts a sound one in its place");
        }
        if (found is { Soundness: Soundness.Sound, Record: { } record } && TemporalReleases.Compare(record.Version, settings.Temporal.Version) >= 0)
        {
            var newer = record.Version != settings.Temporal.Version;
            if (terminal.Json) terminal.Document(TemporalView.Document(settings, found, record.Server) with { Changed = false }, TemporalJson.Default.TemporalDocument);
            terminal.Ok($"Temporal CLI v{record.Version} is {(newer ? $"newer than v{settings.Temporal.Version}, which is configured" : "up to date")}");
            return ExitCode.Done;
        }
        await TemporalInstall.Install(settings, settings.Temporal.Version, terminal, cancel);
        return ExitCode.Done;
    }
}
