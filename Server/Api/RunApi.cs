using Grpc.Core;
using Stigmer.Rpc.V1;
using Stigmer.Server.Runs;

namespace Stigmer.Server.Api;

/// <summary>Runs, as people and scripts see them.</summary>
/// <param name="stopping">The server is being stopped: watchers are sent away at once, and come back.</param>
sealed class RunApi(RunStore store, CancellationToken stopping) : RunService.RunServiceBase
{
    public override async Task<StartRunResponse> StartRun(StartRunRequest request, ServerCallContext context) => new() { Run = await store.Start(request) };

    public override Task<GetRunResponse> GetRun(GetRunRequest request, ServerCallContext context) => store.Get(request.Run);

    public override async Task<ListRunsResponse> ListRuns(ListRunsRequest request, ServerCallContext context) => new() { Runs = { await store.List(request) } };

    public override async Task<CancelRunResponse> CancelRun(CancelRunRequest request, ServerCallContext context) => new() { Run = await store.Cancel(request) };

    public override async Task<ResumeRunResponse> ResumeRun(ResumeRunRequest request, ServerCallContext context) => new() { Run = await store.Resume(request) };

    public override async Task WatchRun(WatchRunRequest request, IServerStreamWriter<WatchRunResponse> responses, ServerCallContext context)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, stopping);
        var run = await store.Named(request.Run);
        // Before anything is read: what happens from here on is seen one way or the other.
        using var watch = store.Events.Subscribe(run);
        var place = await store.PlaceOf(run, request);
        Run? shown = null;
        while (true)
        {
            var (now, ended, entries) = await store.Since(run, place);
            if (shown is null) await Write(new WatchRunResponse { Run = now });
            else if (shown.Status != now.Status || shown.WaitingFor != now.WaitingFor) await Write(new WatchRunResponse { Changed = now });
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

        Task Write(WatchRunResponse response) => responses.WriteAsync(response, either.Token);
    }
}
