using System.Globalization;
using Stigmer.Config;
using Stigmer.Processes;
using Stigmer.Rpc;

namespace Stigmer.Runtime.Temporal;

/// <summary>The managed Temporal of one stack: <c>temporal server start-dev</c>, its ports and its database.</summary>
sealed class TemporalDevServer
{
    readonly TemporalSettings wanted;
    readonly StigmerHome home;
    readonly Log log;
    readonly TimeProvider time;
    readonly int port;
    readonly int? uiPort;
    TemporalBinary? binary;
    DatabaseChoice? database;
    volatile bool wasReady;

    /// <summary>Chooses the ports, 0 becoming a free one: start-dev tells nobody which it took. Fails where one is taken.</summary>
    public TemporalDevServer(Settings settings, Log log, TimeProvider time)
    {
        (wanted, home, this.log, this.time) = (settings.Temporal, settings.Home, log, time);
        port = Pick(wanted.Port, "Temporal", "backend.local.temporal.port", settings.Endpoint.Port, wanted.Ui ? wanted.UiPort : 0);
        if (wanted.Ui) uiPort = Pick(wanted.UiPort, "Temporal's web UI", "backend.local.temporal.ui_port", settings.Endpoint.Port, port);
    }

    /// <summary>Where it takes calls.</summary>
    public HostPort Address => new("localhost", port);

    /// <summary>The web UI's address; null: it has none.</summary>
    public string? Ui => uiPort is { } ui ? $"http://{new HostPort("localhost", ui)}" : null;

    /// <summary>The CLI's version; null: nobody knows.</summary>
    public string? Version => binary?.Version;

    /// <summary>What the status has to tell: databases that are kept; null: nothing.</summary>
    public string? Detail => database?.Detail;

    /// <summary>
    /// Takes the binary, and the database that its server may open. Answers what a person should be told, each one sentence.
    /// </summary>
    public IReadOnlyList<string> Use(TemporalBinary found)
    {
        (binary, database, wasReady) = (found, TemporalDatabases.Choose(home, TemporalDatabases.Maker(found), time.GetUtcNow()), false);
        return database.News is { } news ? [.. found.Warnings, news] : found.Warnings;
    }

    /// <summary>The process to start. Call <see cref="Use"/> first.</summary>
    public ChildSpec Child(IReadOnlyDictionary<string, string> environment)
    {
        NoticeInstallation();
        // One that died before it was ready may have left half a schema, with which the next would die as well.
        if (!wasReady && database!.IsNew) _ = TemporalDatabases.Choose(home, database.Server, time.GetUtcNow());
        return new ChildSpec
        {
            Path = binary!.Path,
            Arguments = Arguments(port, uiPort, database!.File, wanted.Namespace),
            Environment = environment,
            WorkingDirectory = home.Root,
            DiesWithUs = true,
        };
    }

    /// <summary>Completes when it can be used; its database is then one to keep.</summary>
    public async Task WhenReady(CancellationToken stop)
    {
        await TemporalReadiness.Wait(new TemporalConnection(Address, wanted.Namespace), starting: true, time, stop);
        wasReady = true;
        try
        {
            TemporalDatabases.Completed(database!.File);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The next start makes a new one, and the transcripts bring the runs back.
            log.Warn("the record of Temporal's database cannot be written", ("why", e.Message));
        }
    }

    /// <summary>The arguments. Ports must be real ones.</summary>
    public static IReadOnlyList<string> Arguments(int port, int? uiPort, string databaseFile, string @namespace)
    {
        List<string> arguments = ["server", "start-dev", "--port", Text(port), "--db-filename", databaseFile];
        arguments.AddRange(uiPort is { } ui ? ["--ui-port", Text(ui)] : ["--headless"]);
        // `default` exists by itself.
        if (@namespace != "default") arguments.AddRange(["--namespace", @namespace]);
        return arguments;

        static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
    }

    /// <summary>A binary that was installed while this stack runs comes with the next start of the process, and must find a database of its own.</summary>
    void NoticeInstallation()
    {
        if (binary!.Path != home.TemporalBinary) return;
        InstalledTemporal.Recheck(home, binary.Stamp);
        if (TemporalRecord.Read(home.TemporalRecord) is not { } record) return;
        if (record.Version == binary.Version && (record.Server ?? binary.Server) == binary.Server) return;
        foreach (var news in Use(new TemporalBinary(home.TemporalBinary, record.Version, []) { Server = record.Server, Stamp = InstalledTemporal.Stamp(home) })) log.Warn(news);
    }

    static int Pick(int wanted, string by, string setting, params ReadOnlySpan<int> others)
    {
        var port = wanted;
        while (port == 0 || (wanted == 0 && others.Contains(port))) port = Ports.PickFree();
        return Ports.Check(new HostPort("127.0.0.1", port), by, setting) is { } taken ? throw taken : port;
    }
}
