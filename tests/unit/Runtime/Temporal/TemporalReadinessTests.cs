using System.Net;
using System.Net.Sockets;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.HealthCheck;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using Stigmer.Config;
using Stigmer.Rpc;
using Stigmer.Rpc.Temporal;
using Stigmer.Runtime.Temporal;
using Stigmer.Standins;

namespace Stigmer.Tests.Runtime.Temporal;

public class TemporalReadinessTests
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_starting_server_is_ready_when_it_listens_is_healthy_and_its_namespace_is_there()
    {
        int port;
        using (var free = new TcpListener(IPAddress.Loopback, 0))
        {
            free.Start();
            port = ((IPEndPoint)free.LocalEndpoint).Port;
        }
        var reasons = new Reasons();
        var ready = TemporalReadiness.Wait(To(port), starting: true, TimeProvider.System, Cancel, reasons.Add);
        await reasons.Next("refused");

        var frontend = new Frontend { NamespaceStatus = StatusCode.NotFound };
        await using var server = await Serve(frontend, port);
        // Its health service does not know the service, then says that it does not serve.
        await reasons.Next("does not serve yet");
        server.Services.GetRequiredService<HealthServiceImpl>().SetStatus(WorkflowService.Descriptor.FullName, HealthCheckResponse.Types.ServingStatus.NotServing);
        await reasons.Next("does not serve yet");
        server.Services.GetRequiredService<HealthServiceImpl>().SetStatus(WorkflowService.Descriptor.FullName, HealthCheckResponse.Types.ServingStatus.Serving);
        await reasons.Next("namespace team is not there yet");
        Assert.False(ready.IsCompleted);
        frontend.NamespaceStatus = StatusCode.OK;
        Assert.Equal("1.31.2", await ready);
    }

    [Theory]
    [InlineData(StatusCode.NotFound, "Namespace team does not exist at")]
    [InlineData(StatusCode.Unauthenticated, "wants an API key")]
    [InlineData(StatusCode.PermissionDenied, "does not let us into namespace team")]
    public async Task What_waiting_does_not_change_is_a_failure(StatusCode status, string what)
    {
        await using var server = await Serve(new Frontend { NamespaceStatus = status }, 0);
        server.Services.GetRequiredService<HealthServiceImpl>().SetStatus(WorkflowService.Descriptor.FullName, HealthCheckResponse.Types.ServingStatus.Serving);
        var failure = await Assert.ThrowsAsync<Failure>(() => TemporalReadiness.Wait(To(new Uri(server.Urls.Single()).Port), starting: false, TimeProvider.System, Cancel));
        Assert.Contains(what, failure.What, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Plaintext_where_TLS_is_wanted_is_a_failure_at_once(bool starting)
    {
        await using var server = await Serve(new Frontend(), 0);
        var connection = To(new Uri(server.Urls.Single()).Port) with { Tls = new TemporalTls() };
        var failure = await Assert.ThrowsAsync<Failure>(() => TemporalReadiness.Wait(connection, starting, TimeProvider.System, Cancel));
        Assert.Contains("There is no TLS with Temporal at localhost:", failure.What, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_Temporal_of_others_that_takes_no_connection_is_a_failure_at_once()
    {
        int port;
        using (var free = new TcpListener(IPAddress.Loopback, 0))
        {
            free.Start();
            port = ((IPEndPoint)free.LocalEndpoint).Port;
        }
        // A clock that stands still: no patience of any length comes to an end.
        var failure = await Assert.ThrowsAsync<Failure>(() => TemporalReadiness.Check(To(port), new FakeTimeProvider(DateTimeOffset.UtcNow), Cancel));
        Assert.Equal($"Temporal at localhost:{port} cannot be reached", failure.What);
        Assert.Contains("refused", failure.Why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_Temporal_of_others_that_does_not_serve_is_waited_for_ten_seconds()
    {
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await Serve(new Frontend(), 0, () => asked.TrySetResult());
        server.Services.GetRequiredService<HealthServiceImpl>().SetStatus(WorkflowService.Descriptor.FullName, HealthCheckResponse.Types.ServingStatus.NotServing);
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow);
        var check = TemporalReadiness.Check(To(new Uri(server.Urls.Single()).Port), time, Cancel);
        // It is connected and was asked how it is.
        await asked.Task;
        time.Advance(TimeSpan.FromSeconds(11));
        Assert.EndsWith("cannot be used", (await Assert.ThrowsAsync<Failure>(() => check)).What, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Waiting_can_be_given_up()
    {
        await using var server = await Serve(new Frontend(), 0);
        using var cancel = new CancellationTokenSource();
        var reasons = new Reasons();
        var ready = TemporalReadiness.Wait(To(new Uri(server.Urls.Single()).Port), starting: true, TimeProvider.System, cancel.Token, reasons.Add);
        await reasons.Next("does not serve yet");
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => ready);
    }

    static TemporalConnection To(int port) => new(new HostPort("localhost", port), "team");

    static Task<WebApplication> Serve(Frontend frontend, int port, Action? asked = null) => Loopback.Grpc(
        services => services.AddSingleton(new HealthServiceImpl()).AddSingleton(frontend),
        app =>
        {
            app.Use(next => context =>
            {
                asked?.Invoke();
                return next(context);
            });
            app.MapGrpcService<HealthServiceImpl>();
            app.MapGrpcService<Frontend>();
        },
        port);

    sealed class Frontend : WorkflowService.WorkflowServiceBase
    {
        public StatusCode NamespaceStatus { get; set; }

        public override Task<DescribeNamespaceResponse> DescribeNamespace(DescribeNamespaceRequest request, ServerCallContext context) =>
            NamespaceStatus == StatusCode.OK && request.Namespace == "team" ? Task.FromResult(new DescribeNamespaceResponse()) : throw new RpcException(new Status(NamespaceStatus, "no"));

        public override Task<GetSystemInfoResponse> GetSystemInfo(GetSystemInfoRequest request, ServerCallContext context) =>
            Task.FromResult(new GetSystemInfoResponse { ServerVersion = "1.31.2" });
    }

    /// <summary>Why it is not ready, as it is told.</summary>
    sealed class Reasons
    {
        readonly System.Threading.Channels.Channel<string> told = System.Threading.Channels.Channel.CreateUnbounded<string>();

        public void Add(string reason) => told.Writer.TryWrite(reason);

        public async Task Next(string reason)
        {
            while (!(await told.Reader.ReadAsync(Cancel)).Contains(reason, StringComparison.OrdinalIgnoreCase))
            {
            }
        }
    }
}
