using System.CommandLine;
using System.Globalization;
using Stigmer.Config;
using Stigmer.Runtime;

namespace Stigmer.Commands;

/// <summary><c>stigmer local status</c>: what runs, how healthy it is, which model and which engine.</summary>
static class LocalStatus
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("status", "Show what runs and how healthy it is");
        command.SetAction((parsed, cancel) => Run(Terminal.From(parsed), cancel));
        return command;
    }

    static async Task<int> Run(Terminal terminal, CancellationToken cancel)
    {
        var home = StigmerHome.From(Environment.GetEnvironmentVariable);
        StatusDocument document;
        string? concern = null;
        try
        {
            var state = await Launcher.Status(home, TimeProvider.System, cancel);
            var settings = state is null ? Configuration.Resolve(Environment.GetEnvironmentVariable, new Flags()) : null;
            var looking = state is null
                ? TemporalView.Concern(home, EngineName.Of(settings!.Temporal.Mode), settings.Temporal.Binary, null, cancel)
                : TemporalView.Concern(home, state.Engine, state.Values.GetValueOrDefault("STIGMER_TEMPORAL_BIN"), state.Document.Temporal?.Version, cancel);
            document = state is null ? NotSpoken(settings!) : await StatusChecks.Complete(state.Document, cancel);
            concern = await looking;
        }
        catch (Failure hung) when (DaemonLock.IsHeld(home))
        {
            terminal.Warn($"{hung.Message}: {hung.Remedy}");
            document = Hung(NotSpoken(Configuration.Resolve(Environment.GetEnvironmentVariable, new Flags())), home);
        }
        if (concern is not null) terminal.Warn(concern);
        if (terminal.Json && concern is not null && document.Temporal is { } temporal) document = document with { Temporal = temporal with { Detail = temporal.Detail is { } known ? $"{concern}; {known}" : concern } };
        if (terminal.Json) terminal.Document(document, StatusJson.Default.StatusDocument);
        else Show(document, terminal);
        return !document.Running ? ExitCode.NotRunning : document.Ready ? ExitCode.Done : ExitCode.Failed;
    }

    /// <summary>A stack whose daemon does not answer, from what it left in its files.</summary>
    static StatusDocument Hung(StatusDocument stopped, StigmerHome home) => stopped with
    {
        Running = true,
        Pid = (DaemonLock.Holder(home) ?? StateFiles.ReadProcess(home.DaemonPid)?.Identity)?.Pid,
        Components = [.. StateFiles.ReadChildren(home.Children).Children.Select(c => new ComponentStatus(c.Name, c.Pid, "unhealthy", 0, File.GetLastWriteTimeUtc(home.Children), "its supervisor does not answer"))],
    };

    /// <summary>What there is to tell without a daemon: a stopped stack.</summary>
    static StatusDocument NotSpoken(Settings settings) => new()
    {
        Running = false,
        Ready = false,
        Version = Build.Version,
        Endpoint = settings.Endpoint.ToString(),
        Home = settings.Home.Root,
        DataDir = settings.DataDir,
        Components = [],
    };

    /// <summary>The document for people.</summary>
    public static void Show(StatusDocument document, Terminal terminal)
    {
        terminal.Line("Stigmer Local Status:");
        terminal.Line(string.Concat(Enumerable.Repeat(terminal.RuleSymbol, 37)));
        if (!document.Running)
        {
            terminal.Line($"  Status: {terminal.ErrorSymbol} Stopped");
            return;
        }
        terminal.Line($"  Status: {(document.Ready ? $"{terminal.OkSymbol} Running" : $"{terminal.WarningSymbol} Running, not ready")}");
        terminal.Line($"  PID:    {document.Pid?.ToString(CultureInfo.InvariantCulture) ?? "-"}");
        terminal.Line($"  Port:   {document.Endpoint[(document.Endpoint.LastIndexOf(':') + 1)..]}");
        terminal.Line($"  Data:   {Tilde(document.DataDir)}");
        if (document.Temporal is { } temporal)
        {
            var engine = temporal.Mode switch
            {
                EngineName.Managed => $"Temporal {temporal.Version ?? "of unknown version"} at {temporal.Address}",
                EngineName.External => $"external Temporal at {temporal.Address}, namespace {temporal.Namespace}",
                _ => "embedded",
            };
            terminal.Line($"  Engine: {engine}{(temporal.Reachable == false ? ", which does not answer" : "")}");
            if (temporal.Detail is { } detail) terminal.Line($"          {detail}");
            if (temporal.Ui is { } ui) terminal.Line($"  UI:     {ui}");
        }
        if (document.Llm is { } llm)
        {
            terminal.Line($"  Model:  {llm.Provider} {llm.Model}{(llm.BaseUrl is { } url ? $" at {url}" : "")}");
            if (llm.Detail is { } detail) terminal.Line($"          {terminal.WarningSymbol} {detail}");
        }
        terminal.Line();
        terminal.Line("  COMPONENT       PID      STATE       RESTARTS  SINCE");
        foreach (var component in document.Components)
        {
            var pid = component.Pid?.ToString(CultureInfo.InvariantCulture) ?? "-";
            terminal.Line(string.Create(
                CultureInfo.InvariantCulture,
                $"  {component.Name,-14}  {pid,-7}  {component.State,-10}  {component.Restarts,-8}  {component.Since.ToLocalTime():yyyy-MM-dd HH:mm:ss}"));
            if (component.Detail is { } detail) terminal.Line($"    {detail.Replace("\n", "\n    ", StringComparison.Ordinal)}");
        }
    }

    static string Tilde(string path)
    {
        var home = Environment.GetEnvironmentVariable("HOME");
        return !string.IsNullOrEmpty(home) && path.StartsWith(home + "/", StringComparison.Ordinal) ? "~" + path[home.Length..] : path;
    }
}
