using Stigmer.Agents;

namespace Stigmer.Tests.Agents;

public sealed class RunnerOptionsTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("stigmer-runner-").FullName;
    readonly Dictionary<string, string> environment = [];

    public RunnerOptionsTests()
    {
        environment["TEMPORAL_SERVICE_ADDRESS"] = "temporal.example:7233";
        environment["STIGMER_SERVER"] = "localhost:50051";
        environment["STIGMER_TOKEN"] = "secret\n";
        environment["STIGMER_DATA_DIR"] = folder;
    }

    RunnerOptions Read() => RunnerOptions.From(environment.GetValueOrDefault, null);

    [Theory]
    [InlineData("TEMPORAL_SERVICE_ADDRESS")]
    [InlineData("STIGMER_SERVER")]
    [InlineData("STIGMER_TOKEN")]
    public void What_is_missing_is_named(string variable)
    {
        environment.Remove(variable);
        var failure = Assert.Throws<Failure>(Read);
        Assert.Equal((ExitCode.Usage, $"{variable} is not set"), (failure.ExitCode, failure.What));
    }

    [Fact]
    public void The_embedded_engine_takes_the_servers_token()
    {
        Assert.Null(Read().Temporal.ApiKey);
        environment["TEMPORAL_SERVICE_ADDRESS"] = "localhost:50051";
        Assert.Equal("secret", Read().Temporal.ApiKey);
    }

    [Theory]
    [InlineData("localhost:50051", "localhost:50051", false)]
    [InlineData("team.example:50051", "team.example:50051", true)]
    [InlineData("https://team.example", "team.example:443", true)]
    [InlineData("https://localhost:50051/", "localhost:50051", true)]
    [InlineData("http://tunnel:50051", "tunnel:50051", false)]
    public void A_server_elsewhere_is_spoken_to_by_TLS_unless_its_address_says_otherwise(string text, string address, bool tls)
    {
        environment["STIGMER_SERVER"] = text;
        Assert.Equal((address, tls), (Read().Server.ToString(), Read().ServerTls is not null));
    }

    [Fact]
    public void Every_start_is_another_life_of_the_same_host()
    {
        var (first, second) = (Read(), Read());
        Assert.NotEqual(first.Life, second.Life);
        Assert.Equal(first.HostId, second.HostId);
        environment["STIGMER_RUNNER_LIFE"] = "given";
        Assert.Empty(Read().Replaces);
        environment["STIGMER_RUNNER_REPLACES"] = "before earlier";
        Assert.Equal("given", Read().Life);
        Assert.Equal(["before", "earlier"], Read().Replaces);
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);
}
