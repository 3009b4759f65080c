using Stigmer.Config;

namespace Stigmer.Tests.Config;

public sealed class HostIdTests : IDisposable
{
    readonly string folder = Path.Combine(Path.GetTempPath(), "stigmer-host-id-" + Guid.NewGuid().ToString("N"));

    [Fact]
    public async Task All_who_come_first_get_the_same_id()
    {
        using var gate = new Barrier(8);
        var ids = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Factory.StartNew(
            () =>
            {
                gate.SignalAndWait(TestContext.Current.CancellationToken);
                return HostId.In(folder);
            },
            TestContext.Current.CancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default)));
        Assert.Single(ids.Distinct());
        Assert.Matches("^[0-9a-f]{32}$", ids[0]);
        Assert.Equal(ids[0], HostId.In(folder));
        Assert.Equal(["host-id"], Directory.GetFiles(folder).Select(Path.GetFileName));
        if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(folder, "host-id")));
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);
}
