using Grpc.Net.Client;
using Stigmer.Config;

namespace Stigmer.Rpc;

/// <summary>Channels to our own server and to Temporal. A loopback address never goes through a proxy.</summary>
static class Channels
{
    /// <summary>The largest message taken, in bytes: a page of history or a tool's output may exceed gRPC's 4 MB.</summary>
    public const int MaxMessageSize = 64 * 1024 * 1024;

    /// <summary>A channel to stigmer-server; every call carries the token.</summary>
    public static GrpcChannel ToServer(HostPort address, string token) => throw new NotImplementedException();

    /// <summary>A channel to a Temporal, or to the embedded engine (whose API key is then the server's token).</summary>
    public static GrpcChannel ToTemporal(TemporalConnection connection) => throw new NotImplementedException();
}
