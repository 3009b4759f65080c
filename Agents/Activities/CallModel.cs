using System.Globalization;
using Grpc.Core;
using Stigmer.Agents.Llm;
using Stigmer.Agents.Loop;
using Stigmer.Agents.Worker;
using Stigmer.Rpc.V1;

namespace Stigmer.Agents.Activities;

/// <summary>One model call: slot 0 of its step.</summary>
sealed class CallModel(RunnerServer server, Slots slots, Transcripts transcripts, RunModels models, Log log, TimeProvider time)
{
    /// <summary>How often a call is made before the run fails where the provider says itself when to come again.</summary>
    const int MostInvitedTries = 10;

    /// <summary>The same where it says nothing: with the waits below, half a minute, for somebody may stand before it.</summary>
    const int MostTries = 6;

    static readonly TimeSpan FirstWait = TimeSpan.FromSeconds(1);

    static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(30);

    /// <summary>A provider that wants to be left alone for longer is not waited for: the run fails, and can be resumed then.</summary>
    static readonly TimeSpan LongestInvitedWait = TimeSpan.FromMinutes(10);

    /// <summary>Makes the call, or takes what is stored, and tells what deciding needs of it.</summary>
    public async Task<ModelReport> Run(ModelTask task, Attempt attempt)
    {
        var slot = new SlotKey { RunId = task.Run, Turn = task.Turn, Step = task.Step, Slot = 0 };
        var started = time.GetTimestamp();
        RunSpec? spec = null;
        var filled = await slots.Fill(slot, attempt, async work =>
        {
            var transcript = await transcripts.Read(task.Run, task.Turn, task.Step, work.Stop);
            spec = transcript.Spec;
            started = time.GetTimestamp();
            var answer = await Ask(slot, task, transcript, work);
            if (answer is null) return null;
            answer.WorkedMs = (long)time.GetElapsedTime(started).TotalMilliseconds;
            return new AppendRequest { Answer = answer };
        });
        if (filled.Refused) return new ModelReport { Outcome = Outcome.Refused };
        if (filled.Entry is null) return new ModelReport { Outcome = Outcome.TimedOut, WorkedMs = (long)time.GetElapsedTime(started).TotalMilliseconds };
        var stored = filled.Entry.Answer ?? throw new ActivityFailure(new("The server holds something else than a model's answer", $"{slot}"), retryable: false);
        if (spec is not null || stored.Calls.Count == 0) return Report(stored, new HashSet<int>(), new HashSet<int>(), spec?.Yes == true);

        // The answer was there before us: so may be results of its calls.
        var known = await transcripts.ReadStep(task.Run, task.Turn, task.Step, attempt.Stop);
        return Report(stored, known.Done.ToHashSet(), known.Approved, known.Spec.Yes);
    }

    static ModelReport Report(ModelAnswer answer, HashSet<int> done, IReadOnlySet<int> approved, bool yes) => new()
    {
        Finish = answer.FinishReason.ToString(),
        Tokens = answer.Usage is { } usage ? usage.InputTokens + usage.OutputTokens : 0,
        WorkedMs = answer.WorkedMs,
        ReadUpTo = answer.ReadUpTo,
        Calls = [.. answer.Calls.Select(call => new CallReport(call.Slot, call.Name, StateOf(call, done, yes || approved.Contains(call.Slot))))],
    };

    static CallState StateOf(ToolCall call, HashSet<int> done, bool yes)
    {
        if (done.Contains(call.Slot)) return CallState.Done;
        return call.NeedsApproval && !yes ? CallState.NeedsYes : CallState.Approved;
    }

    /// <summary>Null: the run's time was over before the answer.</summary>
    async Task<ModelAnswer?> Ask(SlotKey slot, ModelTask task, Transcripts.Transcript transcript, Slots.Work work)
    {
        using var limit = new TimeLimit(task.LeftMs, time, work.Stop);
        try
        {
            var (settings, client) = models.Of(transcript.Spec);
            var rules = ToolRules.Of(transcript.Spec.Tools);
            var offered = Offers.Of(transcript.Spec, transcript.Before, task.Turn, rules);
            var call = new ModelCall(settings, Offers.Instructions(transcript.Spec, transcript.Before, task.Turn), transcript.Before, offered, task.Step);
            await using var deltas = new Deltas(server, slot, time);
            for (var tries = 1; ; tries++)
            {
                try
                {
                    work.Begun = true;
                    var answer = await call.Ask(client, deltas.Text, limit.Token);
                    foreach (var asked in answer.Calls) (asked.NeedsApproval, asked.Once) = (rules.NeedsApproval(asked.Name), rules.Once(asked.Name));
                    return answer;
                }
                catch (ModelFailure e) when (e.Retryable && tries < (e.RetryAfter is null ? MostTries : MostInvitedTries) && !(e.RetryAfter > LongestInvitedWait))
                {
                    var wait = WaitAfter(e, tries);
                    log.Warn("a model call failed and is made again", ("run", task.Run), ("step", task.Step), ("why", e.Message), ("wait", wait));
                    deltas.Retry(string.Create(CultureInfo.InvariantCulture, $"{e.Message}; trying again in {wait.TotalSeconds:0.#} s"));
                    await Task.Delay(wait, time, limit.Token);
                }
            }
        }
        catch (OperationCanceledException) when (limit.IsOver)
        {
            return null;
        }
        catch (Failure e)
        {
            throw new ActivityFailure(new TurnError(e.What, e.Why, e.Remedy), retryable: false, e.InnerException);
        }
        catch (Exception e) when (IsUnexpected(e, limit.Token))
        {
            // Each further attempt could be paid for and end the same: no engine is to make it again.
            log.Error("a model call failed unexpectedly", ("run", task.Run), ("step", task.Step), ("error", e));
            throw new ActivityFailure(
                new TurnError(
                    "The model call failed in a way that stigmer does not know",
                    $"{e.GetType().Name}: {e.Message}",
                    $"It is not made again by itself, since each call may cost money; the agent-runner's log says more. `stigmer runs resume {task.Run}` makes it again"),
                retryable: false);
        }
    }

    /// <summary>Not before the provider's word, and a little later each in his own way: a thousand runs should not come again at once.</summary>
    static TimeSpan WaitAfter(ModelFailure failure, int tries)
    {
        var own = TimeSpan.FromTicks(Math.Min(LongestWait.Ticks, FirstWait.Ticks << (tries - 1)));
        // A provider that says "at once" again and again is not believed for ever.
        var least = failure.RetryAfter is not { } after ? own : tries > 3 && after < FirstWait ? FirstWait : after;
        return least + (least * 0.25 * Random.Shared.NextDouble());
    }

    /// <summary>A bug of ours or of a library. What was asked to end is none, nor what concerns the server or the engine, which may be well later.</summary>
    static bool IsUnexpected(Exception e, CancellationToken limit) => e switch
    {
        OperationCanceledException => !limit.IsCancellationRequested,
        _ => e is not (RpcException or ActivityFailure),
    };
}
