using Stigmer.Rpc;
using Stigmer.Rpc.V1;
using Stigmer.Server.Runs;

namespace Stigmer.Server.Outbox;

/// <summary>
/// Another server that has this one's id and works on the same task queues, since one of the two data folders is a copy of the
/// other: each would be handed the other's work.
/// </summary>
/// <param name="address">The engine's, for a person.</param>
/// <param name="dataDir">The data folder that was copied.</param>
sealed class Neighbours(RunStore store, EngineClient engine, string address, string dataDir, TimeProvider time)
{
    /// <summary>Looks who polls the queue of this server's id. Null: only runners that this server knows, or the engine does not tell.</summary>
    /// <returns>What to tell a person.</returns>
    public async Task<Error?> Look(CancellationToken cancel)
    {
        var queue = TurnWorkflow.Queue(store.ServerId);
        if (await engine.Pollers(queue, cancel) is not { } pollers) return null;
        var strangers = await store.Strangers(pollers.Keys);
        if (strangers.Count == 0) return null;
        var latest = strangers.MaxBy(life => pollers[life])!;
        var ago = Math.Max(0, (long)(time.GetUtcNow() - pollers[latest]).TotalSeconds);
        return new Error
        {
            What = $"Another stigmer with this one's id works at the Temporal at {address}",
            Why = $"{dataDir} was copied, or put back from a backup: runner {latest}, which has never registered here, polled the queue {queue} {ago} s ago",
            Remedy = $"Where this is the copy: stop it, remove stigmer.db, stigmer.db-wal and stigmer.db-shm from {dataDir} (the copy's runs are lost, the "
                + "other's are not) and start it again: it makes an id of its own. Where the other has ended: start again in 5 minutes, when Temporal has forgotten it",
        };
    }
}
