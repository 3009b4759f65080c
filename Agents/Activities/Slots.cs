using System.Collections.Concurrent;
using Stigmer.Agents.Worker;
using Stigmer.Config;
using Stigmer.Rpc.V1;

namespace Stigmer.Agents.Activities;

/// <summary>
/// The slots of transcripts that this runner works on: each is claimed before money is spent or effects are caused, and what
/// came of it is stored, or given back.
/// </summary>
/// <param name="server">Where the slots are.</param>
/// <param name="end">When the runner's time is up: even a result in hand is let go.</param>
sealed class Slots(RunnerServer server, Log log, TimeProvider time, CancellationToken end)
{
    /// <summary>The least time between two questions for a slot that another runner holds, should the server not have waited.</summary>
    static readonly TimeSpan HeldAgain = TimeSpan.FromMilliseconds(250);

    readonly ConcurrentDictionary<SlotKey, Task> underWay = new();

    /// <summary>The turns that are worked on.</summary>
    public IEnumerable<TurnKey> Turns => underWay.Keys.Select(slot => new TurnKey { RunId = slot.RunId, Turn = slot.Turn }).Distinct();

    /// <summary>What a slot's work may do besides its result.</summary>
    internal sealed class Work(bool begunBefore, CancellationToken stop)
    {
        /// <summary>An earlier claim ended without a result after its work had begun.</summary>
        public bool BegunBefore => begunBefore;

        /// <summary>Cancelled when the attempt is to stop.</summary>
        public CancellationToken Stop => stop;

        /// <summary>Money is spent or effects may be caused from here on.</summary>
        public bool Begun { get; set; }
    }

    /// <summary>How an attempt at a slot went.</summary>
    /// <param name="Entry">What stands in the slot; null: nothing that this attempt could see.</param>
    /// <param name="Refused">The server refused the claim or the result.</param>
    internal readonly record struct Filled(TranscriptEntry? Entry, bool Refused);

    /// <summary>
    /// What stands in the slot: stored before, or the result of <paramref name="work"/>. Work that brings none (it answers
    /// null, fails or is cancelled) gives the slot back.
    /// </summary>
    public async Task<Filled> Fill(SlotKey slot, Attempt attempt, Func<Work, Task<AppendRequest?>> work)
    {
        while (true)
        {
            // The engine may give us a second attempt while the first one still works, after an outage: it needs no claim of its
            // own, since it finds the first one's result.
            var mine = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            var holder = underWay.GetOrAdd(slot, mine.Task);
            if (holder != mine.Task)
            {
                await holder.WaitAsync(attempt.Stop);
                continue;
            }
            try
            {
                return await FillAlone(slot, attempt, work);
            }
            finally
            {
                underWay.TryRemove(slot, out _);
                mine.SetResult();
            }
        }
    }

    async Task<Filled> FillAlone(SlotKey slot, Attempt attempt, Func<Work, Task<AppendRequest?>> work)
    {
        var key = RandomId.New();
        while (true)
        {
            ClaimResponse claim;
            try
            {
                claim = await server.Claim(slot, key, attempt, attempt.Stop);
            }
            catch (OperationCanceledException)
            {
                // The claim may have been granted, and its answer lost.
                await GiveBack(slot, begun: false);
                throw;
            }
            switch (claim.AnswerCase)
            {
                case ClaimResponse.AnswerOneofCase.Stored:
                    return new Filled(claim.Stored, Refused: false);
                case ClaimResponse.AnswerOneofCase.Refused:
                    log.Info("the server refused a slot", ("run", slot.RunId), ("turn", slot.Turn), ("step", slot.Step), ("slot", slot.Slot), ("why", claim.Refused.Why));
                    return new Filled(null, Refused: true);
                case ClaimResponse.AnswerOneofCase.Held:
                    await Task.Delay(HeldAgain, time, attempt.Stop);
                    continue;
                case ClaimResponse.AnswerOneofCase.Yours:
                    return await Do(slot, attempt, new Work(claim.Yours.BegunBefore, attempt.Stop), work);
                default:
                    throw new ActivityFailure(new("The server does not know this run", $"run {slot.RunId}"), retryable: true);
            }
        }
    }

    async Task<Filled> Do(SlotKey slot, Attempt attempt, Work state, Func<Work, Task<AppendRequest?>> work)
    {
        AppendRequest? result;
        try
        {
            result = await work(state);
        }
        catch
        {
            await GiveBack(slot, state.Begun);
            throw;
        }
        if (result is null)
        {
            await GiveBack(slot, state.Begun);
            return new Filled(null, Refused: false);
        }
        // From here on nothing that the engine says throws the result away: only the server may refuse it.
        result.Slot = slot;
        result.Caller = server.Caller(attempt);
        var stored = await server.Append(result, end);
        return new Filled(stored, Refused: stored is null);
    }

    async Task GiveBack(SlotKey slot, bool begun)
    {
        try
        {
            await server.GiveBack(slot, begun, end);
        }
        catch (Exception e) when (e is OperationCanceledException or ActivityFailure)
        {
            // The claim ends with this life of the runner.
            log.Warn("a slot was not given back", ("run", slot.RunId), ("turn", slot.Turn), ("step", slot.Step), ("slot", slot.Slot), ("why", e.Message));
        }
    }
}
