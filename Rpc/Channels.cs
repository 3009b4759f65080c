using System.Net;
using System.Security.Cryptography.X509Certificates;
using Grpc.Net.Client;
using Stigmer.Config;

namespace Stigmer.Rpc;

/// <summary>Channels to our own server and to Temporal. A loopback address never goes through a proxy.</summary>
static class Channels
{
    /// <summary>The largest message taken or sent, in bytes: a page of history or a tool's output may exceed gRPC's 4 MB.</summary>
    public const int MaxMessageSize = 64 * 1024 * 1024;

    /// <summary>
    /// A channel to stigmer-server; every call carries the token. Nothing is connected before the first call, and every
    /// call on a lost connection tries a new one at once: the caller decides how often it tries.
    /// </summary>
    /// <param name="tls">For a server elsewhere; null: plaintext.</param>
    public static GrpcChannel ToServer(HostPort address, string token, TemporalTls? tls = null) =>
        To(address, tls, [new KeyValuePair<string, string>("authorization", $"Bearer {token}")], Proxy.FromEnvironment);

    /// <summary>
    /// A channel to a Temporal, or to the embedded engine (whose API key is then the server's token); connects as
    /// <see cref="ToServer"/> does. Fails (exit code 2) where a certificate cannot be read.
    /// </summary>
    public static GrpcChannel ToTemporal(TemporalConnection connection) => ToTemporal(connection, Proxy.FromEnvironment);

    /// <summary>As above, with the proxy to use for addresses that are not this machine's.</summary>
    public static GrpcChannel ToTemporal(TemporalConnection connection, Proxy proxy)
    {
        var metadata = new Dictionary<string, string>(connection.Metadata ?? new Dictionary<string, string>())
        {
            ["client-name"] = "stigmer",
            ["client-version"] = typeof(Channels).Assembly.GetName().Version!.ToString(3),
        };
        metadata.TryAdd("temporal-namespace", connection.Namespace);
        if (connection.ApiKey is { } key) metadata["authorization"] = $"Bearer {key}";
        return To(connection.Address, connection.Tls, metadata, proxy);
    }

    static GrpcChannel To(HostPort address, TemporalTls? tls, IEnumerable<KeyValuePair<string, string>> metadata, Proxy proxy)
    {
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            ConnectTimeout = TimeSpan.FromSeconds(10),
            EnableMultipleHttp2Connections = true,
            // A peer that is gone without a word is noticed after 45 s at most. Temporal refuses pings less than 10 s apart.
            KeepAlivePingDelay = TimeSpan.FromSeconds(30),
            KeepAlivePingTimeout = TimeSpan.FromSeconds(15),
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.Always,
            PooledConnectionIdleTimeout = Timeout.InfiniteTimeSpan,
            UseCookies = false,
            UseProxy = tls is not null,
            Proxy = tls is not null ? proxy : null,
            // A callback of our own also keeps gRPC's load balancer out of the way, which after a lost connection would
            // wait by a back-off that grows to two minutes before it looks for the server again.
            ConnectCallback = (context, cancel) => new(Connect(context.DnsEndPoint, tls is null ? proxy : null, cancel)),
        };
        if (tls is not null) handler.SslOptions = Tls.Options(tls);
        return GrpcChannel.ForAddress($"{(tls is null ? "http" : "https")}://{address}", new GrpcChannelOptions
        {
            // Metadata goes in by a handler rather than as call credentials, which gRPC withholds from plaintext.
            HttpHandler = new Metadata(metadata, tls?.ServerName, handler),
            DisposeHttpClient = true,
            MaxReceiveMessageSize = MaxMessageSize,
            MaxSendMessageSize = MaxMessageSize,
        });
    }

    static async Task<Stream> Connect(DnsEndPoint target, Proxy? proxy, CancellationToken cancel)
    {
        if (proxy?.ForTunnel(target) is not { } through) return await Dial.Connect(target, cancel);
        var tunnel = await Dial.Connect(new DnsEndPoint(through.Host, through.Port), cancel);
        try
        {
            await proxy.OpenTunnel(tunnel, through, target, cancel);
            return tunnel;
        }
        catch
        {
            await tunnel.DisposeAsync();
            throw;
        }
    }

    /// <summary>A certificate read from PEM, as TLS can use it: Windows' cannot use a key that lives in memory only.</summary>
    public static X509Certificate2 Usable(X509Certificate2 certificate) => OperatingSystem.IsWindows()
        ? X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), null) : certificate;

    sealed class Metadata(IEnumerable<KeyValuePair<string, string>> pairs, string? serverName, HttpMessageHandler inner) : DelegatingHandler(inner)
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            // The handler takes the name that a certificate must hold from here, and overwrites SslOptions.TargetHost with it.
            if (serverName is not null) request.Headers.Host = serverName;
            foreach (var (name, value) in pairs) request.Headers.TryAddWithoutValidation(name, value);
            return base.SendAsync(request, cancellationToken);
        }
    }
}
