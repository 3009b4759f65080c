using System.Text;
using Grpc.Core;
using Stigmer.Rpc.V1;

namespace Stigmer.Agents.Activities;

/// <summary>
/// What a model streams, on its way to those who watch. Never holds the model up: what piles up while the server is slow goes
/// out as one delta. Only the stored answer counts, so that what cannot be told is let go.
/// </summary>
sealed class Deltas : IAsyncDisposable
{
    /// <summary>How long the end waits for the server to have taken the last delta: it should be shown before the answer.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    readonly RunnerServer server;
    readonly SlotKey slot;
    readonly TimeProvider time;
    readonly Lock gate = new();
    readonly SemaphoreSlim more = new(0, 1);
    readonly CancellationTokenSource stop = new();
    readonly Task pump;
    readonly StringBuilder said = new();
    int sent;
    string? retry;
    bool ended;

    /// <param name="slot">Slot 0 of the step that is streamed.</param>
    public Deltas(RunnerServer server, SlotKey slot, TimeProvider time)
    {
        (this.server, this.slot, this.time) = (server, slot, time);
        pump = Pump();
    }

    /// <summary>Further text.</summary>
    public Task Text(string text)
    {
        lock (gate) said.Append(text);
        Signal();
        return Task.CompletedTask;
    }

    /// <summary>The call is made again as a whole: what was shown of this step is to be discarded.</summary>
    public void Retry(string why)
    {
        lock (gate)
        {
            said.Clear();
            (sent, retry) = (0, why);
        }
        Signal();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        lock (gate) ended = true;
        Signal();
        try
        {
            await pump.WaitAsync(Patience, time);
        }
        catch (TimeoutException)
        {
            await stop.CancelAsync();
            await pump;
        }
        stop.Dispose();
        more.Dispose();
    }

    void Signal()
    {
        lock (gate)
        {
            if (more.CurrentCount == 0) more.Release();
        }
    }

    async Task Pump()
    {
        AsyncClientStreamingCall<PublishDeltasRequest, PublishDeltasResponse>? call = null;
        try
        {
            while (true)
            {
                await more.WaitAsync(stop.Token);
                var (requests, last) = Next();
                foreach (var request in requests)
                {
                    try
                    {
                        call ??= server.Calls.PublishDeltas(cancellationToken: stop.Token);
                        await call.RequestStream.WriteAsync(request, stop.Token);
                    }
                    catch (Exception e) when (e is RpcException or InvalidOperationException && !stop.IsCancellationRequested)
                    {
                        // The server was away, and its watchers with it: with the next text they get all of this step anew.
                        call?.Dispose();
                        call = null;
                        Anew();
                        break;
                    }
                }
                if (!last) continue;
                if (call is null) return;
                await call.RequestStream.CompleteAsync();
                await call;
                return;
            }
        }
        catch (Exception e) when (e is OperationCanceledException or RpcException or InvalidOperationException)
        {
            // Nobody is told any more: the stored answer tells them.
        }
        finally
        {
            call?.Dispose();
        }
    }

    (List<PublishDeltasRequest> Requests, bool Last) Next()
    {
        lock (gate)
        {
            var requests = new List<PublishDeltasRequest>(2);
            if (retry is not null) requests.Add(Request(request => request.Retry = retry));
            if (said.Length > sent) requests.Add(Request(request => request.Text = said.ToString(sent, said.Length - sent)));
            (sent, retry) = (said.Length, null);
            return (requests, ended);
        }
    }

    PublishDeltasRequest Request(Action<PublishDeltasRequest> with)
    {
        var request = new PublishDeltasRequest { RunId = slot.RunId, Turn = slot.Turn, Step = slot.Step, RunnerLife = server.Life };
        with(request);
        return request;
    }

    void Anew()
    {
        lock (gate)
        {
            sent = 0;
            retry ??= "the connection to the server was lost";
        }
    }
}
