using Stigmer.Rpc;

namespace Stigmer.Tests.Rpc;

public class ProxyTests
{
    [Theory]
    [InlineData("*")]
    [InlineData("example.com")]
    [InlineData(".example.com")]
    [InlineData("*.example.com")]
    [InlineData("EXAMPLE.com.")]
    [InlineData("other.org, mirror.example.com")]
    [InlineData("other.org mirror.example.com:443")]
    public void A_place_that_NO_PROXY_names_is_excepted(string exceptions) => Assert.True(Proxy.IsExcepted(new Uri("https://mirror.example.com/x"), exceptions));

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData(" , ")]
    [InlineData("ample.com")]
    [InlineData("mirror.example.com:80")]
    [InlineData("a.mirror.example.com")]
    [InlineData("10.0.0.0/8")]
    [InlineData(".")]
    public void Another_place_is_not(string? exceptions) => Assert.False(Proxy.IsExcepted(new Uri("https://mirror.example.com/x"), exceptions));

    [Theory]
    [InlineData("http://10.1.2.3/", "10.0.0.0/8", true)]
    [InlineData("http://10.1.2.3:8080/", "10.1.2.3:8080", true)]
    [InlineData("http://10.1.2.3/", "10.1.2.4,11.0.0.0/8", false)]
    [InlineData("http://110.1.2.3/", "10.1.2.3", false)]
    [InlineData("http://[fd00::1]/", "fd00::/8", true)]
    [InlineData("http://[fd00::1]:81/", "[fd00::1]:81", true)]
    [InlineData("http://[fd00::1]/", "fd00::1", true)]
    [InlineData("http://[fd00::1]/", "[fd00::1]:81", false)]
    public void Addresses_are_compared_as_addresses(string place, string exceptions, bool excepted) => Assert.Equal(excepted, Proxy.IsExcepted(new Uri(place), exceptions));
}
