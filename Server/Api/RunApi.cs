using Grpc.Core;
using Stigmer.Rpc.V1;
using Stigmer.Server.Runs;

namespace Stigmer.Server.Api;

/// <summary>Runs, as people and scripts see them.</summary>
/// <param name="stopping">The server is being stopped: watchers are sent away at once, and come back.</param>
sealed class RunApi(RunStore store, CancellationToken stopping)
{
    readonly RunStore store = store;

    public static ServiceMethods<RunApi> Methods(Faults faults) => new("stigmer.v1.RunService", faults, m =>
    {
        m.Unary<StartRunRequest, StartRunResponse>("StartRun", async (api, request, _) => new() { Run = await api.store.Start(request) });
        m.Unary<GetRunRequest, GetRunResponse>("GetRun", (api, request, _) => api.store.Get(request));
        m.Unary<ListRunsRequest, ListRunsResponse>("ListRuns", async (api, request, _) => new() { Runs = { await api.store.List(request) } });
        m.Unary<CancelRunRequest, CancelRunResponse>("CancelRun", async (api, request, _) => new() { Run = await api.store.Cancel(request) });
        m.Unary<ResumeRunRequest, ResumeRunResponse>("ResumeRun", async (api, request, _) => new() { Run = await api.store.Resume(request) });
        m.Unary<SendMessageRequest, SendMessageResponse>("SendMessage", (api, request, _) => api.store.Send(request));
        m.Unary<DecideCallsRequest, DecideCallsResponse>("DecideCalls", (api, request, _) => api.store.Decide(request));
        m.ServerStream<WatchRunRequest, WatchRunResponse>("WatchRun", (api, request, responses, context) => api.WatchRun(request, responses, context));
    });

    async Task WatchRun(WatchRunRequest request, IServerStreamWriter<WatchRunResponse> responses, ServerCallContext context)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, stopping);
        var run = await store.Named(request.Run);
        // Before anything is read: what happens from here on is seen one way or the other.
        using var watch = store.Events.Subscribe(run);
        var place = await store.PlaceOf(run, request);
        Run? shown = null;
        while (true)
        {
            var (now, ended, entries, more) = await store.Since(run, place);
            if (shown is null) await Write(new WatchRunResponse { Run = now });
            else if (shown.Status != now.Status || shown.WaitingFor != now.WaitingFor || !shown.WaitingCalls.Equals(now.WaitingCalls)) await Write(new WatchRunResponse { Changed = now });
            shown = now;
            foreach (var entry in entries)
            {
                await Write(new WatchRunResponse { Entry = entry });
                place = place.Past(entry);
            }
            if (ended)
            {
                await Write(new WatchRunResponse { Done = now });
                return;
            }
            if (more && entries.Count > 0) continue;
            while (await Next() is var happened && happened is not RunEvent.Look)
            {
                // Of a step whose answer was sent nothing more is to be told.
                switch (happened)
                {
                    case RunEvent.Text text when Unanswered(text.Turn, text.Step):
                        await Write(new WatchRunResponse { Text = new TextDelta { Turn = text.Turn, Step = text.Step, Text = text.Delta } });
                        break;
                    case RunEvent.Retry retry when Unanswered(retry.Turn, retry.Step):
                        await Write(new WatchRunResponse { Retry = new RetryNote { Turn = retry.Turn, Step = retry.Step, Why = retry.Why } });
                        break;
                }
            }
        }

        bool Unanswered(int turn, int step) => (turn, step, 0).CompareTo((place.Turn, place.Step, place.Slot)) > 0;

        async Task<RunEvent> Next()
        {
            while (await watch.Events.WaitToReadAsync(either.Token))
            {
                if (watch.Events.TryRead(out var happened)) return happened;
            }
            throw Refusal.Later("The watcher is too far behind: watch again");
        }

        Task Write(WatchRunResponse response)
        {
            // Not into the write itself: one that is broken off resets the stream, and the watcher would not be told why.
            either.Token.ThrowIfCancellationRequested();
            return responses.WriteAsync(response, CancellationToken.None);
        }
    }
}
