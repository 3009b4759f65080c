using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Grpc.AspNetCore.Server.Model;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Stigmer.Rpc;
using Stigmer.Server.Engine;
using Stigmer.Server.Runs;

namespace Stigmer.Server.Api;

/// <summary>The gRPC server: HTTP/2 only, our services, health, and the bearer token before everything else.</summary>
sealed class ApiServer : IAsyncDisposable
{
    readonly WebApplication application;

    ApiServer(WebApplication application) => this.application = application;

    /// <summary>Serves on the listener's addresses; when it returns, calls are answered.</summary>
    /// <param name="inner">More addresses, without TLS: the way of the server to its own engine; null: it needs none.</param>
    /// <param name="missing">Called with a workflow that an engine does not know.</param>
    /// <param name="engine">The engine inside, served on the same port; null: there is another.</param>
    /// <param name="stopping">Ends every call that waits.</param>
    public static async Task<ApiServer> Start(
        ServerOptions options, Listener listener, Listener? inner, string token, RunStore store, Action<string> missing, EmbeddedEngine? engine, Log log, CancellationToken stopping)
    {
        var certificate = Certificate(options);
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore();
        builder.Services.AddRoutingCore();
        builder.Services.Configure<SocketTransportOptions>(sockets => sockets.CreateBoundListenSocket = address => listener.Find(address) ?? inner!.Find(address)!);
        builder.Services.Configure<KestrelServerOptions>(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Limits.MinRequestBodyDataRate = null;
            kestrel.Limits.MinResponseDataRate = null;
            // A runner polls and waits on many streams at once; 100 is the default.
            kestrel.Limits.Http2.MaxStreamsPerConnection = 10_000;
            kestrel.Limits.Http2.KeepAlivePingDelay = TimeSpan.FromSeconds(30);
            kestrel.Limits.Http2.KeepAlivePingTimeout = TimeSpan.FromSeconds(15);
            foreach (var address in listener.Addresses)
            {
                kestrel.Listen(address, listen =>
                {
                    listen.Protocols = HttpProtocols.Http2;
                    if (certificate is not null) listen.UseHttps(certificate);
                });
            }
            foreach (var address in inner?.Addresses ?? []) kestrel.Listen(address, listen => listen.Protocols = HttpProtocols.Http2);
        });
        builder.Services.AddGrpc(grpc =>
        {
            grpc.MaxReceiveMessageSize = Channels.MaxMessageSize;
            grpc.MaxSendMessageSize = Channels.MaxMessageSize;
        });
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        var faults = new Faults(stopping, log);
        builder.Services.AddSingleton(faults);
        builder.Services.AddSingleton(new RunApi(store, stopping));
        builder.Services.AddSingleton<IServiceMethodProvider<RunApi>>(RunApi.Methods(faults));
        builder.Services.AddSingleton(new AgentApi(store));
        builder.Services.AddSingleton<IServiceMethodProvider<AgentApi>>(AgentApi.Methods(faults));
        builder.Services.AddSingleton(new RunnerApi(store, missing, log, stopping));
        builder.Services.AddSingleton<IServiceMethodProvider<RunnerApi>>(RunnerApi.Methods(faults));
        List<string> services = ["", "stigmer.v1.AgentService", "stigmer.v1.RunService", "stigmer.v1.RunnerService"];
        if (engine is not null) services.Add(TemporalConnection.Service);
        builder.Services.AddSingleton(new HealthApi(services, stopping));
        builder.Services.AddSingleton<IServiceMethodProvider<HealthApi>>(HealthApi.Methods(faults));
        if (engine is not null) builder.Services.AddEngine(engine);

        var application = builder.Build();
        var authorization = new Authorization(token);
        application.Use(next => context => authorization.Check(context, next));
        application.MapGrpcService<RunApi>();
        application.MapGrpcService<AgentApi>();
        application.MapGrpcService<RunnerApi>();
        application.MapGrpcService<HealthApi>();
        if (engine is not null) application.MapEngine(engine);
        try
        {
            await application.StartAsync(stopping);
            return new ApiServer(application);
        }
        catch
        {
            await application.DisposeAsync();
            throw;
        }
    }

    /// <summary>Takes no more calls; those that wait have been told by the token, and what is still under way after a moment is broken off.</summary>
    public async Task Stop()
    {
        using var moment = new CancellationTokenSource(TimeSpan.FromMilliseconds(500));
        await application.StopAsync(moment.Token);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => application.DisposeAsync();

    static X509Certificate2? Certificate(ServerOptions options)
    {
        if (options.TlsCert is null || options.TlsKey is null) return null;
        try
        {
            return Channels.Usable(X509Certificate2.CreateFromPemFile(options.TlsCert, options.TlsKey));
        }
        catch (Exception e) when (e is CryptographicException or IOException or UnauthorizedAccessException)
        {
            throw new Failure("The server's certificate cannot be used", e.Message, "--tls-cert and --tls-key name PEM files that belong together", ExitCode.Usage, e);
        }
    }

    // Signals are the role's, not the host's.
    sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
