using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Stigmer.Config;
using Stigmer.Rpc;
using Stigmer.Rpc.Temporal;
using Stigmer.Runtime.Temporal;
using Stigmer.Standins;

namespace Stigmer.Tests.Runtime.Temporal;

public sealed class ManagedTemporalTests : IDisposable
{
    const string Version = "9.9.9";

    readonly string folder = Directory.CreateTempSubdirectory("stigmer-managed-").FullName;

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public async Task What_was_downloaded_starts_becomes_ready_keeps_its_database_and_ends_on_SIGTERM()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "the stand-in is a shell script");
        TemporalArchives.Build(Path.Combine(folder, "releases"), Version);
        await using var mirror = await Mirror.Start(Path.Combine(folder, "releases"));
        var home = new StigmerHome(Path.Combine(folder, "home"));
        var settings = new TemporalSettings
        {
            Mode = TemporalMode.Managed, IsDefault = false, Version = Version, Port = 0, Ui = false, UiPort = 0,
            Address = new HostPort("localhost", 7233), Namespace = "default", Mirror = mirror.Url,
        };
        var binary = await TemporalBinary.Acquire(settings, home, null, null, Cancel);
        var database = TemporalDatabases.Choose(home, TemporalDatabases.Maker(binary), DateTimeOffset.UtcNow).File;

        var (first, connection) = await Start(binary.Path, database);
        Assert.StartsWith("stigmer-", await TemporalReadiness.Wait(connection, starting: true, TimeProvider.System, Cancel), StringComparison.Ordinal);
        using (var channel = Channels.ToTemporal(connection))
        {
            await new WorkflowService.WorkflowServiceClient(channel).StartWorkflowExecutionAsync(
                new StartWorkflowExecutionRequest { Namespace = "default", WorkflowId = "w", RequestId = "r", WorkflowType = new() { Name = "t" }, TaskQueue = new() { Name = "q" } }, cancellationToken: Cancel);
        }
        Assert.Equal(0, await Terminate(first));

        var (second, again) = await Start(binary.Path, database);
        await TemporalReadiness.Wait(again, starting: true, TimeProvider.System, Cancel);
        using (var channel = Channels.ToTemporal(again))
        {
            var found = await new WorkflowService.WorkflowServiceClient(channel).DescribeWorkflowExecutionAsync(
                new DescribeWorkflowExecutionRequest { Namespace = "default", Execution = new() { WorkflowId = "w" } }, cancellationToken: Cancel);
            Assert.Equal("t", found.WorkflowExecutionInfo.Type.Name);
        }
        Assert.Equal(0, await Terminate(second));
    }

    /// <summary>Starts it on a free port, and again on another where somebody was faster.</summary>
    static async Task<(Process, TemporalConnection)> Start(string binary, string database)
    {
        while (true)
        {
            int port;
            using (var free = new TcpListener(IPAddress.Loopback, 0))
            {
                free.Start();
                port = ((IPEndPoint)free.LocalEndpoint).Port;
            }
            var process = Process.Start(new ProcessStartInfo(binary, TemporalDevServer.Arguments(port, null, database, "default")) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            // The banner comes when it serves; without one it has ended.
            while (await process.StandardOutput.ReadLineAsync(Cancel) is { } line)
            {
                if (line == $"Server:  localhost:{port}") return (process, new TemporalConnection(new HostPort("localhost", port), "default"));
            }
            var error = await process.StandardError.ReadToEndAsync(Cancel);
            Assert.Contains("address already in use", error, StringComparison.Ordinal);
            process.Dispose();
        }
    }

    static async Task<int> Terminate(Process process)
    {
        using (process)
        {
            using var kill = Process.Start("kill", ["-TERM", $"{process.Id}"]);
            await process.WaitForExitAsync(Cancel);
            return process.ExitCode;
        }
    }
}
