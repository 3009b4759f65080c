using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.Time.Testing;
using Stigmer.Config;
using Stigmer.Rpc;
using Stigmer.Rpc.Temporal;
using Stigmer.Runtime.Temporal;
using Stigmer.Standins;
using Stigmer.Tests.Rpc;

namespace Stigmer.Tests.Runtime.Temporal;

/// <summary>What is wrong with a Temporal that others run, told apart.</summary>
public sealed class ExternalTemporalTests : IDisposable
{
    readonly Certificates ours = new("ours");

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => ours.Dispose();

    [Fact]
    public async Task One_that_can_be_used_tells_its_version()
    {
        using var certificate = ours.Issue("localhost");
        await using var server = await FakeTemporal.Start(new HttpsConnectionAdapterOptions { ServerCertificate = certificate });
        Assert.Equal("1.31.2", await TemporalReadiness.Check(server.Connection(new TemporalTls(CaData: ours.Authority)), TimeProvider.System, Cancel));
    }

    [Fact]
    public async Task A_name_that_does_not_resolve()
    {
        var failure = await Fails(new TemporalConnection(new HostPort("temporal.invalid", 7233), "default"));
        Assert.Equal("Temporal at temporal.invalid:7233 cannot be reached", failure.What);
        Assert.StartsWith("the name temporal.invalid ", failure.Why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_port_where_nobody_listens()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var address = new HostPort("127.0.0.1", ((IPEndPoint)listener.LocalEndpoint).Port);
        listener.Stop();
        Said($"Temporal at {address} cannot be reached", "the connection is refused: nobody listens on that port", await Fails(new TemporalConnection(address, "default")));
    }

    [Fact]
    public async Task One_that_takes_the_connection_and_says_nothing()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var address = new HostPort("127.0.0.1", ((IPEndPoint)listener.LocalEndpoint).Port);
        var time = new FakeTimeProvider();
        var checking = TemporalReadiness.Check(new TemporalConnection(address, "default"), time, Cancel);
        using var taken = await listener.AcceptTcpClientAsync(Cancel);
        // Once it has been greeted, the time for its answer runs.
        await taken.GetStream().ReadExactlyAsync(new byte[33], Cancel);
        time.Advance(TimeSpan.FromSeconds(5));
        Said($"Temporal at {address} cannot be used", "it takes the connection and does not answer within 5 s", await Assert.ThrowsAsync<Failure>(() => checking));
    }

    [Fact]
    public async Task One_that_takes_the_connection_and_hangs_up()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var address = new HostPort("127.0.0.1", ((IPEndPoint)listener.LocalEndpoint).Port);
        _ = HangUp(listener);
        Said($"Temporal at {address} cannot be used", "it takes the connection and hangs up", await Fails(new TemporalConnection(address, "default")));

