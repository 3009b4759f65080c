using Grpc.Core;
using Stigmer.Agents.Activities;
using Stigmer.Rpc;
using Stigmer.Rpc.V1;

namespace Stigmer.Agents;

/// <summary>
/// The stream by which the server knows that this runner lives, and on which it says which turns have ended. It is opened
/// again at once when it breaks, and at least every second while the server is away.
/// </summary>
/// <param name="hello">What the runner says of itself, each time anew.</param>
/// <param name="turnEnded">The turn was cancelled or closed: its model calls and tools are to end now.</param>
sealed class Registration(RunnerServer server, Func<RunnerHello> hello, Action<TurnKey> turnEnded, Log log, TimeProvider time)
{
    /// <summary>15 s without a beat is away.</summary>
    static readonly TimeSpan BeatEvery = TimeSpan.FromSeconds(5);

    /// <summary>How long the server may take to say welcome.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    /// <summary>How long the server may take to hear that the runner ends.</summary>
    static readonly TimeSpan Farewell = TimeSpan.FromSeconds(1);

    readonly TaskCompletionSource<RunnerWelcome> welcome = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The server's first welcome.</summary>
    public Task<RunnerWelcome> Welcome => welcome.Task;

    /// <summary>
    /// Keeps the runner registered until told to stop; the server then hears that it has ended. Fails with <see cref="Failure"/> where the server does not let it in, or
    /// where another server answers at that address.
    /// </summary>
    public async Task Run(CancellationToken stop)
    {
        var backoff = Backoff.ForOutage(time);
        try
        {
            while (true)
            {
                try
                {
                    await Once(backoff, stop);
                }
                catch (RpcException e) when (!stop.IsCancellationRequested)
                {
                    if (e.StatusCode is StatusCode.Unauthenticated or StatusCode.PermissionDenied)
                    {
                        throw new Failure("stigmer-server does not let this runner in", e.Status.Detail, "Set STIGMER_TOKEN to what the server's run/token holds", ExitCode.Failed, e);
                    }
                    if (backoff.Failures == 1) log.Warn("the server is away, trying again", ("code", e.StatusCode), ("why", e.Status.Detail));
                }
                catch (OperationCanceledException) when (!stop.IsCancellationRequested)
                {
                    log.Warn("the server took the registration and did not answer it, trying again");
                }
                await backoff.Wait(stop);
            }
        }
        catch (Exception e) when (stop.IsCancellationRequested && e is OperationCanceledException or RpcException)
        {
            // Told to stop.
        }
        finally
        {
            welcome.TrySetCanceled(CancellationToken.None);
        }
    }

    async Task Once(Backoff backoff, CancellationToken stop)
    {
        using var over = new CancellationTokenSource(Timeout.InfiniteTimeSpan, time);
        using var stopped = stop.Register(() => over.CancelAfter(Farewell));
        using var silence = new CancellationTokenSource(Patience, time);
        using var first = CancellationTokenSource.CreateLinkedTokenSource(over.Token, silence.Token);
        using var call = server.Calls.Register(cancellationToken: over.Token);
        await call.RequestStream.WriteAsync(new RegisterRequest { Hello = hello() }, over.Token);
        var beats = Beat(call.RequestStream, stop, over.Token);
        try
        {
            if (!await Next(call.ResponseStream, first.Token, silence.Token)) return;
            do
            {
                var said = call.ResponseStream.Current;
                if (said.Welcome is { } welcomed) Welcomed(welcomed, backoff);
                else if (said.TurnEnded is { } turn) turnEnded(turn);
                else if (said.Refused is { } refused) throw new Failure(refused.What, NullIfEmpty(refused.Why), NullIfEmpty(refused.Remedy));
            }
            while (await call.ResponseStream.MoveNext(over.Token));
        }
        finally
        {
            await over.CancelAsync();
            await beats;
        }
    }

    void Welcomed(RunnerWelcome welcomed, Backoff backoff)
    {
        if (welcome.TrySetResult(welcomed)) log.Debug("registered", ("server", welcomed.ServerId));
        else if (welcome.Task.IsCompletedSuccessfully && welcome.Task.Result.ServerId != welcomed.ServerId)
        {
            // Its queues are others: this runner would wait on the old ones for ever.
            throw new Failure("Another stigmer-server answers at this address", $"it was {welcome.Task.Result.ServerId}, it is {welcomed.ServerId}", "Start the runner again");
        }
        else if (backoff.Failures > 0)
        {
            log.Info("registered again", ("server", welcomed.ServerId));
        }
        backoff.Reset();
    }

    static string? NullIfEmpty(string text) => text.Length > 0 ? text : null;

    static async Task<bool> Next(IAsyncStreamReader<RegisterResponse> stream, CancellationToken cancel, CancellationToken silence)
    {
        try
        {
            return await stream.MoveNext(cancel);
        }
        catch (RpcException e) when (silence.IsCancellationRequested)
        {
            throw new OperationCanceledException(e.Message, e, silence);
        }
    }

    async Task Beat(IClientStreamWriter<RegisterRequest> stream, CancellationToken stop, CancellationToken over)
    {
        using var timer = new PeriodicTimer(BeatEvery, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(stop, over);
        try
        {
            while (await Ticked()) await stream.WriteAsync(new RegisterRequest { Beat = new RunnerBeat() }, over);
            // A stream that ends in order, and not with its connection, says that no more is to come from this life.
            if (!over.IsCancellationRequested) await stream.CompleteAsync();
        }
        catch (Exception e) when (e is OperationCanceledException or RpcException or InvalidOperationException)
        {
            // The stream has ended, which its reading side tells.
        }

        async Task<bool> Ticked()
        {
            try
            {
                return await timer.WaitForNextTickAsync(either.Token);
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return false;
            }
        }
    }
}
