using System.CommandLine;
using System.Globalization;
using Stigmer.Config;
using Stigmer.Runtime.Temporal;

namespace Stigmer.Commands;

/// <summary><c>stigmer temporal version</c>: what is installed, and whether it is what was downloaded. Exit code 1 where it would not be started.</summary>
static class TemporalVersion
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("version", "Show the installed release of Temporal's CLI, and whether it is what was downloaded");
        command.SetAction((parsed, cancel) => Run(Terminal.From(parsed), cancel));
        return command;
    }

    static async Task<int> Run(Terminal terminal, CancellationToken cancel)
    {
        var settings = TemporalView.Resolve(terminal);
        var found = await InstalledTemporal.Look(settings.Home, cancel);
        var sound = found.Soundness is Soundness.Sound;
        // What is not what it should be is not run, not even to ask it.
        var server = settings.Temporal.Binary is { } own ? await TemporalServerVersion.Ask(own, TimeProvider.System, cancel)
            : found.Record?.Server ?? (sound ? await TemporalServerVersion.Ask(settings.Home.TemporalBinary, TimeProvider.System, cancel) : null);
        var document = TemporalView.Document(settings, found, server);
        if (terminal.Json) terminal.Document(document, TemporalJson.Default.TemporalDocument);
        else Show(document, found.Record, settings, terminal);
        return document.Sound == false || !document.Installed ? ExitCode.Failed : ExitCode.Done;
    }

    static void Show(TemporalDocument document, TemporalRecord? record, Settings settings, Terminal terminal)
    {
        if (!document.Installed)
        {
            terminal.Line($"Temporal CLI is not installed: `stigmer temporal install` downloads v{settings.Temporal.Version}");
            return;
        }
        terminal.Line($"Temporal CLI {document.Version ?? "of unknown version"}{(document.Server is { } server ? $" (server {server})" : "")}");
        terminal.Line($"  Path:   {document.Path}");
        if (document.Sound is not null && record is not null) terminal.Line(string.Create(CultureInfo.InvariantCulture, $"  From:   {record.Url}, {record.Date.ToLocalTime():yyyy-MM-dd HH:mm}"));
        if (document.Sound == true) terminal.Line($"  Check:  {terminal.OkSymbol} it is what was downloaded");
        if (document.Sound == false) terminal.Line($"  Check:  {terminal.ErrorSymbol} {document.Detail}");
        else if (document.Detail is { } detail) terminal.Warn(detail);
    }
}
