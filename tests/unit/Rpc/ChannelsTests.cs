using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Stigmer.Config;
using Stigmer.Rpc;
using Stigmer.Standins;

namespace Stigmer.Tests.Rpc;

public class ChannelsTests
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_servers_token_is_on_every_call_in_plaintext()
    {
        await using var server = await GrpcEcho.Start();
        using var channel = Channels.ToServer(new HostPort("127.0.0.1", server.Port), "secret");
        await Check(channel);
        await Check(channel);
        Assert.Equal(["Bearer secret", "Bearer secret"], server.Calls.Select(call => call.Authorization.ToString()));
    }

    [Fact]
    public async Task Temporal_gets_the_clients_name_its_version_the_namespace_and_the_key()
    {
        await using var server = await GrpcEcho.Start();
        using var channel = Channels.ToTemporal(new TemporalConnection(new HostPort("127.0.0.1", server.Port), "team", "key"));
        await Check(channel);
        var call = Assert.Single(server.Calls);
        Assert.Equal("Bearer key", call.Authorization);
        Assert.Equal("team", call["temporal-namespace"]);
        Assert.Equal("stigmer", call["client-name"]);
        Assert.Matches(@"^\d+\.\d+\.\d+$", call["client-version"].ToString());
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("::1")]
    public async Task Localhost_reaches_a_server_that_listens_on_one_address_only(string address)
    {
        Assert.SkipUnless(address == "127.0.0.1" || HasIPv6(), "this machine has no IPv6 loopback");
        await using var server = await GrpcEcho.Start(IPAddress.Parse(address));
        using var channel = Channels.ToServer(new HostPort("localhost", server.Port), "t");
        await Check(channel);
    }

    [Fact]
    public async Task An_IPv6_address_is_reached()
    {
        Assert.SkipUnless(HasIPv6(), "this machine has no IPv6 loopback");
        await using var server = await GrpcEcho.Start(IPAddress.IPv6Loopback);
        using var channel = Channels.ToServer(new HostPort("[::1]", server.Port), "t");
        await Check(channel);
    }

    [Fact]
    public async Task A_refused_connection_is_said_to_be_one()
    {
        using var channel = Channels.ToServer(new HostPort("localhost", FreePort()), "t");
        var failure = await Assert.ThrowsAsync<RpcException>(() => Check(channel));
        Assert.Equal(StatusCode.Unavailable, failure.StatusCode);
        Assert.Contains("refused", failure.Status.Detail, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task A_restarted_server_is_found_by_the_next_call()
    {
        var server = await GrpcEcho.Start();
        var port = server.Port;
        using var channel = Channels.ToServer(new HostPort("127.0.0.1", port), "t");
        await Check(channel);
        for (var life = 0; life < 3; life++)
        {
            await server.DisposeAsync();
            // Many failures in a row, which a growing back-off would punish.
            for (var call = 0; call < 10; call++)
            {
                Assert.Equal(StatusCode.Unavailable, (await Assert.ThrowsAsync<RpcException>(() => Check(channel))).StatusCode);
            }
            server = await GrpcEcho.Start(port: port);
            await Check(channel);
        }
        await server.DisposeAsync();
    }

    [Theory]
    [InlineData("localhost")]
    [InlineData("127.0.0.1")]
    public async Task This_machine_is_reached_without_the_proxy(string host)
    {
        await using var server = await GrpcEcho.Start();
        using var channel = Channels.ToTemporal(new TemporalConnection(new HostPort(host, server.Port), "default"), new Proxy(DeadProxy()));
        await Check(channel);
    }

    [Fact]
    public async Task Another_host_is_reached_through_a_tunnel_of_the_proxy()
    {
        await using var server = await GrpcEcho.Start();
        using var proxy = new ConnectProxy(server.Port, "HTTP/1.1 200 Connection established\r\n\r\n");
        using var channel = Channels.ToTemporal(
            new TemporalConnection(new HostPort("temporal.invalid", 7233), "default"), new Proxy(new WebProxy($"http://user:pass%20word@127.0.0.1:{proxy.Port}")));
        await Check(channel);
        var asked = await proxy.Asked;
        Assert.StartsWith("CONNECT temporal.invalid:7233 HTTP/1.1\r\n", asked, StringComparison.Ordinal);
        Assert.Contains($"Proxy-Authorization: Basic {Convert.ToBase64String("user:pass word"u8)}\r\n", asked, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_proxy_that_refuses_the_tunnel_is_named()
    {
        using var proxy = new ConnectProxy(0, "HTTP/1.1 403 Forbidden\r\n\r\n");
        using var channel = Channels.ToTemporal(
            new TemporalConnection(new HostPort("temporal.invalid", 7233), "default"), new Proxy(new WebProxy($"http://127.0.0.1:{proxy.Port}")));
        var failure = await Assert.ThrowsAsync<RpcException>(() => Check(channel));
        Assert.Contains($"The proxy at 127.0.0.1:{proxy.Port} answered CONNECT temporal.invalid:7233 with 'HTTP/1.1 403 Forbidden'", failure.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void NO_PROXY_is_honoured()
    {
        var proxy = new Proxy(new WebProxy("http://127.0.0.1:9", false, [@"temporal\.invalid"]));
        Assert.Null(proxy.ForTunnel(new DnsEndPoint("temporal.invalid", 7233)));
        Assert.NotNull(proxy.ForTunnel(new DnsEndPoint("other.invalid", 7233)));
        Assert.Null(proxy.ForTunnel(new DnsEndPoint("[::1]", 7233)));
    }

    [Fact]
    public async Task A_message_above_four_megabytes_may_be_sent()
    {
        await using var server = await GrpcEcho.Start();
        using var channel = Channels.ToServer(new HostPort("127.0.0.1", server.Port), "t");
        var request = new HealthCheckRequest { Service = new string('x', 5 << 20) };
        // The server's own limit is the smaller one here: it is the server that refuses, not the client.
        var failure = await Assert.ThrowsAsync<RpcException>(async () => await new Health.HealthClient(channel).CheckAsync(request, cancellationToken: Cancel));
        Assert.Single(server.Calls);
        Assert.Equal(StatusCode.ResourceExhausted, failure.StatusCode);
    }

    [Fact]
    public async Task TLS_with_a_CA_of_ones_own_a_client_certificate_and_another_server_name()
    {
        using var authority = new Certificates();
        using var serverCertificate = authority.Issue("temporal.example");
        using var clientCertificate = authority.Issue("client");
        X509Certificate2? seen = null;
        await using var server = await GrpcEcho.Start(tls: new HttpsConnectionAdapterOptions
        {
            ServerCertificate = serverCertificate,
            ClientCertificateMode = ClientCertificateMode.RequireCertificate,
            ClientCertificateValidation = (certificate, _, _) => (seen = certificate) is not null,
        });
        var tls = new TemporalTls(
            CaData: authority.Authority, CertData: clientCertificate.ExportCertificatePem(), KeyData: Certificates.KeyOf(clientCertificate),
            ServerName: "temporal.example");
        var connection = new TemporalConnection(new HostPort("localhost", server.Port), "default", "key", tls);
        using var channel = Channels.ToTemporal(connection);
        await Check(channel);
        Assert.Equal("CN=client", seen!.Subject);
        Assert.Equal("Bearer key", Assert.Single(server.Calls).Authorization);

        using var otherName = Channels.ToTemporal(connection with { Tls = tls with { ServerName = null } });
        await Assert.ThrowsAsync<RpcException>(() => Check(otherName));
        using var nameUnchecked = Channels.ToTemporal(connection with { Tls = tls with { ServerName = null, DisableHostVerification = true } });
        await Check(nameUnchecked);
        using var unknownCa = Channels.ToTemporal(connection with { Tls = tls with { CaData = null } });
        await Assert.ThrowsAsync<RpcException>(() => Check(unknownCa));
        using var nothingChecked = Channels.ToTemporal(connection with { Tls = tls with { CaData = null, DisableHostVerification = true } });
        await Check(nothingChecked);
    }

    [Fact]
    public void What_is_wrong_with_a_certificate_is_said_with_exit_code_2()
    {
        Failure Fails(TemporalTls tls) => Assert.Throws<Failure>(() => Channels.ToTemporal(new TemporalConnection(new HostPort("h", 1), "default", null, tls)));
        Assert.Equal((2, "The TLS CA certificate /nowhere/ca.pem cannot be read"), Said(Fails(new TemporalTls(CaFile: "/nowhere/ca.pem"))));
        Assert.Equal((2, "The TLS client key is missing"), Said(Fails(new TemporalTls(CertData: "x"))));
        Assert.Equal((2, "The TLS client certificate is not usable"), Said(Fails(new TemporalTls(CertData: "x", KeyData: "y"))));
        using var authority = new Certificates();
        using var one = authority.Issue("one");
        using var other = authority.Issue("other");
        var certificate = one.ExportCertificatePem();
        const string NotIts = "The TLS client key does not belong to the client certificate";
        Assert.Equal((2, NotIts), Said(Fails(new TemporalTls(CertData: certificate, KeyData: Certificates.KeyOf(other)))));
        Assert.Equal((2, NotIts), Said(Fails(new TemporalTls(CertData: certificate, KeyData: RSA.Create(2048).ExportPkcs8PrivateKeyPem()))));
        Assert.Equal((2, "The TLS client key is not usable"), Said(Fails(new TemporalTls(CertData: certificate, KeyData: certificate))));
        var locked = one.GetECDsaPrivateKey()!.ExportEncryptedPkcs8PrivateKeyPem("secret", new PbeParameters(PbeEncryptionAlgorithm.Aes128Cbc, HashAlgorithmName.SHA256, 1));
        Assert.Equal((2, "The TLS client key is protected by a password"), Said(Fails(new TemporalTls(CertData: certificate, KeyData: locked))));
        static (int, string) Said(Failure failure) => (failure.ExitCode, failure.What);
    }

    static async Task Check(GrpcChannel channel) => await new Health.HealthClient(channel).CheckAsync(new HealthCheckRequest(), cancellationToken: Cancel);

    static WebProxy DeadProxy() => new("http://127.0.0.1:9");

    static bool HasIPv6()
    {
        try
        {
            using var socket = new Socket(AddressFamily.InterNetworkV6, SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(new IPEndPoint(IPAddress.IPv6Loopback, 0));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>A proxy that answers one CONNECT as told, and tunnels to a port of this machine.</summary>
    sealed class ConnectProxy : IDisposable
    {
        readonly TcpListener listener = new(IPAddress.Loopback, 0);
        readonly TaskCompletionSource<string> asked = new();

        public ConnectProxy(int target, string answer)
        {
            listener.Start();
            Port = ((IPEndPoint)listener.LocalEndpoint).Port;
            Serve(target, answer).ContinueWith(done => asked.TrySetException(done.Exception!), TaskContinuationOptions.OnlyOnFaulted);
        }

        public int Port { get; }

        public Task<string> Asked => asked.Task;

        async Task Serve(int target, string answer)
        {
            using var client = await listener.AcceptTcpClientAsync();
            var stream = client.GetStream();
            var request = new StringBuilder();
            var buffer = new byte[1024];
            while (!request.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
            {
                request.Append(Encoding.ASCII.GetString(buffer, 0, await stream.ReadAsync(buffer)));
            }
            await stream.WriteAsync(Encoding.ASCII.GetBytes(answer));
            asked.SetResult(request.ToString());
            if (target == 0) return;
            using var server = new TcpClient();
            await server.ConnectAsync(IPAddress.Loopback, target);
            await Task.WhenAny(stream.CopyToAsync(server.GetStream()), server.GetStream().CopyToAsync(stream));
        }

        public void Dispose() => listener.Dispose();
    }
}
