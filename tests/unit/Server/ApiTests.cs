using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Grpc.Core;
using Grpc.Health.V1;
using Stigmer.Rpc;
using Stigmer.Rpc.Temporal;
using Stigmer.Rpc.V1;

namespace Stigmer.Tests.Server;

public class ApiTests
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("wrong")]
    [InlineData("s3cret ")]
    public async Task A_call_without_the_token_is_refused_and_health_needs_none(string token)
    {
        await using var server = await RunningServer.Start();
        using var channel = Channels.ToServer(server.Address, token);
        var refused = await Assert.ThrowsAsync<RpcException>(() => new RunService.RunServiceClient(channel).ListRunsAsync(new ListRunsRequest(), cancellationToken: Cancel).ResponseAsync);
        Assert.Equal(StatusCode.Unauthenticated, refused.StatusCode);
        var engine = await Assert.ThrowsAsync<RpcException>(
            () => new WorkflowService.WorkflowServiceClient(channel).DescribeNamespaceAsync(new DescribeNamespaceRequest { Namespace = "default" }, cancellationToken: Cancel).ResponseAsync);
        Assert.Equal(StatusCode.Unauthenticated, engine.StatusCode);
        foreach (var service in new[] { "", "stigmer.v1.RunService", "temporal.api.workflowservice.v1.WorkflowService" })
        {
            var health = await new Health.HealthClient(channel).CheckAsync(new HealthCheckRequest { Service = service }, cancellationToken: Cancel);
            Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving, health.Status);
        }
    }

    [Fact]
    public async Task Localhost_is_both_loopback_addresses_on_one_port()
    {
        await using var server = await RunningServer.Start();
        foreach (var host in System.Net.Sockets.Socket.OSSupportsIPv6 ? new[] { "127.0.0.1", "[::1]" } : ["127.0.0.1"])
        {
            using var channel = Channels.ToServer(server.Address with { Host = host }, RunningServer.Token);
            Assert.Empty((await new RunService.RunServiceClient(channel).ListRunsAsync(new ListRunsRequest(), cancellationToken: Cancel)).Runs);
        }
    }

    [Fact]
    public async Task Every_method_of_its_services_is_answered_and_others_are_unimplemented()
    {
        await using var server = await RunningServer.Start();
        using var http = new HttpClient();
        http.DefaultRequestHeaders.Add("authorization", $"Bearer {RunningServer.Token}");
        // Without a message, so that no method can do anything; Unimplemented is 12.
        async Task<string> Status(string path)
        {
            var request = new HttpRequestMessage(HttpMethod.Post, $"http://{server.Address}/{path}")
            {
                Version = System.Net.HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact, Content = new ByteArrayContent([]),
            };
            request.Content.Headers.ContentType = new("application/grpc");
            using var response = await http.SendAsync(request, Cancel);
            await response.Content.ReadAsByteArrayAsync(Cancel);
            return (response.TrailingHeaders.TryGetValues("grpc-status", out var trailer) ? trailer : response.Headers.GetValues("grpc-status")).Single();
        }
        foreach (var service in new[] { AgentService.Descriptor, RunService.Descriptor, RunnerService.Descriptor, Health.Descriptor })
        {
            foreach (var method in service.Methods.Where(m => m.Name != "List")) Assert.NotEqual("12", await Status($"{service.FullName}/{method.Name}"));
        }
        Assert.NotEqual("12", await Status("temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution"));
        Assert.Equal("12", await Status("temporal.api.workflowservice.v1.WorkflowService/UpdateWorkflowExecution"));
    }

    [Fact]
    public async Task With_a_certificate_it_speaks_TLS_and_still_reaches_its_own_engine()
    {
        var folder = Directory.CreateTempSubdirectory("stigmer-tls-").FullName;
        try
        {
            var (cert, key) = (Path.Combine(folder, "cert.pem"), Path.Combine(folder, "key.pem"));
            using (var rsa = RSA.Create(2048))
            {
                var request = new CertificateRequest("CN=localhost", rsa, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
                var names = new SubjectAlternativeNameBuilder();
                names.AddDnsName("localhost");
                request.CertificateExtensions.Add(names.Build());
                using var made = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
                await File.WriteAllTextAsync(cert, made.ExportCertificatePem(), Cancel);
                await File.WriteAllTextAsync(key, rsa.ExportPkcs8PrivateKeyPem(), Cancel);
            }
            await using var server = await RunningServer.Start(cert: cert, key: key);
            var run = await server.Begin();
            using var watch = server.Runs.WatchRun(new WatchRunRequest { Run = run }, cancellationToken: Cancel);
            // Bound: the engine inside has said who it is.
            var shown = (await Next(watch)).Run;
            while (shown.Engine.Length == 0) shown = await Until(watch, r => r.Changed);
            Assert.Equal("embedded", shown.Engine);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [InlineData("0.0.0.0:50051", null, null)]
    [InlineData("localhost:50051", "cert.pem", null)]
    [InlineData("nonsense", null, null)]
    public void Options_that_cannot_be_are_refused_with_exit_code_2(string listen, string? cert, string? key) =>
        Assert.Equal(ExitCode.Usage, Assert.Throws<Failure>(() => Stigmer.Commands.Server.Options(_ => null, listen, cert, key)).ExitCode);

    [Fact]
    public async Task A_port_that_is_taken_is_named()
    {
        await using var server = await RunningServer.Start();
        Assert.Contains($"{server.Address.Port}", Assert.Throws<Failure>(() => Stigmer.Server.Api.Listener.Bind(server.Address)).What);
    }

    [Fact]
    public async Task A_watcher_sees_what_was_and_what_comes_in_the_order_of_the_places_and_then_the_end()
    {
        await using var engine = await FakeEngine.Start();
        await using var server = await RunningServer.Start(engine);
        var run = await server.Begin();
        await engine.Until($"start {run}/1/1");
        await server.Answer(run, 1, "looking", $"{run}/1/1", Store.Call(1), Store.Call(2));

        using var watch = server.Runs.WatchRun(new WatchRunRequest { Run = run[..6] }, cancellationToken: Cancel);
        Assert.Equal(run, (await Next(watch)).Run.Id);
        Assert.Equal("hello", (await Next(watch)).Entry.User.Text);
        Assert.Equal("looking", (await Next(watch)).Entry.Answer.Text);

        // Stored in the other order, shown in the order of the slots.
        await Result(server, run, 2);
        await Result(server, run, 1);
        Assert.Equal(1, (await Entry(watch)).Slot);
        Assert.Equal(2, (await Entry(watch)).Slot);

        using var deltas = server.Runners.PublishDeltas(cancellationToken: Cancel);
        var slot = new SlotKey { RunId = run, Turn = 1, Step = 2 };
        await server.Runners.ClaimAsync(new ClaimRequest { Slot = slot, Caller = Caller(run) }, cancellationToken: Cancel);
        await deltas.RequestStream.WriteAsync(new PublishDeltasRequest { RunId = run, Turn = 1, Step = 2, Text = "It ", RunnerLife = "A" }, Cancel);
        await deltas.RequestStream.WriteAsync(new PublishDeltasRequest { RunId = run, Turn = 1, Step = 2, Text = "XX", RunnerLife = "B" }, Cancel);
        await deltas.RequestStream.WriteAsync(new PublishDeltasRequest { RunId = run, Turn = 1, Step = 2, Text = "is", RunnerLife = "A" }, Cancel);
        Assert.Equal("It ", (await Until(watch, r => r.Text)).Text);
        Assert.Equal("is", (await Until(watch, r => r.Text)).Text);

        // Who comes late gets the text of the present step so far, after what is stored.
        using var late = server.Runs.WatchRun(new WatchRunRequest { Run = run, AfterTurn = 1, AfterStep = 1, AfterSlot = 1 }, cancellationToken: Cancel);
        Assert.Equal(run, (await Next(late)).Run.Id);
        Assert.Equal(2, (await Next(late)).Entry.Slot);
        Assert.Equal("It is", (await Until(late, r => r.Text)).Text);

        await deltas.RequestStream.WriteAsync(new PublishDeltasRequest { RunId = run, Turn = 1, Step = 2, Retry = "it broke", RunnerLife = "A" }, Cancel);
        Assert.Equal("it broke", (await Until(watch, r => r.Retry)).Why);
        await deltas.RequestStream.WriteAsync(new PublishDeltasRequest { RunId = run, Turn = 1, Step = 2, Text = "It was", RunnerLife = "A" }, Cancel);
        Assert.Equal("It was", (await Until(watch, r => r.Text)).Text);

        // A call may fail before who started the run has begun to watch: that it was begun anew is told all the same.
        using var later = server.Runs.WatchRun(new WatchRunRequest { Run = run, AfterTurn = 1, AfterStep = 1, AfterSlot = 1 }, cancellationToken: Cancel);
        Assert.Equal("it broke", (await Until(later, r => r.Retry)).Why);
        Assert.Equal("It was", (await Until(later, r => r.Text)).Text);
        await server.Runners.AppendAsync(new AppendRequest { Slot = slot, Caller = Caller(run), Answer = new ModelAnswer { Text = "It is done", ReadUpTo = 1 } }, cancellationToken: Cancel);
        Assert.Equal("It is done", (await Entry(watch)).Answer.Text);
        await server.Runners.EndTurnAsync(new EndTurnRequest { RunId = run, Turn = 1, Caller = Caller(run), Status = RunStatus.Completed, ReadUpTo = 1 }, cancellationToken: Cancel);
        Assert.Equal("It is done", (await Until(watch, r => r.Done)).Output);
        Assert.False(await watch.ResponseStream.MoveNext(Cancel));
        Assert.Equal(RunStatus.Completed, (await Until(late, r => r.Done)).Status);
    }

    [Fact]
    public async Task Watchers_waiting_claims_and_registrations_end_at_once_when_the_server_stops()
    {
        var server = await RunningServer.Start();
        await using var owned = server;
        var run = await server.Begin();
        using var watch = server.Runs.WatchRun(new WatchRunRequest { Run = run }, cancellationToken: Cancel);
        await Next(watch);
        using var registration = server.Runners.Register(cancellationToken: Cancel);
        await registration.RequestStream.WriteAsync(new RegisterRequest { Hello = new RunnerHello { Life = "A" } }, Cancel);
        Assert.True(await registration.ResponseStream.MoveNext(Cancel));
        Assert.Equal(16, registration.ResponseStream.Current.Welcome.ServerId.Length);

        await server.Stop();
        var e = await Assert.ThrowsAsync<RpcException>(async () => { while (await watch.ResponseStream.MoveNext(Cancel)) { } });
        Assert.Equal(StatusCode.Unavailable, e.StatusCode);
        await Assert.ThrowsAsync<RpcException>(() => registration.ResponseStream.MoveNext(Cancel));
    }

    [Fact]
    public async Task What_a_runner_holds_comes_back_when_it_says_that_it_ends_and_not_when_only_its_connection_does()
    {
        await using var engine = await FakeEngine.Start();
        await using var server = await RunningServer.Start(engine);
        var run = await server.Begin();
        await engine.Until($"start {run}/1/1");
        async Task<ClaimResponse> Claim(string life) => await server.Runners.ClaimAsync(
            new ClaimRequest { Slot = new SlotKey { RunId = run, Turn = 1, Step = 1 }, Key = life, Caller = new Caller { RunnerLife = life, WorkflowId = $"{run}/1/1", ActivityId = "model-1" } },
            cancellationToken: Cancel);
        async Task<AsyncDuplexStreamingCall<RegisterRequest, RegisterResponse>> Register()
        {
            var registration = server.Runners.Register(cancellationToken: Cancel);
            await registration.RequestStream.WriteAsync(new RegisterRequest { Hello = new RunnerHello { Life = "A" } }, Cancel);
            await registration.ResponseStream.MoveNext(Cancel);
            return registration;
        }
        var broken = await Register();
        Assert.NotNull((await Claim("A")).Yours);
        broken.Dispose();
        using var registration = await Register();
        Assert.NotNull((await Claim("B")).Held);
        await registration.RequestStream.CompleteAsync();
        Assert.False(await registration.ResponseStream.MoveNext(Cancel));
        Assert.True((await Claim("B")).Yours.BegunBefore);
        await engine.Until($"fail {run}/1/1");
    }

    [Fact]
    public async Task A_runner_is_told_of_a_cancel_and_after_a_reconnection_of_what_has_ended()
    {
        await using var engine = await FakeEngine.Start();
        await using var server = await RunningServer.Start(engine);
        var (first, second) = (await server.Begin(), await server.Begin());
        using var registration = server.Runners.Register(cancellationToken: Cancel);
        await registration.RequestStream.WriteAsync(new RegisterRequest { Hello = new RunnerHello { Life = "A" } }, Cancel);
        await registration.ResponseStream.MoveNext(Cancel);
        await server.Runs.CancelRunAsync(new CancelRunRequest { Run = first, Key = "k" }, cancellationToken: Cancel);
        Assert.True(await registration.ResponseStream.MoveNext(Cancel));
        Assert.Equal(first, registration.ResponseStream.Current.TurnEnded.RunId);

        using var again = server.Runners.Register(cancellationToken: Cancel);
        await again.RequestStream.WriteAsync(
            new RegisterRequest { Hello = new RunnerHello { Life = "A", WorkingOn = { new TurnKey { RunId = second, Turn = 1 }, new TurnKey { RunId = first, Turn = 1 } } } }, Cancel);
        await again.ResponseStream.MoveNext(Cancel);
        Assert.True(await again.ResponseStream.MoveNext(Cancel));
        Assert.Equal(new TurnKey { RunId = first, Turn = 1, Life = 1 }, again.ResponseStream.Current.TurnEnded);
    }

    [Fact]
    public async Task A_run_and_its_transcript_are_read_as_they_are_stored()
    {
        await using var engine = await FakeEngine.Start();
        await using var server = await RunningServer.Start(engine);
        var run = await server.Begin("what is this?");
        await engine.Until($"start {run}/1/1");
        await server.Answer(run, 1, "a test", $"{run}/1/1");
        using var read = server.Runners.ReadTranscript(new ReadTranscriptRequest { RunId = run }, cancellationToken: Cancel);
        var items = new List<ReadTranscriptResponse>();
        while (await read.ResponseStream.MoveNext(Cancel)) items.Add(read.ResponseStream.Current);
        Assert.Equal(run, items[0].Spec.RunId);
        Assert.NotEmpty(items[0].Spec.HostId);
        Assert.Equal(["what is this?", "a test"], items.Skip(1).Select(i => i.Entry.User?.Text ?? i.Entry.Answer.Text));
        using var nobody = server.Runners.ReadTranscript(new ReadTranscriptRequest { RunId = new string('0', 32) }, cancellationToken: Cancel);
        Assert.Equal(StatusCode.Unavailable, (await Assert.ThrowsAsync<RpcException>(() => nobody.ResponseStream.MoveNext(Cancel))).StatusCode);
    }

    static Caller Caller(string run) => new() { RunnerLife = "A", WorkflowId = $"{run}/1/1" };

    static async Task Result(RunningServer server, string run, int slot)
    {
        var key = new SlotKey { RunId = run, Turn = 1, Step = 1, Slot = slot };
        await server.Runners.ClaimAsync(new ClaimRequest { Slot = key, Caller = Caller(run) }, cancellationToken: Cancel);
        await server.Runners.AppendAsync(new AppendRequest { Slot = key, Caller = Caller(run), Result = new ToolResult { Ok = true, Text = "r" } }, cancellationToken: Cancel);
    }

    static async Task<WatchRunResponse> Next(AsyncServerStreamingCall<WatchRunResponse> watch)
    {
        Assert.True(await watch.ResponseStream.MoveNext(Cancel));
        return watch.ResponseStream.Current;
    }

    static Task<TranscriptEntry> Entry(AsyncServerStreamingCall<WatchRunResponse> watch) => Until(watch, r => r.Entry);

    static async Task<T> Until<T>(AsyncServerStreamingCall<WatchRunResponse> watch, Func<WatchRunResponse, T?> pick) where T : class
    {
        while (true)
        {
            if (pick(await Next(watch)) is { } picked) return picked;
        }
    }
}
