using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Stigmer.EndToEnd.Harness;

/// <summary>
/// A company's proxy: it ends the TLS of certain hosts itself, with certificates of a root of its own, and passes on what they are
/// asked to servers here. Any other host is refused.
/// </summary>
sealed class TlsProxy : IAsyncDisposable
{
    readonly TcpListener listener = new(IPAddress.Loopback, 0);
    readonly CancellationTokenSource end = new();
    readonly Dictionary<string, Uri> hosts;
    readonly X509Certificate2 root;
    readonly Task accepting;

    TlsProxy(Dictionary<string, Uri> hosts)
    {
        this.hosts = hosts;
        using var key = RSA.Create(2048);
        var request = new CertificateRequest("CN=Company Root", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, false, 0, critical: true));
        root = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        listener.Start();
        accepting = Accept();
    }

    public string Url => $"http://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}";

    /// <summary>The root as PEM, for SSL_CERT_FILE.</summary>
    public string RootPem => root.ExportCertificatePem();

    public static TlsProxy Start(params (string Host, string To)[] hosts) => new(hosts.ToDictionary(each => each.Host, each => new Uri(each.To)));

    public async ValueTask DisposeAsync()
    {
        await end.CancelAsync();
        listener.Stop();
        await accepting;
        root.Dispose();
        end.Dispose();
    }

    async Task Accept()
    {
        var served = new List<Task>();
        try
        {
            while (true) served.Add(Serve(await listener.AcceptTcpClientAsync(end.Token)));
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            await Task.WhenAll(served);
        }
    }

    async Task Serve(TcpClient client)
    {
        using var _ = client;
        try
        {
            var plain = client.GetStream();
            var asked = await ReadHead(plain);
            var host = asked.Split(' ')[1].Split(':')[0];
            if (!asked.StartsWith("CONNECT ", StringComparison.Ordinal) || !hosts.TryGetValue(host, out var to))
            {
                await plain.WriteAsync("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"u8.ToArray(), end.Token);
                return;
            }
            await plain.WriteAsync("HTTP/1.1 200 Connection established\r\n\r\n"u8.ToArray(), end.Token);
            await using var tls = new SslStream(plain);
            await tls.AuthenticateAsServerAsync(CertificateOf(host), false, SslProtocols.None, false);
            using var server = new TcpClient();
            await server.ConnectAsync(to.Host, to.Port, end.Token);
            await Task.WhenAny(tls.CopyToAsync(server.GetStream(), end.Token), server.GetStream().CopyToAsync(tls, end.Token));
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or SocketException or AuthenticationException)
        {
            // The other side has gone.
        }
    }

    async Task<string> ReadHead(NetworkStream stream)
    {
        var head = new List<byte>();
        var one = new byte[1];
        while (!head.TakeLast(4).SequenceEqual("\r\n\r\n"u8.ToArray()) && await stream.ReadAsync(one, end.Token) > 0) head.Add(one[0]);
        return System.Text.Encoding.ASCII.GetString([.. head]);
    }

    X509Certificate2 CertificateOf(string host)
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest($"CN={host}", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(host);
        request.CertificateExtensions.Add(names.Build());
        using var signed = request.Create(root, DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddHours(12), RandomNumberGenerator.GetBytes(8));
        return signed.CopyWithPrivateKey(key);
    }
}
