using Stigmer.Config;

namespace Stigmer.Tests.Config;

public class HostPortTests
{
    [Theory]
    [InlineData("localhost:50051", "localhost", 50051)]
    [InlineData("[::1]:0", "[::1]", 0)]
    public void A_host_and_a_port_are_read(string text, string host, int port)
    {
        Assert.True(HostPort.TryParse(text, out var value));
        Assert.Equal(new HostPort(host, port), value);
        Assert.Equal(text, value.ToString());
    }

    [Theory]
    [InlineData("localhost")]
    [InlineData(":7233")]
    [InlineData("::1:7233")]
    [InlineData("localhost:99999")]
    [InlineData("http://localhost:7233")]
    public void Anything_else_is_refused(string text) => Assert.False(HostPort.TryParse(text, out _));
}
