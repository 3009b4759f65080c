using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
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
        To(address, tls, [new("authorization", $"Bearer {token}")], Proxy.FromEnvironment);

    /// <summary>
    /// A channel to a Temporal, or to the embedded engine (whose API key is then the server's token); connects as
    /// <see cref="ToServer"/> does. Fails (exit code 2) where a certificate cannot be read.
    /// </summary>
    public static GrpcChannel ToTemporal(TemporalConnection connection) => ToTemporal(connection, Proxy.FromEnvironment);

    /// <summary>As above, with the proxy to use for addresses that are not this machine's.</summary>
    public static GrpcChannel ToTemporal(TemporalConnection connection, Proxy proxy)
    {
        List<KeyValuePair<string, string>> metadata =
        [
            new("client-name", "stigmer"),
            new("client-version", typeof(Channels).Assembly.GetName().Version!.ToString(3)),
            new("temporal-namespace", connection.Namespace),
        ];
        if (connection.ApiKey is { } key) metadata.Add(new("authorization", $"Bearer {key}"));
        return To(connection.Address, connection.Tls, metadata, proxy);
    }

    static GrpcChannel To(HostPort address, TemporalTls? tls, IReadOnlyList<KeyValuePair<string, string>> metadata, Proxy proxy)
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
        if (tls is not null) handler.SslOptions = SslOptions(tls);
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

    static SslClientAuthenticationOptions SslOptions(TemporalTls tls)
    {
        var options = new SslClientAuthenticationOptions();
        var ca = Pem("CA certificate", tls.CaFile, tls.CaData);
        if (ca is not null)
        {
            var roots = new X509Certificate2Collection();
            Read("CA certificate", () => roots.ImportFromPem(ca));
            options.CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            options.CertificateChainPolicy.CustomTrustStore.AddRange(roots);
        }
        if (tls.DisableHostVerification)
        {
            // With a CA of the user's own the chain still has to lead there; without one nothing is checked.
            options.RemoteCertificateValidationCallback = (_, _, _, errors) =>
                ca is null || (errors & ~SslPolicyErrors.RemoteCertificateNameMismatch) == SslPolicyErrors.None;
        }
        var certificate = Pem("client certificate", tls.CertFile, tls.CertData);
        var key = Pem("client key", tls.KeyFile, tls.KeyData);
        if (certificate is null != key is null)
        {
            throw new Failure(
                $"The TLS client {(key is null ? "key" : "certificate")} is missing", "a client certificate and its key belong together", "Set both, or neither", ExitCode.Usage);
        }
        if (certificate is not null) Read("client certificate", () => options.ClientCertificateContext = ClientCertificate(certificate, key!));
        return options;
    }

    /// <summary>A certificate read from PEM, as TLS can use it: Windows' cannot use a key that lives in memory only.</summary>
    public static X509Certificate2 Usable(X509Certificate2 certificate) => OperatingSystem.IsWindows()
        ? X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), null) : certificate;

    static SslStreamCertificateContext ClientCertificate(string certificate, string key)
    {
        var leaf = Usable(X509Certificate2.CreateFromPem(certificate, key));
        var chain = new X509Certificate2Collection();
        chain.ImportFromPem(certificate);
        return SslStreamCertificateContext.Create(leaf, chain, offline: true);
    }

    static string? Pem(string what, string? file, string? data)
    {
        if (file is null) return data;
        try
        {
            return File.ReadAllText(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new Failure($"The TLS {what} {file} cannot be read", e.Message, null, ExitCode.Usage, e);
        }
    }

    static void Read(string what, Action read)
    {
        try
        {
            read();
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new Failure($"The TLS {what} is not usable", e.Message, "Give it as PEM text: -----BEGIN …", ExitCode.Usage, e);
        }
    }

    sealed class Metadata(IReadOnlyList<KeyValuePair<string, string>> pairs, string? serverName, HttpMessageHandler inner) : DelegatingHandler(inner)
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
