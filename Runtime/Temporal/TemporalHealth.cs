using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;
using Stigmer.Rpc;

namespace Stigmer.Runtime.Temporal;

/// <summary>Asks a Temporal that was ready whether it still is: one small call on a connection that stays.</summary>
sealed class TemporalHealth(TemporalConnection connection) : IDisposable
{
    /// <summary>One that takes longer counts as silent.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(4);

    readonly Lazy<GrpcChannel> channel = new(() => Channels.ToTemporal(connection));

    /// <summary>Fails where it does not answer, or answers that it does not serve.</summary>
    public async Task Check(CancellationToken cancel)
    {
        try
        {
            var answer = await new Health.HealthClient(channel.Value).CheckAsync(
                new HealthCheckRequest { Service = TemporalConnection.Service }, CallTime.Within(Patience, cancel));
            if (answer.Status != HealthCheckResponse.Types.ServingStatus.Serving) throw new Failure("Temporal does not serve");
        }
        catch (RpcException e)
        {
            throw new Failure("Temporal does not answer", e.Status.Detail, inner: e);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (channel.IsValueCreated) channel.Value.Dispose();
    }
}
