using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;

namespace Stigmer.Standins;

/// <summary>Servers on loopback that say nothing of themselves: for stand-ins and for tests.</summary>
static class Loopback
{
    /// <summary>gRPC; serves what <paramref name="map"/> maps of what <paramref name="services"/> adds.</summary>
    /// <param name="port">0: a free one, which <see cref="Port"/> tells.</param>
    /// <param name="tls">Null: plaintext.</param>
    public static Task<WebApplication> Grpc(Action<IServiceCollection> services, Action<WebApplication> map, int port = 0, HttpsConnectionAdapterOptions? tls = null) => Start(
        HttpProtocols.Http2,
        port,
        added =>
        {
            added.AddGrpc(grpc => grpc.MaxReceiveMessageSize = grpc.MaxSendMessageSize = Rpc.Channels.MaxMessageSize);
            services(added);
        },
        map,
        tls);

    /// <summary>gRPC with one service, which is this very object.</summary>
    public static Task<WebApplication> Grpc<TService>(TService service, int port = 0, HttpsConnectionAdapterOptions? tls = null) where TService : class =>
        Grpc(services => services.AddSingleton(service), app => app.MapGrpcService<TService>(), port, tls);

    /// <summary>HTTP/1.1.</summary>
    public static Task<WebApplication> Http(Action<WebApplication> map, int port = 0, HttpsConnectionAdapterOptions? tls = null) => Start(HttpProtocols.Http1, port, _ => { }, map, tls);

    /// <summary>The port on which it serves.</summary>
    public static int Port(this WebApplication app) => new Uri(app.Urls.Single()).Port;

    static async Task<WebApplication> Start(HttpProtocols protocols, int port, Action<IServiceCollection> services, Action<WebApplication> map, HttpsConnectionAdapterOptions? tls = null)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, port, listen =>
        {
            listen.Protocols = protocols;
            if (tls is not null) listen.UseHttps(tls);
        }));
        builder.Services.AddRoutingCore();
        services(builder.Services);
        var app = builder.Build();
        app.UseRouting();
        map(app);
        try
        {
            await app.StartAsync();
        }
        catch
        {
            await app.DisposeAsync();
            throw;
        }
        return app;
    }
}