        static async Task HangUp(TcpListener listener)
        {
            // Until the listener is stopped.
            while (true) (await listener.AcceptTcpClientAsync()).Dispose();
        }
    }

    [Fact]
    public async Task TLS_where_there_is_none_and_none_where_there_is()
    {
        await using var plain = await FakeTemporal.Start();
        Said($"There is no TLS with Temporal at {plain.Address}", "it speaks plaintext", await Fails(plain.Connection(new TemporalTls())));
        using var certificate = ours.Issue("localhost");
        await using var secure = await FakeTemporal.Start(new HttpsConnectionAdapterOptions { ServerCertificate = certificate });
        Said($"Temporal at {secure.Address} wants TLS", "plaintext was tried, since nothing says that it is TLS", await Fails(secure.Connection()));
    }

    [Fact]
    public async Task A_certificate_for_another_name_of_another_authority_or_of_yesterday()
    {
        using var named = ours.Issue("temporal.example");
        await using (var server = await FakeTemporal.Start(new HttpsConnectionAdapterOptions { ServerCertificate = named }))
        {
            var tls = new TemporalTls(CaData: ours.Authority);
            Said($"The certificate of Temporal at {server.Address} is not for the name localhost", "it is for temporal.example", await Fails(server.Connection(tls)));
            await TemporalReadiness.Check(server.Connection(tls with { ServerName = "temporal.example" }), TimeProvider.System, Cancel);
            await TemporalReadiness.Check(server.Connection(tls with { DisableHostVerification = true }), TimeProvider.System, Cancel);

            var unknown = $"The certificate of Temporal at {server.Address} is of an authority that is not trusted";
            Said(unknown, "it was issued by CN=ours, which this machine does not know", await Fails(server.Connection(new TemporalTls())));
            using var theirs = new Certificates("theirs");
            Said(unknown, "it was issued by CN=ours, which is not the authority that is configured", await Fails(server.Connection(new TemporalTls(CaData: theirs.Authority))));
        }
        using var expired = ours.Issue("localhost", expired: true);
        await using (var server = await FakeTemporal.Start(new HttpsConnectionAdapterOptions { ServerCertificate = expired }))
        {
            var failure = await Fails(server.Connection(new TemporalTls(CaData: ours.Authority)));
            Assert.Equal($"The certificate of Temporal at {server.Address} has expired", failure.What);
            Assert.StartsWith("it was valid until ", failure.Why, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(System.Security.Authentication.SslProtocols.Tls12)]
    [InlineData(System.Security.Authentication.SslProtocols.Tls13)]
    public async Task A_server_that_wants_a_client_certificate_and_one_that_does_not_take_ours(System.Security.Authentication.SslProtocols protocol)
    {
        using var certificate = ours.Issue("localhost");
        await using var server = await FakeTemporal.Start(new HttpsConnectionAdapterOptions
        {
            ServerCertificate = certificate,
            SslProtocols = protocol,
            ClientCertificateMode = ClientCertificateMode.RequireCertificate,
            ClientCertificateValidation = (client, _, _) => client.Issuer == "CN=ours" && client.NotAfter > DateTime.Now,
        });
        var tls = new TemporalTls(CaData: ours.Authority);
        Said($"Temporal at {server.Address} wants a client certificate", "it asked for one, and none is configured", await Fails(server.Connection(tls)));

        await TemporalReadiness.Check(server.Connection(With(tls, ours.Issue("me"))), TimeProvider.System, Cancel);
        using var theirs = new Certificates("theirs");
        var rejected = $"Temporal at {server.Address} does not take our client certificate";
        Said(rejected, "CN=me, issued by CN=theirs: it hung up", await Fails(server.Connection(With(tls, theirs.Issue("me")))));
        var expired = await Fails(server.Connection(With(tls, ours.Issue("me", expired: true))));
        Assert.Equal(rejected, expired.What);
        Assert.StartsWith("CN=me, issued by CN=ours: it was valid until ", expired.Why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_web_server_with_and_without_TLS()
    {
        await using var plain = await Loopback.Http(map => map.MapGet("/", () => Results.Text("hello")));
        var address = new HostPort("localhost", plain.Port());
        const string Web = "it is a web server: it speaks HTTP/1.1, and gRPC needs HTTP/2";
        Said($"What answers at {address} is no Temporal", Web, await Fails(new TemporalConnection(address, "default")));
        Said($"What answers at {address} is no Temporal", Web, await Fails(new TemporalConnection(address, "default", null, new TemporalTls())));
    }

    [Fact]
    public async Task A_gRPC_server_that_is_no_Temporal()
    {
        await using var server = await GrpcEcho.Start();
        var address = new HostPort("localhost", server.Port);
        Said($"What answers at {address} is no Temporal", "it does not know Temporal's service", await Fails(new TemporalConnection(address, "default")));
    }

    [Theory]
    [InlineData(StatusCode.Unauthenticated, null, "wants an API key")]
    [InlineData(StatusCode.Unauthenticated, "k", "rejects the API key")]
    [InlineData(StatusCode.PermissionDenied, "k", "rejects the API key")]
    [InlineData(StatusCode.PermissionDenied, null, "does not let us into namespace default")]
    public async Task A_key_that_is_missing_or_not_taken(StatusCode code, string? key, string what)
    {
        await using var server = await FakeTemporal.Start(namespaceError: new Status(code, "no entry"));
        var failure = await Fails(server.Connection() with { ApiKey = key });
        Assert.Equal($"Temporal at {server.Address} {what}", failure.What);
        Assert.EndsWith("it answers 'no entry'", failure.Why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_namespace_that_is_not_there()
    {
        await using var server = await FakeTemporal.Start(namespaceError: new Status(StatusCode.NotFound, "Namespace team is not found."));
        Said($"Namespace team does not exist at {server.Address}", null, await Fails(server.Connection() with { Namespace = "team" }));
    }

    [Theory]
    [InlineData("1.23.1", "its version is 1.23.1; Stigmer needs 1.24 or later")]
    [InlineData("1.20.0-rc.1", "its version is 1.20.0-rc.1; Stigmer needs 1.24 or later")]
    [InlineData(null, "it does not tell its version, which every server does since 1.15; Stigmer needs 1.24 or later")]
    public async Task A_server_that_is_too_old(string? version, string why)
    {
        await using var server = await FakeTemporal.Start(version: version);
        Said($"The server at {server.Address} is too old", why, await Fails(server.Connection()));
    }

    [Fact]
    public async Task A_look_tells_what_happened_to_one_that_ran()
    {
        var server = await FakeTemporal.Start();
        var connection = server.Connection();
        Assert.Equal((true, 3, null), await TemporalReadiness.Look(connection, TimeProvider.System, Cancel));
        await server.DisposeAsync();
        Assert.Equal(
            (false, null, $"Temporal at {server.Address} cannot be reached: the connection is refused: nobody listens on that port"), await TemporalReadiness.Look(connection, TimeProvider.System, Cancel));
    }

    static TemporalTls With(TemporalTls tls, X509Certificate2 certificate) => tls with { CertData = certificate.ExportCertificatePem(), KeyData = Certificates.KeyOf(certificate) };

    static async Task<Failure> Fails(TemporalConnection connection)
    {
        var failure = await Assert.ThrowsAsync<Failure>(() => TemporalReadiness.Check(connection, TimeProvider.System, Cancel));
        Assert.Equal(ExitCode.Failed, failure.ExitCode);
        Assert.NotNull(failure.Remedy);
        return failure;
    }

    static void Said(string what, string? why, Failure failure) => Assert.Equal((what, why), (failure.What, failure.Why));

    /// <summary>Says that it is well, who it is, and whether the namespace is there.</summary>
    sealed class FakeTemporal(string? version, Status? namespaceError) : WorkflowService.WorkflowServiceBase, IAsyncDisposable
    {
        WebApplication app = null!;

        public HostPort Address { get; private set; }

        public static async Task<FakeTemporal> Start(HttpsConnectionAdapterOptions? tls = null, string? version = "1.31.2", Status? namespaceError = null)
        {
            var fake = new FakeTemporal(version, namespaceError);
            fake.app = await Loopback.Grpc(fake, tls: tls);
            fake.Address = new HostPort("localhost", fake.app.Port());
            return fake;
        }

        public TemporalConnection Connection(TemporalTls? tls = null) => new(Address, "default", null, tls);

        public override Task<DescribeNamespaceResponse> DescribeNamespace(DescribeNamespaceRequest request, ServerCallContext context) =>
            namespaceError is { } error ? throw new RpcException(error) : Task.FromResult(new DescribeNamespaceResponse());

        public override Task<GetSystemInfoResponse> GetSystemInfo(GetSystemInfoRequest request, ServerCallContext context) =>
            version is null ? throw new RpcException(new Status(StatusCode.Unimplemented, "unknown method")) : Task.FromResult(new GetSystemInfoResponse { ServerVersion = version });

        public override Task<CountWorkflowExecutionsResponse> CountWorkflowExecutions(CountWorkflowExecutionsRequest request, ServerCallContext context) =>
            Task.FromResult(new CountWorkflowExecutionsResponse { Count = 3 });

        public ValueTask DisposeAsync() => app.DisposeAsync();
    }
}
