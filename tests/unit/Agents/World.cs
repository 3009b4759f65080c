using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Grpc.Core;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Stigmer.Config;
using Stigmer.Rpc.Temporal;
using Stigmer.Rpc.V1;
using Stigmer.Standins;

namespace Stigmer.Tests.Agents;

/// <summary>A workflow engine and a record of runs that do what a test says, over real gRPC on loopback.</summary>
sealed class World : IAsyncDisposable
{
    readonly WebApplication host;

    World(WebApplication host, GrpcChannel channel) => (this.host, Channel) = (host, channel);

    public ScriptedEngine Engine => host.Services.GetRequiredService<ScriptedEngine>();

    public ScriptedRecord Record => host.Services.GetRequiredService<ScriptedRecord>();

    public GrpcChannel Channel { get; }

    public Log Log { get; } = new("agent-runner", TextWriter.Null, TimeProvider.System);

    public static async Task<World> Start()
    {
        var host = await Loopback.Grpc(
            services => services.AddSingleton(new ScriptedEngine()).AddSingleton(new ScriptedRecord()),
            app =>
            {
                app.MapGrpcService<ScriptedEngine>();
                app.MapGrpcService<ScriptedRecord>();
            });
        return new World(host, Stigmer.Rpc.Channels.ToServer(new HostPort("127.0.0.1", host.Port()), "t"));
    }

    public async ValueTask DisposeAsync()
    {
        Channel.Dispose();
        using var now = new CancellationTokenSource();
        await now.CancelAsync();
        await host.StopAsync(now.Token);
        await host.DisposeAsync();
    }
}

/// <summary>Hands out the tasks that a test puts into its queues, and keeps the answers.</summary>
sealed class ScriptedEngine : WorkflowService.WorkflowServiceBase
{
    readonly ConcurrentDictionary<string, Channel<PollActivityTaskQueueResponse>> activities = new();
    readonly Channel<PollWorkflowTaskQueueResponse> workflows = Channel.CreateUnbounded<PollWorkflowTaskQueueResponse>();
    readonly Channel<object> answers = Channel.CreateUnbounded<object>();

    /// <summary>Thrown in place of the next answers to polls.</summary>
    public ConcurrentQueue<Status> PollFailures { get; } = new();

    /// <summary>Thrown in place of the next answers to what a worker responds.</summary>
    public ConcurrentQueue<Status> AnswerFailures { get; } = new();

    /// <summary>What a heartbeat is answered with.</summary>
    public Func<RecordActivityTaskHeartbeatResponse> Heartbeat { get; set; } = () => new();

    /// <summary>Pages of history by their tokens.</summary>
    public ConcurrentDictionary<string, GetWorkflowExecutionHistoryResponse> Pages { get; } = new();

    public void HandOut(PollWorkflowTaskQueueResponse task) => workflows.Writer.TryWrite(task);

    public void HandOut(string queue, PollActivityTaskQueueResponse task) => Queue(queue).Writer.TryWrite(task);

    /// <summary>How many tasks of a queue nobody has taken.</summary>
    public int Waiting(string queue) => Queue(queue).Reader.Count;

    /// <summary>The next answer of a worker.</summary>
    public async Task<T> Answer<T>() => Assert.IsAssignableFrom<T>(await answers.Reader.ReadAsync(TestContext.Current.CancellationToken));

    public override Task<DescribeNamespaceResponse> DescribeNamespace(DescribeNamespaceRequest request, ServerCallContext context) =>
        Task.FromResult(new DescribeNamespaceResponse());

    public override async Task<PollWorkflowTaskQueueResponse> PollWorkflowTaskQueue(PollWorkflowTaskQueueRequest request, ServerCallContext context)
    {
        if (PollFailures.TryDequeue(out var failure)) throw new RpcException(failure);
        return await workflows.Reader.ReadAsync(context.CancellationToken);
    }

    public override async Task<PollActivityTaskQueueResponse> PollActivityTaskQueue(PollActivityTaskQueueRequest request, ServerCallContext context) =>
        await Queue(request.TaskQueue.Name).Reader.ReadAsync(context.CancellationToken);

    public override Task<GetWorkflowExecutionHistoryResponse> GetWorkflowExecutionHistory(GetWorkflowExecutionHistoryRequest request, ServerCallContext context) =>
        Task.FromResult(Pages[request.NextPageToken.ToStringUtf8()]);

    public override Task<RecordActivityTaskHeartbeatResponse> RecordActivityTaskHeartbeat(RecordActivityTaskHeartbeatRequest request, ServerCallContext context) =>
        Task.FromResult(Heartbeat());

    public override Task<RespondWorkflowTaskCompletedResponse> RespondWorkflowTaskCompleted(RespondWorkflowTaskCompletedRequest request, ServerCallContext context) =>
        Answered(request, new RespondWorkflowTaskCompletedResponse());

