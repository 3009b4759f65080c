using Stigmer.Processes;

namespace Stigmer.Tests.Processes;

public sealed class ProcessIdentityTests
{
    const string Rest = " S 1 7 8 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 1000 200";

    [Theory]
    [InlineData("7 (sleep)")]
    [InlineData("7 (a b)")]
    [InlineData("7 (odd) S 1 (name))")]
    [InlineData("7 ()")]
    [InlineData("7 ((((\n)")]
    public void The_start_time_is_found_behind_any_name(string before) =>
        Assert.Equal(('S', 7, 4711L), LinuxProcessTable.ParseStat(before + Rest));

    [Theory]
    [InlineData("")]
    [InlineData("7 (sleep")]
    [InlineData("7 (sleep) S 1 2")]
    public void A_torn_line_is_no_process(string line) => Assert.Null(LinuxProcessTable.ParseStat(line));

    [Fact]
    public void This_process_is_alive_and_the_same_number_with_another_start_is_not()
    {
        var self = ProcessIdentity.Of(Environment.ProcessId);
        Assert.NotNull(self);
        Assert.True(self.IsAlive);
        var earlier = self with { Start = self.Start - 1 };
        Assert.False(earlier.IsAlive);
        Assert.False(earlier.Kill());
        Assert.False((self with { Boot = "another" }).AskToEnd());
    }

    [Theory]
    [InlineData(0, 0, null)]
    [InlineData(0x0700, 7, null)]
    [InlineData(9, null, 9)]
    [InlineData(0x8b, null, 11)]
    public void A_wait_status_is_read_as_POSIX_says(int status, int? code, int? signal) =>
        Assert.Equal(new ExitStatus(code, signal), ExitStatus.FromWait(status));
}
