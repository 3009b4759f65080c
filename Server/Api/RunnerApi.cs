using Grpc.Core;
using Stigmer.Rpc;
using Stigmer.Rpc.V1;
using Stigmer.Server.Runs;

namespace Stigmer.Server.Api;

/// <summary>What an agent-runner asks of the record of runs.</summary>
/// <param name="missing">Called with a workflow that an engine does not know.</param>
/// <param name="stopping">The server is being stopped: whoever waits is sent away at once, and comes back.</param>
sealed class RunnerApi(RunStore store, Action<string> missing, Log log, CancellationToken stopping) : RunnerService.RunnerServiceBase
{
    public override async Task Register(
        IAsyncStreamReader<RegisterRequest> requests, IServerStreamWriter<RegisterResponse> responses, ServerCallContext context)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, stopping);
        if (!await requests.MoveNext(either.Token) || requests.Current.Hello is not { Life.Length: > 0 } hello) throw Refusal.Invalid("A registration begins with hello and the runner's life");
        // It learns the server's id, and with it the names of its queues, from the welcome.
        if (hello.Queues.Count == 0)
        {
            hello.Queues.Add([TurnWorkflow.Queue(store.ServerId), TurnWorkflow.EndQueue(store.ServerId), TurnWorkflow.HostQueue(store.ServerId, hello.HostId)]);
        }
        await store.Registered(hello);
        // From here on it is told of ends; those before are in the answer to what it works on.
        var told = store.Listen(hello);
        await responses.WriteAsync(new RegisterResponse { Welcome = new RunnerWelcome { ServerId = store.ServerId, Version = Build.Version } }, either.Token);
        foreach (var ended in await store.Ended(hello.WorkingOn)) await responses.WriteAsync(new RegisterResponse { TurnEnded = ended }, either.Token);
        log.Info("A runner has registered", ("life", hello.Life), ("host", hello.HostId), ("version", hello.Version));
        store.Events.LookAll();

        var listening = Listen();
        var telling = Tell();
        await Task.WhenAny(listening, telling);
        await either.CancelAsync();
        try
        {
            await Task.WhenAll(listening, telling);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException && !stopping.IsCancellationRequested)
        {
            // The connection has ended. Whether the runner is away, its silence will tell.
        }

        async Task Listen()
        {
            while (await requests.MoveNext(either.Token))
            {
                if (store.Runners.Heard(hello.Life)) store.Events.LookAll();
            }
        }

        async Task Tell()
        {
            await foreach (var message in told.ReadAllAsync(either.Token)) await responses.WriteAsync(message, either.Token);
        }
    }

    public override async Task<ClaimResponse> Claim(ClaimRequest request, ServerCallContext context)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, stopping);
        return await store.Claim(request, either.Token);
    }

    public override async Task<GiveBackResponse> GiveBack(GiveBackRequest request, ServerCallContext context)
    {
        await store.GiveBack(request);
        return new GiveBackResponse();
    }

    public override async Task ReadTranscript(ReadTranscriptRequest request, IServerStreamWriter<ReadTranscriptResponse> responses, ServerCallContext context)
    {
        var after = new RunStore.Place(request.AfterTurn, request.AfterStep, request.AfterSlot, request.AfterMessage);
        var (spec, entries) = await store.Transcript(request.RunId, after);
        if (spec is null) throw Refusal.Later($"This server does not know run {request.RunId}");
        await responses.WriteAsync(new ReadTranscriptResponse { Spec = spec }, context.CancellationToken);
        foreach (var entry in entries) await responses.WriteAsync(new ReadTranscriptResponse { Entry = entry }, context.CancellationToken);
    }

    public override Task<AppendResponse> Append(AppendRequest request, ServerCallContext context) => store.Append(request);

    public override async Task<PublishDeltasResponse> PublishDeltas(IAsyncStreamReader<PublishDeltasRequest> requests, ServerCallContext context)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, stopping);
        var (id, run) = ("", 0L);
        while (await requests.MoveNext(either.Token))
        {
            var delta = requests.Current;
            if (delta.RunId != id) (id, run) = (delta.RunId, await store.NumberOf(delta.RunId));
            if (run == 0) continue;
            if (delta.WhatCase == PublishDeltasRequest.WhatOneofCase.Text) store.Events.Text(run, delta.Turn, delta.Step, delta.RunnerLife, delta.Text);
            else if (delta.WhatCase == PublishDeltasRequest.WhatOneofCase.Retry) store.Events.Retry(run, delta.Turn, delta.Step, delta.RunnerLife, delta.Retry);
        }
        return new PublishDeltasResponse();
    }

    public override Task<EndTurnResponse> EndTurn(EndTurnRequest request, ServerCallContext context) => store.EndTurn(request);

    public override Task<MissingResponse> Missing(MissingRequest request, ServerCallContext context)
    {
        missing(request.WorkflowId);
        return Task.FromResult(new MissingResponse());
    }
}
