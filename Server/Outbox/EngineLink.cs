using System.Collections.Concurrent;
using Grpc.Core;
using Stigmer.Config;
using Stigmer.Rpc;
using Stigmer.Server.Runs;

namespace Stigmer.Server.Outbox;

/// <summary>
/// The server's side of its engine: asks it who it is, hands it what stands in the outbox, and looks for workflows that should
/// run there. One loop; woken by what happens, and every 5 s to see whether the engine is still the same.
/// </summary>
/// <param name="neighbours">Whether another server with this one's id works at the engine.</param>
sealed class EngineLink(RunStore store, EngineClient engine, Neighbours neighbours, string kind, string address, TimeProvider time, Log log)
{
    /// <summary>Retries are at most this far apart, and so are the looks at an idle engine.</summary>
    static readonly TimeSpan Longest = TimeSpan.FromSeconds(5);

    static readonly TimeSpan Shortest = TimeSpan.FromMilliseconds(50);

    const int AtOnce = 16;

    readonly SemaphoreSlim wake = new(0, 1);
    readonly ConcurrentDictionary<string, bool> missing = [];

    /// <summary>Something stands in the outbox.</summary>
    public void Wake()
    {
        try
        {
            wake.Release();
        }
        catch (SemaphoreFullException)
        {
            // It is awake already.
        }
    }

    /// <summary>Somebody was told NotFound about the workflow: to be looked at.</summary>
    public void Missing(string workflow)
    {
        missing[workflow] = true;
        Wake();
    }

    /// <summary>Until <paramref name="stop"/>.</summary>
    public async Task Run(CancellationToken stop)
    {
        var backoff = new Backoff(time, Shortest, Longest);
        string? known = null;
        // An engine of this machine is this data folder's own.
        if (kind != EngineName.External) store.Runners.Admit();
        while (!stop.IsCancellationRequested)
        {
            try
            {
                var id = await engine.Identify(stop);
                if (backoff.Failures > 0 || known is null || known != id)
                {
                    // The first time, or after an outage, or another database at the same address.
                    if (kind == EngineName.External && !await IsAlone(stop))
                    {
                        // Nor is anything handed over: it may have been copied with the id. They may end, and it is looked again.
                        await Pause(backoff, stop);
                        continue;
                    }
                    await store.EngineKnown(new EngineIdentity(id, kind, address));
                    known = id;
                    await Drain(id, stop);
                    await LookFor(id, await store.BoundHere(), stop);
                }
                backoff.Reset();
                await Drain(id, stop);
                await LookFor(id, TakeMissing(), stop);
                if (kind == EngineName.Embedded) await wake.WaitAsync(stop);
                else await wake.WaitAsync(Longest, stop);
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return;
            }
            catch (ObjectDisposedException) when (stop.IsCancellationRequested)
            {
                return; // The database was closed in the meantime.
            }
            catch (Exception e)
            {
                if (stop.IsCancellationRequested) return;
                // It stands in the outbox and is asked again.
                var why = e is RpcException rpc ? $"{rpc.StatusCode}: {rpc.Status.Detail}" : e.Message;
                if (backoff.Failures == 0) log.Warn("The workflow engine does not do what it was asked", ("address", address), ("why", why));
                await Pause(backoff, stop);
            }
        }
    }

    /// <summary>Whether runners may poll: nobody else does.</summary>
    async Task<bool> IsAlone(CancellationToken stop)
    {
        if (await neighbours.Look(stop) is not { } met)
        {
            store.Runners.Admit();
            return true;
        }
        if (store.Runners.Refuse(met)) log.Error(met.What, ("why", met.Why), ("remedy", met.Remedy));
        return false;
    }

    static async Task Pause(Backoff backoff, CancellationToken stop)
    {
        try
        {
            await backoff.Wait(stop);
        }
        catch (OperationCanceledException)
        {
            // The loop sees it.
        }
    }

    /// <summary>Hands over the outbox until it is empty. Each run's requests go in order, those of different runs side by side.</summary>
    async Task Drain(string id, CancellationToken stop)
    {
        while (await store.Waiting(id) is { Count: > 0 } requests)
        {
            var taken = new ConcurrentBag<long>();
            var over = new ConcurrentBag<string>();
            Exception? failed = null;
            await Parallel.ForEachAsync(requests, new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = stop }, async (request, cancel) =>
            {
                try
                {
                    if (!await Hand(id, request, cancel)) return;
                    taken.Add(request.Number);
                    if (request.Kind is "cancel" or "terminate") over.Add(request.Workflow);
                }
                catch (Exception e) when (e is RpcException && !cancel.IsCancellationRequested)
                {
                    // The others of this batch may succeed; what failed is tried again.
                    Interlocked.CompareExchange(ref failed, e, null);
                }
            });
            if (!taken.IsEmpty) await store.Taken(taken, over);
            if (failed is not null) throw failed;
        }
    }

    /// <summary>True where the engine has taken the request, or where it has become needless.</summary>
    async Task<bool> Hand(string id, RunStore.Request request, CancellationToken cancel)
    {
        try
        {
            switch (request.Kind)
            {
                case "start":
                    // Made now, since results may have been stored while it waited. Null: the turn has ended or gone elsewhere.
                    if (await store.Input(request.Workflow) is { } input) await engine.Start(request.Workflow, input, cancel);
                    break;
                case "bell":
                    await engine.Ring(request.Workflow, new Bell { Row = request.Said ?? 0, Kind = request.SaidKind ?? "message", Step = request.Step, Slot = request.Slot }, cancel);
                    break;
                case "cancel":
                    await engine.Cancel(request.Workflow, request.Said ?? 0, cancel);
                    break;
                case "terminate":
                    await engine.Terminate(request.Workflow, cancel);
                    break;
                case "fail":
                    await engine.Fail(request.Workflow, request.Activity ?? "", cancel);
                    break;
            }
            return true;
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.AlreadyExists && request.Kind == "start")
        {
            return true;
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.NotFound && request.Kind != "start")
        {
            // Decides nothing by itself: the engine may have another database now, or its namespace may not be there yet.
            if (await engine.Identify(cancel) != id) throw;
            if (request.Kind != "bell") return true;
            await Look(id, request.Workflow, cancel);
            // A workflow that is there after all gets its bell; otherwise the row is read by the new life.
            return await engine.IsOpen(request.Workflow, cancel) != true;
        }
    }

    async Task LookFor(string id, IReadOnlyCollection<string> workflows, CancellationToken stop)
    {
        if (workflows.Count == 0) return;
        await Parallel.ForEachAsync(
            workflows, new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = stop }, async (workflow, cancel) => await Look(id, workflow, cancel));
        await Drain(id, stop);
    }

    async Task Look(string id, string workflow, CancellationToken cancel)
    {
        if (!await store.IsBoundHere(workflow)) return;
        var open = await engine.IsOpen(workflow, cancel);
        if (open == true || await engine.Identify(cancel) != id) return;
        await store.Lost(workflow, open is null ? "is not known there" : "is closed there");
    }

    List<string> TakeMissing()
    {
        List<string> taken = [];
        foreach (var workflow in missing.Keys)
        {
            if (missing.TryRemove(workflow, out _)) taken.Add(workflow);
        }
        return taken;
    }
}
