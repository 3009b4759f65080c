using Grpc.Core;
using Grpc.Net.Client;
using Stigmer.Agents.Loop;
using Stigmer.Agents.Worker;
using Stigmer.Rpc;
using Stigmer.Rpc.V1;

namespace Stigmer.Agents.Activities;

/// <summary>
/// stigmer-server, as the activities see it. Its calls are repeated while it is away: at least every second, until it answers
/// or the caller gives up.
/// </summary>
/// <param name="channel">From <c>Channels.ToServer</c>.</param>
/// <param name="life">This life of the runner.</param>
sealed class RunnerServer(GrpcChannel channel, string life, Log log, TimeProvider time)
{
    /// <summary>How long one call may take before it is repeated.</summary>
    static readonly TimeSpan CallLimit = TimeSpan.FromSeconds(10);

    /// <summary>How long the server holds a claim's answer while another runner works on the slot; it allows 20 s.</summary>
    static readonly TimeSpan ClaimWait = TimeSpan.FromSeconds(15);

    /// <summary>The calls themselves.</summary>
    public RunnerService.RunnerServiceClient Calls { get; } = new(channel);

    /// <summary>This life of the runner.</summary>
    public string Life => life;

    /// <summary>Asks for a slot.</summary>
    /// <param name="key">Random for each attempt at the slot: an answer that was lost is given again.</param>
    public Task<ClaimResponse> Claim(SlotKey slot, string key, Attempt attempt, CancellationToken cancel)
    {
        var request = new ClaimRequest { Slot = slot, Key = key, Caller = Caller(attempt), WaitMs = (long)ClaimWait.TotalMilliseconds };
        return Repeated("claim", ClaimWait + CallLimit, options => Calls.ClaimAsync(request, options), cancel);
    }

    /// <summary>Ends a claim that brought no result.</summary>
    public Task GiveBack(SlotKey slot, bool begun, CancellationToken cancel)
    {
        var request = new GiveBackRequest { Slot = slot, RunnerLife = life, Begun = begun };
        return Repeated("give back", CallLimit, options => Calls.GiveBackAsync(request, options), cancel);
    }

    /// <summary>Stores a result; null where the server refuses it.</summary>
    public async Task<TranscriptEntry?> Append(AppendRequest request, CancellationToken cancel)
    {
        var answer = await Repeated("append", CallLimit, options => Calls.AppendAsync(request, options), cancel);
        return answer.Refused ? null : answer.Stored;
    }

    /// <summary>Closes the turn, or hears that a message is unread.</summary>
    public Task<EndTurnResponse> EndTurn(EndTurnRequest request, CancellationToken cancel) =>
        Repeated("end turn", CallLimit, options => Calls.EndTurnAsync(request, options), cancel);

    /// <summary>The run's spec and what its transcript holds after a place. Read as a whole, so that it can be repeated.</summary>
    public Task<List<ReadTranscriptResponse>> Read(ReadTranscriptRequest request, CancellationToken cancel) =>
        Repeated("read transcript", null, options => ReadOnce(request, options), cancel);

    /// <summary>
    /// Says that the engine does not know a workflow: the server looks, and gives the turn a new life where it must. Said once:
    /// a server that is away looks at every open run when it comes back.
    /// </summary>
    public async Task Missing(string workflowId, CancellationToken cancel)
    {
        try
        {
            await Calls.MissingAsync(new MissingRequest { WorkflowId = workflowId }, CallTime.Within(CallLimit, cancel));
        }
        catch (RpcException e)
        {
            log.Debug("the server was not told of a missing workflow", ("workflow", workflowId), ("why", e.Status.Detail));
        }
    }

    /// <summary>Who asks.</summary>
    public Caller Caller(Attempt attempt) => new() { RunnerLife = life, WorkflowId = attempt.WorkflowId, ActivityId = attempt.ActivityId };

    async Task<List<ReadTranscriptResponse>> ReadOnce(ReadTranscriptRequest request, CallOptions options)
    {
        var items = new List<ReadTranscriptResponse>();
        using var call = Calls.ReadTranscript(request, options);
        await foreach (var item in call.ResponseStream.ReadAllAsync(options.CancellationToken)) items.Add(item);
        return items;
    }

    Task<T> Repeated<T>(string what, TimeSpan deadline, Func<CallOptions, AsyncUnaryCall<T>> call, CancellationToken cancel) =>
        Repeated(what, (TimeSpan?)deadline, options => call(options).ResponseAsync, cancel);

    async Task<T> Repeated<T>(string what, TimeSpan? deadline, Func<CallOptions, Task<T>> call, CancellationToken cancel)
    {
        var backoff = Backoff.ForOutage(time);
        while (true)
        {
            try
            {
                return await call(deadline is { } limit ? CallTime.Within(limit, cancel) : new CallOptions(cancellationToken: cancel));
            }
            catch (RpcException) when (cancel.IsCancellationRequested)
            {
                throw new OperationCanceledException(cancel);
            }
            catch (RpcException e) when (e.StatusCode is StatusCode.InvalidArgument or StatusCode.Unimplemented or StatusCode.ResourceExhausted)
            {
                throw new ActivityFailure(new TurnError($"The server did not take a call ({what})", e.Status.Detail), retryable: false, e);
            }
            catch (RpcException e)
            {
                if (backoff.Failures == 1) log.Warn("the server does not answer, trying again", ("call", what), ("code", e.StatusCode), ("why", e.Status.Detail));
            }
            await backoff.Wait(cancel);
        }
    }
}
