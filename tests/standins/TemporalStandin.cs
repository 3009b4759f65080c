using System.Globalization;
using System.Runtime.InteropServices;
using Grpc.Health.V1;
using Grpc.HealthCheck;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Stigmer.Rpc.Temporal;
using Stigmer.Server.Engine;
using Stigmer.Server.Storage;

namespace Stigmer.Standins;

/// <summary>
/// The <c>temporal</c> of a stand-in release: <c>temporal VERSION --version</c>, and <c>temporal VERSION server start-dev</c>
/// with <c>--port P --db-filename F --headless</c>, which serves our embedded engine as the real one serves itself: on
/// loopback, in plaintext, to anyone.
/// </summary>
static class TemporalStandin
{
    public static async Task<int> Run(IReadOnlyList<string> arguments)
    {
        var (version, rest) = (arguments[0], arguments.Skip(1).ToArray());
        switch (rest)
        {
            case ["--version"]:
                Console.WriteLine($"temporal version {version} (Server stand-in, UI none)");
                return 0;
            case ["server", "start-dev", .. var flags]:
                return await StartDev(version, flags);
            default:
                return Error($"unknown command \"{string.Join(' ', rest)}\" for \"temporal\"");
        }
    }

    static async Task<int> StartDev(string version, string[] flags)
    {
        var (port, file, headless) = (7233, (string?)null, false);
        for (var next = 0; next < flags.Length; next++)
        {
            switch (flags[next])
            {
                case "--port": port = int.Parse(flags[++next], CultureInfo.InvariantCulture); break;
                case "--db-filename": file = flags[++next]; break;
                case "--headless": headless = true; break;
                default: return Error($"unknown flag: {flags[next]}");
            }
        }
        // The real one would open its web UI, and take a second port for it.
        if (!headless) return Error("this stand-in has no UI: --headless");
        if (file is null) return Error("this stand-in keeps nothing in memory: --db-filename");
        if (!Directory.Exists(Path.GetDirectoryName(Path.GetFullPath(file)))) return Error($"unable to open database file: {file}");

        var stopped = new TaskCompletionSource();
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        await using var database = Database.Open(file, new Log("temporal", Console.Error, TimeProvider.System, LogLevel.Warn));
        await using var engine = new EmbeddedEngine(database, TimeProvider.System, new Log("temporal", Console.Error, TimeProvider.System, LogLevel.Warn));
        await engine.Start();
        WebApplication app;
        try
        {
            app = await Serve(engine, port);
        }
        catch (IOException)
        {
            return Error($"can't set frontend port {port}: listen tcp 127.0.0.1:{port}: bind: address already in use");
        }
        await using (app)
        {
            Console.WriteLine($"Temporal CLI {version} (Server stand-in, UI none)\n\nServer:  localhost:{app.Port()}");
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

    static async Task<WebApplication> Serve(EmbeddedEngine engine, int port)
    {
        var health = new HealthServiceImpl();
        health.SetStatus(WorkflowService.Descriptor.FullName, HealthCheckResponse.Types.ServingStatus.Serving);
        return await Loopback.Grpc(
            services => services.AddSingleton(health).AddEngine(engine),
            app =>
            {
                app.MapGrpcService<HealthServiceImpl>();
                app.MapEngine(engine);
            },
            port);
    }

    static int Error(string what)
    {
        Console.Error.WriteLine($"Error: {what}");
        return 1;
    }
}
