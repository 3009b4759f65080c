using Grpc.Net.Client;
using Stigmer.Config;
using Stigmer.Rpc;
using Stigmer.Rpc.V1;
using Stigmer.Server;

namespace Stigmer.Tests.Server;

/// <summary>The whole role on a loopback port of its own, in this process.</summary>
sealed class RunningServer : IAsyncDisposable
{
    public const string Token = "s3cret";

    readonly CancellationTokenSource stop = new();
    readonly Task serving;
    readonly string? ownHome;

    RunningServer(Task serving, int port, CancellationTokenSource stop, string? ownHome, TemporalTls? tls)
    {
        this.serving = serving;
        this.stop = stop;
        this.ownHome = ownHome;
        Address = new HostPort("localhost", port);
        Channel = Channels.ToServer(Address, Token, tls);
        Runs = new RunService.RunServiceClient(Channel);
        Runners = new RunnerService.RunnerServiceClient(Channel);
    }

    public HostPort Address { get; }

    public GrpcChannel Channel { get; }

    public RunService.RunServiceClient Runs { get; }

    public RunnerService.RunnerServiceClient Runners { get; }

    /// <param name="engine">Null: the embedded one.</param>
    /// <param name="home">Null: one of its own, removed with it.</param>
    /// <param name="kind">What the given engine is.</param>
    public static async Task<RunningServer> Start(
        FakeEngine? engine = null, string? home = null, string? cert = null, string? key = null, string kind = EngineName.Managed)
    {
        var own = home is null ? Directory.CreateTempSubdirectory("stigmer-server-").FullName : null;
        var environment = new Dictionary<string, string?> { ["STIGMER_HOME"] = home ?? own, ["STIGMER_TOKEN"] = Token };
        if (engine is not null)
        {
            environment["STIGMER_ENGINE"] = kind;
            environment["TEMPORAL_SERVICE_ADDRESS"] = engine.Address.ToString();
        }
        var stop = new CancellationTokenSource();
        var port = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
        Task Ready(int bound)
        {
            port.SetResult(bound);
            return Task.CompletedTask;
        }
        var serving = ServerRole.Serve(
            new ServerOptions(new HostPort("localhost", 0), cert, key), environment.GetValueOrDefault, TimeProvider.System,
            new Log("test", TextWriter.Null, TimeProvider.System), Ready, stop.Token);
        await await Task.WhenAny(port.Task, serving);
        return new RunningServer(serving, await port.Task, stop, own, cert is null ? null : new TemporalTls(CaFile: cert));
    }

    public async Task<string> Begin(string prompt = "hello")
    {
        var id = RandomId.New();
        await Runs.StartRunAsync(new StartRunRequest { RunId = id, Prompt = prompt });
        return id;
    }

    public async Task Answer(string run, int step, string text, string workflow, params ToolCall[] calls)
    {
        var slot = new SlotKey { RunId = run, Turn = 1, Step = step };
        var caller = new Caller { RunnerLife = "A", WorkflowId = workflow };
        Assert.NotNull((await Runners.ClaimAsync(new ClaimRequest { Slot = slot, Caller = caller })).Yours);
        await Runners.AppendAsync(new AppendRequest { Slot = slot, Caller = caller, Answer = new ModelAnswer { Text = text, ReadUpTo = 1, Calls = { calls } } });
    }

    /// <summary>Told to stop; completes when everything is closed.</summary>
    public async Task Stop()
    {
        await stop.CancelAsync();
        await serving;
    }

    public async ValueTask DisposeAsync()
    {
        await Stop();
        Channel.Dispose();
        if (ownHome is not null) Directory.Delete(ownHome, recursive: true);
    }
}
