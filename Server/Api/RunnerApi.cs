using Grpc.Core;
using Stigmer.Rpc.V1;
using Stigmer.Server.Runs;

namespace Stigmer.Server.Api;

/// <summary>What an agent-runner asks of the record of runs.</summary>
/// <param name="missing">Called with a workflow that an engine does not know.</param>
/// <param name="stopping">The server is being stopped: whoever waits is sent away at once, and comes back.</param>
sealed class RunnerApi(RunStore store, Action<string> missing, Log log, CancellationToken stopping)
{
    const int BeatsAnHour = 720;

    public static ServiceMethods<RunnerApi> Methods(Faults faults) => new("stigmer.v1.RunnerService", faults, m =>
    {
        m.Duplex<RegisterRequest, RegisterResponse>("Register", (api, requests, responses, context) => api.Register(requests, responses, context));
        m.Unary<ClaimRequest, ClaimResponse>("Claim", (api, request, context) => api.Claim(request, context));
        m.Unary<GiveBackRequest, GiveBackResponse>("GiveBack", (api, request, _) => api.GiveBack(request));
        m.ServerStream<ReadTranscriptRequest, ReadTranscriptResponse>("ReadTranscript", (api, request, responses, context) => api.ReadTranscript(request, responses, context));
        m.Unary<AppendRequest, AppendResponse>("Append", (api, request, _) => api.Append(request));
        m.ClientStream<PublishDeltasRequest, PublishDeltasResponse>("PublishDeltas", (api, requests, context) => api.PublishDeltas(requests, context));
        m.Unary<EndTurnRequest, EndTurnResponse>("EndTurn", (api, request, _) => api.EndTurn(request));
        m.Unary<MissingRequest, MissingResponse>("Missing", (api, request, _) => api.Missing(request));
    });

    async Task Register(
        IAsyncStreamReader<RegisterRequest> requests, IServerStreamWriter<RegisterResponse> responses, ServerCallContext context)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, stopping);
        if (!await requests.MoveNext(either.Token) || requests.Current.Hello is not { Life.Length: > 0 } hello) throw Refusal.Invalid("A registration begins with hello and the runner's life");
        // A runner that knows the names of its queues has been let in before.
        if (await store.Runners.Refusal(isNew: hello.Queues.Count == 0, either.Token) is { } refusal)
        {
            log.Warn("A runner was not let in", ("life", hello.Life), ("host", hello.HostId));
            await responses.WriteAsync(new RegisterResponse { Refused = refusal }, CancellationToken.None);
            return;
        }
        await store.Registered(hello);
        // Writes are not broken off by the server's end: that would reset the stream in place of saying why.
        // From here on it is told of ends; those before are in the answer to what it works on.
        var told = store.Listen(hello);
        await responses.WriteAsync(new RegisterResponse { Welcome = new RunnerWelcome { ServerId = store.ServerId, Version = Build.Version } }, CancellationToken.None);
        foreach (var ended in await store.Ended(hello.WorkingOn)) await responses.WriteAsync(new RegisterResponse { TurnEnded = ended }, CancellationToken.None);
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
        // The stream has ended in order, and not with its connection.
        if (listening.IsCompletedSuccessfully) await store.Left(hello.Life);

        async Task Listen()
        {
            for (var beats = 1; await requests.MoveNext(either.Token); beats++)
            {
                if (store.Runners.Heard(hello.Life)) store.Events.LookAll();
                if (beats % BeatsAnHour == 0) await store.StillThere(hello.Life);
            }
        }

        async Task Tell()
        {
            await foreach (var message in told.ReadAllAsync(either.Token)) await responses.WriteAsync(message, CancellationToken.None);
        }
    }

    async Task<ClaimResponse> Claim(ClaimRequest request, ServerCallContext context)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, stopping);
        return await store.Claim(request, either.Token);
    }

    async Task<GiveBackResponse> GiveBack(GiveBackRequest request)
    {
        await store.GiveBack(request);
        return new GiveBackResponse();
    }

    async Task ReadTranscript(ReadTranscriptRequest request, IServerStreamWriter<ReadTranscriptResponse> responses, ServerCallContext context)
    {
        var after = new RunStore.Place(request.AfterTurn, request.AfterStep, request.AfterSlot, request.AfterMessage);
        var spec = await store.SpecOf(request.RunId) ?? throw Refusal.Later($"This server does not know run {request.RunId}");
        await responses.WriteAsync(new ReadTranscriptResponse { Spec = spec }, context.CancellationToken);
        while (await store.Transcript(request.RunId, after) is var page)
        {
            foreach (var entry in page.Entries) await responses.WriteAsync(new ReadTranscriptResponse { Entry = entry }, context.CancellationToken);
            if (page.Next is not { } next) break;
            after = next;
        }
        // After the entries: what was said yes to by now, the answer that asked for it included.
        foreach (var approved in await store.Approved(request.RunId)) await responses.WriteAsync(new ReadTranscriptResponse { Approved = approved }, context.CancellationToken);
    }

    Task<AppendResponse> Append(AppendRequest request) => store.Append(request);

    async Task<PublishDeltasResponse> PublishDeltas(IAsyncStreamReader<PublishDeltasRequest> requests, ServerCallContext context)
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

    Task<EndTurnResponse> EndTurn(EndTurnRequest request) => store.EndTurn(request);

    Task<MissingResponse> Missing(MissingRequest request)
    {
        missing(request.WorkflowId);
        return Task.FromResult(new MissingResponse());
    }
}
