using System.Collections.Concurrent;
using System.Net;
using Grpc.Health.V1;
using Grpc.HealthCheck;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Stigmer.Tests.Rpc;

/// <summary>A gRPC server that answers health checks and remembers each call's metadata.</summary>
sealed class GrpcEcho : IAsyncDisposable
{
    readonly WebApplication app;

    GrpcEcho(WebApplication app) => this.app = app;

    public ConcurrentQueue<IHeaderDictionary> Calls { get; } = new();

    public int Port { get; private set; }

    public static async Task<GrpcEcho> Start(IPAddress? address = null, int port = 0, HttpsConnectionAdapterOptions? tls = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddGrpc();
        builder.Services.AddSingleton(new HealthServiceImpl());
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(address ?? IPAddress.Loopback, port, listen =>
        {
            listen.Protocols = HttpProtocols.Http2;
            if (tls is not null) listen.UseHttps(tls);
        }));
        var app = builder.Build();
        var echo = new GrpcEcho(app);
        app.Use((context, next) =>
        {
            echo.Calls.Enqueue(new HeaderDictionary(context.Request.Headers.ToDictionary()));
            return next(context);
        });
        app.MapGrpcService<HealthServiceImpl>();
        app.Services.GetRequiredService<HealthServiceImpl>().SetStatus("", HealthCheckResponse.Types.ServingStatus.Serving);
        await app.StartAsync();
        echo.Port = new Uri(app.Urls.Single()).Port;
        return echo;
    }

    public ValueTask DisposeAsync() => app.DisposeAsync();
}
