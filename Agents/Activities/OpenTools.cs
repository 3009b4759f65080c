using Stigmer.Agents.Loop;
using Stigmer.Agents.Worker;
using Stigmer.Rpc.V1;

namespace Stigmer.Agents.Activities;

/// <summary>
/// Starts the servers of an agent and stores what the turn's models are offered: slot 0 of step 0, where CallModel reads it on
/// whichever runner.
/// </summary>
/// <param name="open">Starts a run's servers and asks what they have. Fails with <see cref="Failure"/>.</param>
sealed class OpenTools(Slots slots, Transcripts transcripts, Func<RunSpec, int, Func<string, bool>, CancellationToken, Task<ToolOffer>> open, TimeProvider time)
{
    /// <summary>
    /// Of how many runs servers start at the same time: of a hundred that start at once, none would be ready in time. One that hangs
    /// should not hold up all others.
    /// </summary>
    readonly SemaphoreSlim starting = new(Math.Max(4, 2 * Environment.ProcessorCount));

    /// <summary>Opens them, or finds that they have been.</summary>
    public async Task<ToolReport> Run(OpenToolsTask task, Attempt attempt)
    {
        var slot = new SlotKey { RunId = task.Run, Turn = task.Turn, Step = 0, Slot = 0 };
        var started = time.GetTimestamp();
        var filled = await slots.Fill(slot, attempt, async work =>
        {
            await starting.WaitAsync(work.Stop);
            try
            {
                // Waiting for one's turn is no work.
                started = time.GetTimestamp();
                return await Offer(task, work) is { } offer ? new AppendRequest { Offer = offer } : null;
            }
            finally
            {
                starting.Release();
            }
        });
        if (filled.Refused) return new ToolReport { Outcome = Outcome.Refused };
        if (filled.Entry is null) return new ToolReport { Outcome = Outcome.TimedOut, WorkedMs = (long)time.GetElapsedTime(started).TotalMilliseconds };
        return new ToolReport { Outcome = Outcome.Stored, WorkedMs = filled.Entry.Offer?.WorkedMs ?? 0 };
    }

    /// <summary>Null: the run's time was over before.</summary>
    async Task<ToolOffer?> Offer(OpenToolsTask task, Slots.Work work)
    {
        var spec = (await transcripts.ReadStep(task.Run, task.Turn, 0, work.Stop)).Spec;
        var rules = ToolRules.Of(spec.Tools);
        var started = time.GetTimestamp();
        using var limit = new TimeLimit(task.LeftMs, time, work.Stop);
        try
        {
            var offer = await open(spec, task.Turn, rules.Offers, limit.Token);
            foreach (var tool in Offers.BuiltIn(rules).Reverse())
            {
                offer.Tools.Insert(0, new OfferedTool { Name = tool.Name, Description = tool.Description, Schema = tool.Schema.GetRawText() });
            }
            offer.WorkedMs = (long)time.GetElapsedTime(started).TotalMilliseconds;
            return offer;
        }
        catch (OperationCanceledException) when (limit.IsOver && !work.Stop.IsCancellationRequested)
        {
            return null;
        }
        catch (Failure e)
        {
            throw new ActivityFailure(new TurnError(e.What, e.Why, e.Remedy), retryable: false, e.InnerException);
        }
    }
}
