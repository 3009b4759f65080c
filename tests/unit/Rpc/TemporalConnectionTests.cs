using Grpc.Health.V1;
using Stigmer.Config;
using Stigmer.Rpc;

namespace Stigmer.Tests.Rpc;

public class TemporalConnectionTests
{
    static readonly HostPort Address = new("temporal.example", 7233);

    public static TheoryData<string> Names => [.. Connections.Keys];

    static Dictionary<string, TemporalConnection> Connections => new()
    {
        ["plain"] = new(Address, "default"),
        ["plaintext with a key"] = new(Address, "team", "key"),
        ["TLS"] = new(Address, "default", null, new TemporalTls()),
        ["TLS with files"] = new(Address, "default", "key", new TemporalTls(CaFile: "/ca", CertFile: "/cert", KeyFile: "/key", ServerName: "name")),
        ["TLS with data"] = new(new HostPort("[::1]", 1), "default", null, new TemporalTls(CaData: "a\nb", CertData: "c", KeyData: "d", DisableHostVerification: true)),
    };

    [Theory]
    [MemberData(nameof(Names))]
    public void What_a_child_reads_is_what_was_handed_to_it(string name)
    {
        var connection = Connections[name];
        var environment = connection.ToEnvironment().ToDictionary();
        Assert.Equal(connection, TemporalConnection.From(environment.GetValueOrDefault));
    }

    [Fact]
    public void Without_an_address_there_is_none() => Assert.Null(From(("TEMPORAL_NAMESPACE", "team")));

    [Fact]
    public void A_key_switches_TLS_on_unless_it_is_switched_off()
    {
        Assert.NotNull(From(("TEMPORAL_SERVICE_ADDRESS", "h:1"), ("TEMPORAL_API_KEY", "k"))!.Tls);
        Assert.Null(From(("TEMPORAL_SERVICE_ADDRESS", "h:1"), ("TEMPORAL_API_KEY", "k"), ("TEMPORAL_TLS", "false"))!.Tls);
    }

    [Fact]
    public void A_certificate_switches_TLS_on() =>
        Assert.Equal("/ca", From(("TEMPORAL_SERVICE_ADDRESS", "h:1"), ("TEMPORAL_TLS_SERVER_CA_CERT_PATH", "/ca"))!.Tls!.CaFile);

    [Theory]
    [InlineData("TEMPORAL_SERVICE_ADDRESS", "http://h:1")]
    [InlineData("TEMPORAL_TLS", "yes")]
    [InlineData("TEMPORAL_TLS_DISABLE_HOST_VERIFICATION", "maybe")]
    public void A_value_that_cannot_be_is_refused_by_name(string name, string value)
    {
        var failure = Assert.Throws<Failure>(() => From(("TEMPORAL_SERVICE_ADDRESS", name == "TEMPORAL_SERVICE_ADDRESS" ? value : "h:1"), (name, value)));
        Assert.Equal(2, failure.ExitCode);
        Assert.Contains(name, failure.What, StringComparison.Ordinal);
    }

    [Fact]
    public void Its_text_holds_no_secret() =>
        Assert.DoesNotContain("key", new TemporalConnection(Address, "default", "key", new TemporalTls(KeyData: "key")).ToString(), StringComparison.Ordinal);

    [Fact]
    public async Task Headers_of_ones_own_go_with_every_call_and_to_every_child()
    {
        (string, string)[] variables = [("TEMPORAL_SERVICE_ADDRESS", "h:1"), ("TEMPORAL_GRPC_META_X_TEAM", "blue"), ("TEMPORAL_GRPC_META_EMPTY", ""), ("TEMPORAL_GRPC_META_TEMPORAL_NAMESPACE", "other")];
        var connection = From(variables)!;
        Assert.Equal(new Dictionary<string, string> { ["x-team"] = "blue", ["temporal-namespace"] = "other" }, connection.Metadata);
        Assert.Contains(new("TEMPORAL_GRPC_META_X_TEAM", "blue"), connection.ToEnvironment());
        await using var server = await GrpcEcho.Start();
        using var channel = Channels.ToTemporal(connection with { Address = new HostPort("127.0.0.1", server.Port) });
        await new Health.HealthClient(channel).CheckAsync(new HealthCheckRequest(), cancellationToken: TestContext.Current.CancellationToken);
        var call = Assert.Single(server.Calls);
        Assert.Equal(("blue", "other"), (call["x-team"].ToString(), call["temporal-namespace"].ToString()));
    }

    [Fact]
    public void A_header_that_cannot_be_sent_is_refused_without_its_value()
    {
        var failure = Assert.Throws<Failure>(() => From(("TEMPORAL_SERVICE_ADDRESS", "h:1"), ("TEMPORAL_GRPC_META_X", "sec\nret")));
        Assert.Equal(2, failure.ExitCode);
        Assert.DoesNotContain("sec", failure.ToString(), StringComparison.Ordinal);
    }

    static TemporalConnection? From(params (string Name, string Value)[] environment) =>
        TemporalConnection.From(name => environment.FirstOrDefault(pair => pair.Name == name).Value, environment.Select(pair => pair.Name));
}
