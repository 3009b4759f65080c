using Stigmer.Runtime.Temporal;

namespace Stigmer.Tests.Runtime.Temporal;

public sealed class TemporalServerVersionTests
{
    [Theory]
    [InlineData("temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)\n", "1.29.1")]
    [InlineData("temporal version 1.9.0-rc.1 (Server 1.32.0-153.2, UI 2.44.0)\n", "1.32.0-153.2")]
    [InlineData("temporal version 0.0.0-DEV (server v1.30.0)", "1.30.0")]
    [InlineData("temporal version 1.5.1 (Server unknown)", null)]
    [InlineData("", null)]
    public void The_servers_version_stands_in_the_answer_of_the_binary(string answer, string? version) =>
        Assert.Equal(version, TemporalServerVersion.Parse(answer));

    [Theory]
    [InlineData("yes | head -c 1000000; echo 'Server 1.2.3'")]
    [InlineData("kill -9 $$")]
    [InlineData("exit 3")]
    public async Task A_binary_that_does_not_say_has_none(string script)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "the binary is a shell script");
        var file = Path.GetTempFileName();
        await File.WriteAllTextAsync(file, $"#!/bin/sh\n{script}\n", TestContext.Current.CancellationToken);
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        Assert.Null(await TemporalServerVersion.Ask(file, TimeProvider.System, TestContext.Current.CancellationToken));
        File.Delete(file);
    }
}