    public override Task<RespondWorkflowTaskFailedResponse> RespondWorkflowTaskFailed(RespondWorkflowTaskFailedRequest request, ServerCallContext context) =>
        Answered(request, new RespondWorkflowTaskFailedResponse());

    public override Task<RespondQueryTaskCompletedResponse> RespondQueryTaskCompleted(RespondQueryTaskCompletedRequest request, ServerCallContext context) =>
        Answered(request, new RespondQueryTaskCompletedResponse());

    public override Task<RespondActivityTaskCompletedResponse> RespondActivityTaskCompleted(RespondActivityTaskCompletedRequest request, ServerCallContext context) =>
        Answered(request, new RespondActivityTaskCompletedResponse());

    public override Task<RespondActivityTaskFailedResponse> RespondActivityTaskFailed(RespondActivityTaskFailedRequest request, ServerCallContext context) =>
        Answered(request, new RespondActivityTaskFailedResponse());

    public override Task<RespondActivityTaskCanceledResponse> RespondActivityTaskCanceled(RespondActivityTaskCanceledRequest request, ServerCallContext context) =>
        Answered(request, new RespondActivityTaskCanceledResponse());

    Channel<PollActivityTaskQueueResponse> Queue(string name) => activities.GetOrAdd(name, _ => Channel.CreateUnbounded<PollActivityTaskQueueResponse>());

    Task<T> Answered<T>(object request, T response)
    {
        if (AnswerFailures.TryDequeue(out var failure)) throw new RpcException(failure);
        answers.Writer.TryWrite(request);
        return Task.FromResult(response);
    }
}

/// <summary>A record of runs in memory: claims are granted unless a test says otherwise, the first result wins.</summary>
sealed class ScriptedRecord : RunnerService.RunnerServiceBase
{
    readonly ConcurrentDictionary<SlotKey, TranscriptEntry> stored = new();

    public RunSpec Spec { get; } = new() { RunId = "r", Provider = "demo", Workspace = "/w", Instructions = "Be brief." };

    /// <summary>What people have said.</summary>
    public List<TranscriptEntry> Messages { get; } = [new() { Turn = 1, Step = 1, Slot = -1, User = new UserMessage { Number = 1, Text = "hello" } }];

    /// <summary>The answers to the next claims; after them slots are granted, or found stored.</summary>
    public ConcurrentQueue<ClaimResponse> Claims { get; } = new();

    /// <summary>Thrown in place of the next answers to appends.</summary>
    public ConcurrentQueue<Status> AppendFailures { get; } = new();

    /// <summary>Refuses every result.</summary>
    public bool RefusesResults { get; set; }

    public ConcurrentQueue<GiveBackRequest> GivenBack { get; } = new();

    public ConcurrentQueue<ReadTranscriptRequest> Reads { get; } = new();

    /// <summary>The calls that a person has said yes to.</summary>
    public ConcurrentQueue<Stigmer.Rpc.V1.Place> Approved { get; } = new();

    public ConcurrentQueue<PublishDeltasRequest> Deltas { get; } = new();

    public Channel<string> MissingWorkflows { get; } = Channel.CreateUnbounded<string>();

    public Channel<RunnerHello> Hellos { get; } = Channel.CreateUnbounded<RunnerHello>();

    /// <summary>What a registration is answered with; it ends when this does.</summary>
    public Func<IServerStreamWriter<RegisterResponse>, CancellationToken, Task> Registration { get; set; } = (_, cancel) => Task.Delay(Timeout.Infinite, cancel);

    public IReadOnlyDictionary<SlotKey, TranscriptEntry> Stored => stored;

    public void Store(int step, int slot, ModelAnswer? answer = null, ToolResult? result = null)
    {
        var entry = new TranscriptEntry { Turn = 1, Step = step, Slot = slot };
        if (answer is not null) entry.Answer = answer;
        if (result is not null) entry.Result = result;
        stored[new SlotKey { RunId = "r", Turn = 1, Step = step, Slot = slot }] = entry;
    }

    public override async Task Register(IAsyncStreamReader<RegisterRequest> requestStream, IServerStreamWriter<RegisterResponse> responseStream, ServerCallContext context)
    {
        await requestStream.MoveNext(context.CancellationToken);
        Hellos.Writer.TryWrite(requestStream.Current.Hello);
        await await Task.WhenAny(Registration(responseStream, context.CancellationToken), Listen());

        async Task Listen()
        {
            while (await requestStream.MoveNext(context.CancellationToken))
            {
                // A beat.
            }
            Left.TrySetResult();
        }
    }

    /// <summary>A runner has closed its registration in order.</summary>
    public TaskCompletionSource Left { get; } = new();

    public override Task<ClaimResponse> Claim(ClaimRequest request, ServerCallContext context)
    {
        if (Claims.TryDequeue(out var answer)) return Task.FromResult(answer);
        return Task.FromResult(stored.TryGetValue(request.Slot, out var there)
            ? new ClaimResponse { Stored = there }
            : new ClaimResponse { Yours = new ClaimYours() });
    }

