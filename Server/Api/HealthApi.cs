using Grpc.Core;
using Grpc.Health.V1;

namespace Stigmer.Server.Api;

/// <summary>grpc.health.v1: whoever gets an answer is told that the named services serve, until the server is being stopped.</summary>
/// <param name="services">Their full names, and the empty one for the server as a whole.</param>
sealed class HealthApi(IReadOnlyCollection<string> services, CancellationToken stopping)
{
    public static ServiceMethods<HealthApi> Methods(Faults faults) => new("grpc.health.v1.Health", faults, m =>
    {
        m.Unary<HealthCheckRequest, HealthCheckResponse>("Check", (api, request, _) => api.Check(request));
        m.ServerStream<HealthCheckRequest, HealthCheckResponse>("Watch", (api, request, responses, context) => api.Watch(request, responses, context));
    });

    Task<HealthCheckResponse> Check(HealthCheckRequest request) => services.Contains(request.Service)
        ? Task.FromResult(new HealthCheckResponse { Status = HealthCheckResponse.Types.ServingStatus.Serving })
        : throw new RpcException(new Status(StatusCode.NotFound, $"There is no service {request.Service}"));

    async Task Watch(HealthCheckRequest request, IServerStreamWriter<HealthCheckResponse> responses, ServerCallContext context)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, stopping);
        var known = services.Contains(request.Service);
        await responses.WriteAsync(
            new HealthCheckResponse { Status = known ? HealthCheckResponse.Types.ServingStatus.Serving : HealthCheckResponse.Types.ServingStatus.ServiceUnknown }, CancellationToken.None);
        // It does not change while the server serves.
        await Task.Delay(Timeout.Infinite, either.Token);
    }
}
