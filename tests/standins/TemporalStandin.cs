using System.Globalization;
using System.Runtime.InteropServices;
using Grpc.Health.V1;
using Grpc.HealthCheck;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Stigmer.Rpc.Temporal;
using Stigmer.Server.Api;
using Stigmer.Server.Engine;
using Stigmer.Server.Storage;

namespace Stigmer.Standins;

/// <summary>
/// The <c>temporal</c> of a stand-in release: <c>temporal VERSION --version</c>, and <c>temporal VERSION server start-dev</c>,
/// which serves our embedded engine as the real one serves itself: on loopback, in plaintext, to anyone. VERSION is the CLI's,
/// or CLI/SERVER. Like the real one it makes a database's schema once and does not open what another server made.
/// Beyond what the real dev server has, for others' Temporals: <c>--tls-cert F --tls-key F</c>, <c>--tls-client-ca F</c> (whoever
/// has no certificate of it is turned away), <c>--api-key K</c>.
/// </summary>
static class TemporalStandin
{
    /// <summary>The server in a release that names none.</summary>
    public const string Server = "1.39.0";

    sealed record Flags
    {
        public int Port { get; init; } = 7233;
        public int? UiPort { get; init; }
        public bool Headless { get; init; }
        public string? File { get; init; }
        public string? ApiKey { get; init; }
        public TlsFiles Tls { get; init; } = new(null, null, null);
    }

    public static async Task<int> Run(IReadOnlyList<string> arguments)
    {
        var (version, rest) = (arguments[0], arguments.Skip(1).ToArray());
        var (cli, server) = version.Split('/') is [var before, var after] ? (before, after) : (version, Server);
        switch (rest)
        {
            case ["--version"]:
                Console.WriteLine($"temporal version {cli} (Server {server}, UI 2.0.0)");
                return 0;
            case ["server", "start-dev", .. var flags]:
                return Read(flags) is { } read ? await StartDev(cli, server, read) : 1;
            default:
                return Error($"unknown command \"{string.Join(' ', rest)}\" for \"temporal\"");
        }
    }

    static Flags? Read(string[] words)
    {
        var flags = new Flags();
        for (var next = 0; next < words.Length; next++)
        {
            switch (words[next])
            {
                case "--port": flags = flags with { Port = int.Parse(words[++next], CultureInfo.InvariantCulture) }; break;
                case "--ui-port": flags = flags with { UiPort = int.Parse(words[++next], CultureInfo.InvariantCulture) }; break;
                case "--db-filename": flags = flags with { File = words[++next] }; break;
                case "--headless": flags = flags with { Headless = true }; break;
                case "--api-key": flags = flags with { ApiKey = words[++next] }; break;
                case "--tls-cert": flags = flags with { Tls = flags.Tls with { Certificate = words[++next] } }; break;
                case "--tls-key": flags = flags with { Tls = flags.Tls with { Key = words[++next] } }; break;
                case "--tls-client-ca": flags = flags with { Tls = flags.Tls with { ClientAuthority = words[++next] } }; break;
                default:
                    Error($"unknown flag: {words[next]}");
                    return null;
            }
        }
        return flags;
    }

    static async Task<int> StartDev(string cli, string server, Flags flags)
    {
        if (flags.File is not { } file) return Error("this stand-in keeps nothing in memory: --db-filename");
        if (!Directory.Exists(Path.GetDirectoryName(Path.GetFullPath(file)))) return Error($"unable to open database file: {file}");

        var stopped = new TaskCompletionSource();
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        var log = new Log("temporal", Console.Error, TimeProvider.System, LogLevel.Warn);
        await using var database = Database.Open(file, log);
        if (await Maker(database, server) is var maker && maker != server) return Error($"sql schema of {file}: made by {maker}, expected {server}");
        await using var engine = new EmbeddedEngine(database, TimeProvider.System, log);
        await engine.Start();
        WebApplication? app = null, ui = null;
        try
        {
            if (!flags.Headless) ui = await Loopback.Http(map => map.MapGet("/", () => Results.Text("<title>Temporal UI</title>", "text/html")), flags.UiPort ?? flags.Port + 1000);
            app = await Serve(engine, flags);
        }
        catch (IOException)
        {
            return Error($"can't set frontend port {flags.Port}: listen tcp 127.0.0.1:{flags.Port}: bind: address already in use");
        }
        finally
        {
            if (app is null && ui is not null) await ui.DisposeAsync();
        }
        await using (app)
        await using (ui)
        {
            Console.WriteLine($"Temporal CLI {cli} (Server {server}, UI 2.0.0)\n\nServer:  localhost:{app.Port()}");
            if (ui is not null) Console.WriteLine($"UI:      http://localhost:{ui.Port()}");
            await stopped.Task;
            Console.WriteLine("Stopping server...");
        }
        return 0;

        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            stopped.TrySetResult();
        }
    }

    /// <summary>The server that made the database: this one where it is new.</summary>
    static Task<string> Maker(Database database, string server) => database.Write(t =>
    {
        t.Execute("CREATE TABLE IF NOT EXISTS standin (server TEXT NOT NULL)");
        t.Execute("INSERT INTO standin (server) SELECT $1 WHERE NOT EXISTS (SELECT 1 FROM standin)", server);
        return t.Connection.Text("SELECT server FROM standin")!;
    });

    static async Task<WebApplication> Serve(EmbeddedEngine engine, Flags flags)
    {
        var health = new HealthServiceImpl();
        health.SetStatus(WorkflowService.Descriptor.FullName, HealthCheckResponse.Types.ServingStatus.Serving);
        return await Loopback.Grpc(
            services => services.AddSingleton(health).AddEngine(engine),
            app =>
            {
                if (flags.ApiKey is { } key) app.Use(next => context => new Authorization(key).Check(context, next));
                app.MapGrpcService<HealthServiceImpl>();
                app.MapEngine(engine);
            },
            flags.Port,
            flags.Tls.ToOptions());
    }

    static int Error(string what)
    {
        Console.Error.WriteLine($"Error: {what}");
        return 1;
    }
}
