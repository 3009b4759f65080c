using Grpc.AspNetCore.Server.Model;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Stigmer.Server.Api;

namespace Stigmer.Server.Engine;

/// <summary>Puts the engine into a Kestrel application. Who may call it is the application's business.</summary>
static class EngineHosting
{
    /// <summary>Before the application is built; AddGrpc must be called, too.</summary>
    public static void AddEngine(this IServiceCollection services, EmbeddedEngine engine)
    {
        services.AddSingleton(new EngineService(engine));
        services.AddSingleton<IServiceMethodProvider<EngineService>>(provider => EngineService.Methods(provider.GetService<Faults>()));
    }

    /// <summary>After it is built, with the same engine, which has been started. Its long polls end when the application stops.</summary>
    public static void MapEngine(this IEndpointRouteBuilder app, EmbeddedEngine engine)
    {
        app.ServiceProvider.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping.Register(engine.EndPolls);
        app.MapGrpcService<EngineService>();
    }
}
