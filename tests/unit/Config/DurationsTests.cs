using Stigmer.Config;

namespace Stigmer.Tests.Config;

public class DurationsTests
{
    [Theory]
    [InlineData("90", 90_000)]
    [InlineData("250ms", 250)]
    [InlineData("10s", 10_000)]
    [InlineData("30m", 1_800_000)]
    [InlineData("1.5h", 5_400_000)]
    [InlineData("7d", 604_800_000)]
    [InlineData("0", 0)]
    public void A_number_and_a_unit_are_read(string text, long milliseconds)
    {
        Assert.True(Durations.TryParse(text, out var value));
        Assert.Equal(milliseconds, value.TotalMilliseconds);
    }

    [Theory]
    [InlineData("")]
    [InlineData("s")]
    [InlineData("-1s")]
    [InlineData("10 s")]
    [InlineData("1w")]
    [InlineData("1e3")]
    [InlineData("NaN")]
    [InlineData("999999999d")]
    public void Anything_else_is_refused(string text) => Assert.False(Durations.TryParse(text, out _));
}
