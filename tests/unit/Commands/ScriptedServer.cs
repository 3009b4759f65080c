using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Stigmer.Commands;
using Stigmer.Config;
using Stigmer.Rpc.V1;
using Stigmer.Standins;

namespace Stigmer.Tests.Commands;

/// <summary>A RunService on a loopback port that says what a test wrote down for it, connection by connection.</summary>
sealed class ScriptedServer : RunService.RunServiceBase, IAsyncDisposable
{
    readonly Queue<Func<IServerStreamWriter<WatchRunResponse>, ServerCallContext, Task>> watches = new();
    WebApplication? host;

    /// <summary>What was asked, in order.</summary>
    public List<object> Requests { get; } = [];

    /// <summary>The run that every request is answered with.</summary>
    public Run Run { get; set; } = new() { Id = new string('a', 32), Agent = "assistant", Status = RunStatus.Running };

    /// <summary>The transcript of GetRun.</summary>
    public List<TranscriptEntry> Transcript { get; } = [];

    /// <summary>Thrown in place of the next answers but those of WatchRun.</summary>
    public Queue<Status> Refusals { get; } = new();

    /// <summary>Called when a watch begins.</summary>
    public Action Watched { get; set; } = () => { };

    /// <summary>Called when a run is cancelled.</summary>
    public Action Cancelled { get; set; } = () => { };

    /// <summary>Called when calls are decided.</summary>
    public Action<DecideCallsRequest> Decided { get; set; } = _ => { };

    public HostPort Endpoint { get; private set; }

    public static async Task<ScriptedServer> Start()
    {
        var server = new ScriptedServer();
        server.host = await Loopback.Grpc(server);
        server.Endpoint = new HostPort("127.0.0.1", server.host.Port());
        return server;
    }

    public ServerLink Link() => new(_ => Task.FromResult(new ServerAddress(Endpoint, new Secret("t"))), TimeProvider.System);

    /// <summary>What the next watch says; afterwards it ends, as a stopping server's does.</summary>
    public ScriptedServer Says(params WatchRunResponse[] responses) => Does(async (stream, _) =>
    {
        foreach (var response in responses) await stream.WriteAsync(response);
    });

    /// <summary>The same, and then the connection breaks.</summary>
    public ScriptedServer SaysAndBreaks(params WatchRunResponse[] responses) => Does(async (stream, context) =>
    {
        foreach (var response in responses) await stream.WriteAsync(response);
        context.GetHttpContext().Abort();
    });

    public ScriptedServer Does(Func<IServerStreamWriter<WatchRunResponse>, ServerCallContext, Task> what)
    {
        watches.Enqueue(what);
        return this;
    }

    public override async Task WatchRun(WatchRunRequest request, IServerStreamWriter<WatchRunResponse> responseStream, ServerCallContext context)
    {
        Requests.Add(request);
        Watched();
        if (!watches.TryDequeue(out var script)) throw new RpcException(new Status(StatusCode.InvalidArgument, "one watch too many"));
        await script(responseStream, context);
    }

    public override Task<StartRunResponse> StartRun(StartRunRequest request, ServerCallContext context)
    {
        Answer(request);
        Run.Id = request.RunId;
        return Task.FromResult(new StartRunResponse { Run = Run });
    }

    public override Task<GetRunResponse> GetRun(GetRunRequest request, ServerCallContext context)
    {
        Answer(request);
        return Task.FromResult(new GetRunResponse { Run = Run, Transcript = { Transcript } });
    }

    public override Task<ListRunsResponse> ListRuns(ListRunsRequest request, ServerCallContext context)
    {
        Answer(request);
        return Task.FromResult(new ListRunsResponse { Runs = { Run } });
    }

    public override Task<CancelRunResponse> CancelRun(CancelRunRequest request, ServerCallContext context)
    {
        Answer(request);
        Cancelled();
        return Task.FromResult(new CancelRunResponse { Run = Run });
    }

    public override Task<ResumeRunResponse> ResumeRun(ResumeRunRequest request, ServerCallContext context)
    {
        Answer(request);
        return Task.FromResult(new ResumeRunResponse { Run = Run });
    }

    public override Task<SendMessageResponse> SendMessage(SendMessageRequest request, ServerCallContext context)
    {
        Answer(request);
        return Task.FromResult(new SendMessageResponse { Run = Run, Turn = 2, Message = 2 });
    }

    public override Task<DecideCallsResponse> DecideCalls(DecideCallsRequest request, ServerCallContext context)
    {
        Answer(request);
        Decided(request);
        return Task.FromResult(new DecideCallsResponse { Run = Run, Decided = { Run.WaitingCalls } });
    }

    void Answer(object request)
    {
        Requests.Add(request);
        if (Refusals.TryDequeue(out var refusal)) throw new RpcException(refusal);
    }

    public async ValueTask DisposeAsync()
    {
        if (host is not null) await host.DisposeAsync();
    }
}

/// <summary>What a server says of a run, in short.</summary>
static class Say
{
    public static WatchRunResponse Text(int step, string text, int turn = 1) => new() { Text = new TextDelta { Turn = turn, Step = step, Text = text } };

    public static WatchRunResponse Retry(int step, string why) => new() { Retry = new RetryNote { Turn = 1, Step = step, Why = why } };

    public static WatchRunResponse Run(Run run) => new() { Run = run };

    public static WatchRunResponse Prompt(string text) => new() { Entry = new TranscriptEntry { Turn = 1, Step = 1, Slot = 0, User = new UserMessage { Number = 1, Text = text } } };

    public static WatchRunResponse Answer(int step, string text, params ToolCall[] calls) =>
        new() { Entry = new TranscriptEntry { Turn = 1, Step = step, Slot = 0, Answer = new ModelAnswer { Text = text, Calls = { calls } } } };

    public static WatchRunResponse Result(int step, int slot, string text, bool ok = true) =>
        new() { Entry = new TranscriptEntry { Turn = 1, Step = step, Slot = slot, Result = new ToolResult { CallId = $"c{slot}", Ok = ok, Text = text, WorkedMs = 12 } } };

    public static ToolCall Call(int slot, string name, string arguments) => new() { Slot = slot, Id = $"c{slot}", Name = name, Arguments = arguments };

    public static WatchRunResponse Done(RunStatus status, string output, Error? error = null, string limit = "") => new()
    {
        Done = new Run
        {
            Id = new string('a', 32), Agent = "assistant", Status = status, Output = output, Steps = 2, Error = error, Limit = limit,
            StartedAt = 1_000, EndedAt = 3_500, Usage = new Usage { InputTokens = 100, OutputTokens = 20 },
        },
    };
}