    public override Task<GiveBackResponse> GiveBack(GiveBackRequest request, ServerCallContext context)
    {
        GivenBack.Enqueue(request);
        return Task.FromResult(new GiveBackResponse());
    }

    public override async Task ReadTranscript(ReadTranscriptRequest request, IServerStreamWriter<ReadTranscriptResponse> responseStream, ServerCallContext context)
    {
        Reads.Enqueue(request);
        await responseStream.WriteAsync(new ReadTranscriptResponse { Spec = Spec });
        var after = (request.AfterTurn, request.AfterStep, request.AfterSlot);
        var entries = Messages.Where(message => message.User.Number > request.AfterMessage)
            .Concat(stored.Values.Where(entry => (entry.Turn, entry.Step, entry.Slot).CompareTo(after) > 0))
            .OrderBy(entry => (entry.Turn, entry.Step, entry.Slot));
        foreach (var entry in entries) await responseStream.WriteAsync(new ReadTranscriptResponse { Entry = entry });
        foreach (var place in Approved) await responseStream.WriteAsync(new ReadTranscriptResponse { Approved = place });
    }

    public override Task<AppendResponse> Append(AppendRequest request, ServerCallContext context)
    {
        if (AppendFailures.TryDequeue(out var failure)) throw new RpcException(failure);
        if (RefusesResults) return Task.FromResult(new AppendResponse { Refused = true, Why = "closed" });
        var entry = new TranscriptEntry { Turn = request.Slot.Turn, Step = request.Slot.Step, Slot = request.Slot.Slot };
        if (request.Answer is { } answer) entry.Answer = answer;
        else entry.Result = request.Result;
        return Task.FromResult(new AppendResponse { Stored = stored.GetOrAdd(request.Slot, entry) });
    }

    public override async Task<PublishDeltasResponse> PublishDeltas(IAsyncStreamReader<PublishDeltasRequest> requestStream, ServerCallContext context)
    {
        await foreach (var delta in requestStream.ReadAllAsync(context.CancellationToken)) Deltas.Enqueue(delta);
        return new PublishDeltasResponse();
    }

    public override Task<MissingResponse> Missing(MissingRequest request, ServerCallContext context)
    {
        MissingWorkflows.Writer.TryWrite(request.WorkflowId);
        return Task.FromResult(new MissingResponse());
    }
}

/// <summary>A model that says what a test wrote down for it, call by call.</summary>
sealed class ScriptedModel : IChatClient
{
    readonly ConcurrentQueue<Func<CancellationToken, IAsyncEnumerable<ChatResponseUpdate>>> script = new();

    /// <summary>What it was asked, call by call.</summary>
    public ConcurrentQueue<IReadOnlyList<ChatMessage>> Asked { get; } = new();

    /// <summary>Completes when it is asked.</summary>
    public TaskCompletionSource Begun { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public ScriptedModel Says(params string[] pieces) => Does(_ => Stream(pieces));

    public ScriptedModel Fails(Exception with) => Does(_ => Broken(with));

    /// <summary>Says nothing until it is told what, or the call is given up.</summary>
    public ScriptedModel Waits(Task<string> until) => Does(cancel => Later(until, cancel));

    public IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        Asked.Enqueue([.. messages]);
        Begun.TrySetResult();
        return script.TryDequeue(out var next) ? next(cancellationToken) : throw new InvalidOperationException("one model call too many");
    }

    public Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
        throw new NotSupportedException();

    public object? GetService(Type serviceType, object? serviceKey = null) => null;

    public void Dispose() { }

    ScriptedModel Does(Func<CancellationToken, IAsyncEnumerable<ChatResponseUpdate>> next)
    {
        script.Enqueue(next);
        return this;
    }

    static async IAsyncEnumerable<ChatResponseUpdate> Stream(string[] pieces)
    {
        foreach (var piece in pieces)
        {
            yield return new ChatResponseUpdate(ChatRole.Assistant, piece);
            await Task.Yield();
        }
        yield return new ChatResponseUpdate(ChatRole.Assistant, [new UsageContent(new UsageDetails { InputTokenCount = 3, OutputTokenCount = 2 })])
        {
            FinishReason = ChatFinishReason.Stop,
        };
    }

    static async IAsyncEnumerable<ChatResponseUpdate> Broken(Exception with)
    {
        yield return new ChatResponseUpdate(ChatRole.Assistant, "half");
        await Task.Yield();
        throw with;
    }

    static async IAsyncEnumerable<ChatResponseUpdate> Later(Task<string> until, [EnumeratorCancellation] CancellationToken cancel)
    {
        yield return new ChatResponseUpdate(ChatRole.Assistant, await until.WaitAsync(cancel));
    }
}
