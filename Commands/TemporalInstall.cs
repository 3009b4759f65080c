using System.CommandLine;
using Stigmer.Config;
using Stigmer.Runtime.Temporal;

namespace Stigmer.Commands;

/// <summary><c>stigmer temporal install [VERSION]</c>: brings the managed binary, and replaces one that is not what it should be.</summary>
static class TemporalInstall
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var version = new Argument<string?>("VERSION") { Description = "A release of Temporal's CLI, or the server that it contains; default: what is configured", Arity = ArgumentArity.ZeroOrOne };
        var command = new Command("install", "Download and verify Temporal's CLI, without starting anything") { version };
        command.SetAction((parsed, cancel) => Run(parsed.GetValue(version), Terminal.From(parsed), cancel));
        return command;
    }

    static async Task<int> Run(string? version, Terminal terminal, CancellationToken cancel)
    {
        var settings = TemporalView.Resolve(terminal);
        var meant = version is null ? settings.Temporal.Version : TemporalReleases.Meant(version);
        if (version is not null && meant != version.TrimStart('v')) terminal.Note($"{version} is the version of a Temporal server: the CLI's release {meant} contains it");
        await Install(settings, meant, terminal, cancel);
        return ExitCode.Done;
    }

    /// <summary>Installs that release and says what follows from it.</summary>
    public static async Task Install(Settings settings, string version, Terminal terminal, CancellationToken cancel)
    {
        var home = settings.Home;
        var view = new StartView(terminal);
        TemporalBinary binary;
        bool changed;
        try
        {
            (binary, changed) = await TemporalBinary.Replace(settings.Temporal with { Version = version }, home, new Installing(view.Show, TimeProvider.System), TimeProvider.System, cancel);
        }
        finally
        {
            view.End();
        }
        List<string> notes = [];
        if (TemporalDatabases.AfterInstalling(home, binary) is { } database) notes.Add(database);
        if (await TemporalView.Running(home, cancel) is { Reachable: true } running && running.Version != version)
        {
            var next = version == settings.Temporal.Version ? $": `stigmer local restart` starts v{version}" : "";
            notes.Add($"The stack goes on with the Temporal that it runs{(running.Version is { } old ? $", v{old}" : "")}{next}");
        }
        if (terminal.Json)
        {
            var found = await InstalledTemporal.Look(home, cancel);
            terminal.Document(TemporalView.Document(settings, found, binary.Server) with { Changed = changed, Detail = notes.Count > 0 ? string.Join("; ", notes) : null }, TemporalJson.Default.TemporalDocument);
        }
        terminal.Ok($"Temporal CLI v{version} is {(changed ? "installed" : "installed already")}{(binary.Server is { } server ? $" (server {server})" : "")}: {binary.Path}");
        foreach (var note in notes) terminal.Say($"  {note}");
        if (settings.Temporal.Binary is { } own) terminal.Warn($"STIGMER_TEMPORAL_BIN is set: {own} is started in its place");
        else if (version != settings.Temporal.Version)
        {
            terminal.Warn($"v{settings.Temporal.Version} is configured, and the next start of Temporal brings it back: set temporal.version to {version} to keep this one");
        }
    }
}
