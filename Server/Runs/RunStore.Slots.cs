using System.Threading.Channels;
using Google.Protobuf;
using Stigmer.Config;
using Stigmer.Rpc;
using Stigmer.Rpc.V1;
using Stigmer.Server.Storage;

namespace Stigmer.Server.Runs;

// A slot is claimed before money is spent or effects are caused, and the first result that is stored wins.
sealed partial class RunStore
{
    /// <summary>The longest that a claim may be kept waiting for another runner.</summary>
    public static readonly TimeSpan MaxWait = TimeSpan.FromSeconds(20);

    /// <summary>
    /// Asks for a slot. Where another runner works on it, waits for that to end as long as the request says, and then answers held.
    /// </summary>
    public async Task<ClaimResponse> Claim(ClaimRequest request, CancellationToken cancel)
    {
        Check(request.Slot, request.Caller);
        if (Runners.Heard(request.Caller.RunnerLife)) Events.LookAll();
        var deadline = time.GetTimestamp() + (long)(Math.Min(request.WaitMs, MaxWait.TotalMilliseconds) / 1000 * time.TimestampFrequency);
        var (answer, run) = await database.Write(t => TryClaim(t, request));
        if (answer.Held is null) return answer;
        using var watch = Events.Subscribe(run);
        while (answer.Held is not null)
        {
            // Once more after the subscription has begun: what ended in between is not missed.
            (answer, _) = await database.Write(t => TryClaim(t, request));
            if (answer.Held is null) break;
            var left = TimeSpan.FromSeconds((double)(deadline - time.GetTimestamp()) / time.TimestampFrequency);
            if (left <= TimeSpan.Zero || !await Changed(watch, left, cancel)) break;
        }
        return answer;
    }

    /// <summary>Ends a claim that brought no result.</summary>
    public Task GiveBack(GiveBackRequest request) => database.Write(t =>
    {
        if (Turn(t.Connection, request.Slot.RunId, request.Slot.Turn) is not { } turn) return;
        var ended = t.Execute(
            "UPDATE claims SET ended_at = $1, ending = 'given back', begun = $2 WHERE run = $3 AND turn = $4 AND step = $5 AND slot = $6 AND runner = $7 AND ended_at IS NULL",
            Now, request.Begun, turn.Run, turn.Turn, request.Slot.Step, request.Slot.Slot, request.RunnerLife);
        if (ended > 0) t.AfterCommit(() => Events.Look(turn.Run));
    });

    /// <summary>
    /// Stores a slot's result. While the turn is open and the slot empty it is taken from whoever holds or held the slot's claim,
    /// whichever life of the turn asked for it; otherwise what stands there is answered, or the refusal.
    /// </summary>
    public Task<AppendResponse> Append(AppendRequest request)
    {
        Check(request.Slot, request.Caller);
        var fitting = (request.Slot.Step, request.Slot.Slot) switch
        {
            (0, 0) => AppendRequest.BodyOneofCase.Offer,
            (0, _) => AppendRequest.BodyOneofCase.None,
            (_, 0) => AppendRequest.BodyOneofCase.Answer,
            _ => AppendRequest.BodyOneofCase.Result,
        };
        if (request.BodyCase != fitting || fitting == AppendRequest.BodyOneofCase.None)
        {
            throw Refusal.Invalid("Slot 0 takes a model's answer, in step 0 what models are offered; every other slot a tool's result");
        }
        return database.Write(t =>
        {
            var slot = request.Slot;
            // An unknown run never ends anything: the runner keeps its result and tries again.
            if (Turn(t.Connection, slot.RunId, slot.Turn) is not { } turn) throw Refusal.Later($"This server does not know turn {slot.Turn} of run {slot.RunId}");
            if (Stored(t.Connection, turn, slot.Step, slot.Slot) is { } there) return new AppendResponse { Stored = there };
            if (!turn.Open) return new AppendResponse { Refused = true, Why = "the turn has ended" };
            var claimed = t.Connection.Number(
                "SELECT count(*) FROM claims WHERE run = $1 AND turn = $2 AND step = $3 AND slot = $4 AND runner = $5",
                turn.Run, turn.Turn, slot.Step, slot.Slot, request.Caller.RunnerLife);
            if (claimed == 0) return new AppendResponse { Refused = true, Why = "this runner has never claimed the slot" };
            var entry = new TranscriptEntry { Turn = turn.Turn, Step = slot.Step, Slot = slot.Slot, StoredAt = Now };
            switch (request.BodyCase)
            {
                case AppendRequest.BodyOneofCase.Answer: entry.Answer = request.Answer; break;
                case AppendRequest.BodyOneofCase.Offer: entry.Offer = request.Offer; break;
                default: entry.Result = request.Result; break;
            }
            Store(t, turn, entry);
            return new AppendResponse { Stored = entry };
        });
    }

    /// <summary>The runner's registration: the claims of the lives that it replaces fall at once.</summary>
    public async Task Registered(RunnerHello hello)
    {
        var news = await database.Write(t =>
        {
            t.Execute(
                "INSERT INTO runners (life, host_id, queues, version, heard_at) VALUES ($1, $2, $3, $4, $5) "
                + "ON CONFLICT (life) DO UPDATE SET queues = excluded.queues, heard_at = excluded.heard_at",
                hello.Life, hello.HostId, string.Join('\n', QueuesOf(hello)), hello.Version, Now);
            return hello.Replaces.Where(life => Replace(t, life, hello)).ToList();
        });
        foreach (var life in news) log.Info("A runner takes the place of one that ended", ("life", hello.Life), ("replaces", life));
        // Also what is no news: the server may have ended before it had told.
        if (WorkerGone is { } tell) foreach (var life in hello.Replaces) await tell(life);
    }

    /// <summary>A runner that has been registered for long is still there.</summary>
    public Task StillThere(string life) => database.Write(t => t.Execute("UPDATE runners SET heard_at = $1 WHERE life = $2", Now, life));

    /// <summary>Those of the lives that have never registered here.</summary>
    public Task<List<string>> Strangers(IReadOnlyCollection<string> lives) =>
        database.Read(c => lives.Where(life => c.Text("SELECT life FROM runners WHERE life = $1", life) is null).ToList());

    /// <summary>Whether that was news.</summary>
    bool Replace(Transaction t, string life, RunnerHello by)
    {
        var news = t.Execute(
            "INSERT INTO runners (life, host_id, queues, version, heard_at, replaced_by) VALUES ($1, $2, '', '', $3, $4) "
            + "ON CONFLICT (life) DO UPDATE SET replaced_by = excluded.replaced_by WHERE replaced_by IS NULL",
            life, by.HostId, Now, by.Life) > 0;
        Gone(t, life, "replaced");
        return news;
    }

    /// <summary>The runner has said that it ends: what it still held, also at the engine, comes back at once.</summary>
    public async Task Left(string life)
    {
        await database.Write(t => Gone(t, life, "given back"));
        log.Info("A runner has ended", ("life", life));
        // A task that was handed to a poll at the moment when that was given up is known to nobody else.
        if (WorkerGone is { } tell) await tell(life);
        Events.LookAll();
    }

    void Gone(Transaction t, string life, string ending)
    {
        foreach (var (run, turn, workflow, activity) in Fall(t, life, ending))
        {
            // The embedded engine takes back by itself whatever the life had; a Temporal is told task by task.
            if (present is { Kind: not EngineName.Embedded } engine && activity.Length > 0 && LastTurn(t.Connection, run) is { } row && row.Engine == engine.Id)
            {
                Ask(t, row with { Turn = turn }, "fail", workflow, engine.Id, activity: activity);
            }
        }
        t.AfterCommit(() => Runners.Gone(life));
    }

    /// <summary>What a registered runner is told from now on.</summary>
    public ChannelReader<RegisterResponse> Listen(RunnerHello hello) => Runners.Register(hello.Life, QueuesOf(hello));

    // A runner learns from its first welcome which queues there are: until it says, it serves those of its host.
    List<string> QueuesOf(RunnerHello hello) => hello.Queues.Count > 0
        ? [.. hello.Queues]
        : [TurnWorkflow.Queue(ServerId), TurnWorkflow.EndQueue(ServerId), TurnWorkflow.HostQueue(ServerId, hello.HostId)];

    /// <summary>Which of these turns have ended.</summary>
    public Task<List<TurnKey>> Ended(IEnumerable<TurnKey> turns) =>
        database.Read(c => turns
        .Select(k => Turn(c, k.RunId, k.Turn)).Where(turn => turn is { Open: false })
        .Select(turn => new TurnKey { RunId = turn!.RunId, Turn = turn.Turn, Life = turn.Life }).ToList());

    /// <summary>Claims of runners that are away end; whoever waits for their slots claims anew.</summary>
    internal async Task ClaimsFall(IReadOnlyList<string> lives)
    {
        try
        {
            await database.Write(t =>
            {
                // It may have been heard of again while this waited for the writer.
                foreach (var life in lives.Where(Runners.IsAway)) Fall(t, life, "away");
            });
            foreach (var life in lives) log.Warn("A runner is away", ("life", life));
            Events.LookAll();
        }
        catch (ObjectDisposedException)
        {
            // The server is being stopped; its next start counts anew.
        }
        catch (Exception e)
        {
            // The claims are tried again where somebody asks for their slots.
            log.Error("The claims of a runner that is away could not be ended", ("error", e.Message));
        }
    }

    (ClaimResponse, long Run) TryClaim(Transaction t, ClaimRequest request)
    {
        var (slot, caller, c) = (request.Slot, request.Caller, t.Connection);
        if (Turn(c, slot.RunId, slot.Turn) is not { } turn) return (new ClaimResponse { Unknown = new ClaimUnknown() }, 0);
        ClaimResponse Refused(string why) => new() { Refused = new ClaimRefused { Why = why } };
        if (!turn.Open) return (Refused("the turn has ended"), turn.Run);
        if (turn.Workflow != caller.WorkflowId) return (Refused("the turn is bound to another workflow"), turn.Run);
        if (c.Text("SELECT replaced_by FROM runners WHERE life = $1", caller.RunnerLife) is { } successor)
        {
            return (Refused($"the runner's process has ended; {successor} took its place"), turn.Run);
        }
        if (Stored(c, turn, slot.Step, slot.Slot) is { } stored) return (new ClaimResponse { Stored = stored }, turn.Run);
        if (slot.Slot > 0)
        {
            var asked = Stored(c, turn, slot.Step, 0)?.Answer?.Calls.FirstOrDefault(call => call.Slot == slot.Slot)
                ?? throw Refusal.Invalid($"No call of step {slot.Step} has slot {slot.Slot}");
            // A runner knows this by itself; nothing that it may get wrong lets a tool run that nobody has said yes to.
            if (asked.NeedsApproval && !IsApproved(c, turn, slot.Step, slot.Slot) && !Spec(c, turn.Run).Yes) return (Refused("a person has to say yes to the call first"), turn.Run);
        }
        var claims = c.Query(
            "SELECT number, key, runner, ended_at IS NULL, begun FROM claims WHERE run = $1 AND turn = $2 AND step = $3 AND slot = $4 ORDER BY number",
            r => (Number: r.GetInt64(0), Key: r.GetString(1), Runner: r.GetString(2), Live: r.GetBoolean(3), Begun: r.GetBoolean(4)),
            turn.Run, turn.Turn, slot.Step, slot.Slot);
        var begunBefore = claims.Any(claim => !claim.Live && claim.Begun);
        var number = claims.Count == 0 ? 1 : claims[^1].Number + 1;
        foreach (var claim in claims.Where(claim => claim.Live))
        {
            if (claim.Runner == caller.RunnerLife && claim.Key == request.Key) return (Yours(begunBefore), turn.Run);
            if (!Runners.IsAway(claim.Runner)) return (new ClaimResponse { Held = new ClaimHeld { ByRunnerLife = claim.Runner } }, turn.Run);
            // Nobody knows how far it came: it counts as begun.
            t.Execute(
                "UPDATE claims SET ended_at = $1, ending = 'away', begun = 1 WHERE run = $2 AND turn = $3 AND step = $4 AND slot = $5 AND number = $6",
                Now, turn.Run, turn.Turn, slot.Step, slot.Slot, claim.Number);
            begunBefore = true;
        }
        t.Execute(
            "INSERT INTO claims (run, turn, step, slot, number, key, runner, workflow, activity, claimed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            turn.Run, turn.Turn, slot.Step, slot.Slot, number, request.Key, caller.RunnerLife, caller.WorkflowId, caller.ActivityId, Now);
        if (turn.Status == RunStatus.Queued)
        {
            t.Execute("UPDATE turns SET status = $1 WHERE run = $2 AND turn = $3", RunStatus.Running, turn.Run, turn.Turn);
            t.AfterCommit(() => Events.Look(turn.Run));
        }
        if (slot.Slot == 0) t.AfterCommit(() => Events.Claimed(turn.Run, turn.Turn, slot.Step, caller.RunnerLife, begunBefore));
        return (Yours(begunBefore), turn.Run);

        static ClaimResponse Yours(bool begunBefore) => new() { Yours = new ClaimYours { BegunBefore = begunBefore } };
    }

    List<(long Run, int Turn, string Workflow, string Activity)> Fall(Transaction t, string life, string ending)
    {
        var fallen = t.Connection.Query(
            "UPDATE claims SET ended_at = $1, ending = $2, begun = 1 WHERE runner = $3 AND ended_at IS NULL RETURNING run, turn, workflow, activity",
            r => (r.GetInt64(0), r.GetInt32(1), r.GetString(2), r.GetString(3)), Now, ending, life);
        foreach (var run in fallen.Select(f => f.Item1).Distinct()) t.AfterCommit(() => Events.Look(run));
        return fallen;
    }

    static TranscriptEntry? Stored(Connection c, TurnRow turn, int step, int slot) =>
        c.First("SELECT entry FROM slots WHERE run = $1 AND turn = $2 AND step = $3 AND slot = $4", ReadEntry, turn.Run, turn.Turn, step, slot);

    static bool IsFilled(Connection c, TurnRow turn, int step, int slot) =>
        c.Number("SELECT count(*) FROM slots WHERE run = $1 AND turn = $2 AND step = $3 AND slot = $4", turn.Run, turn.Turn, step, slot) > 0;

    /// <summary>Fills an empty slot of an open turn; its claims end with it.</summary>
    void Store(Transaction t, TurnRow turn, TranscriptEntry entry)
    {
        t.Execute(
            "INSERT INTO slots (run, turn, step, slot, stored_at, input_tokens, output_tokens, worked_ms, entry) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            turn.Run, turn.Turn, entry.Step, entry.Slot, entry.StoredAt, entry.Answer?.Usage?.InputTokens ?? 0, entry.Answer?.Usage?.OutputTokens ?? 0,
            entry.Answer?.WorkedMs ?? entry.Result?.WorkedMs ?? entry.Offer?.WorkedMs ?? 0, entry.ToByteArray());
        t.Execute(
            "UPDATE claims SET ended_at = $1, ending = 'result' WHERE run = $2 AND turn = $3 AND step = $4 AND slot = $5 AND ended_at IS NULL",
            Now, turn.Run, turn.Turn, entry.Step, entry.Slot);
        t.Execute("UPDATE turns SET losses = 0 WHERE run = $1 AND turn = $2 AND losses <> 0", turn.Run, turn.Turn);
        if (entry.Answer is { } answer)
        {
            t.Execute(
                "UPDATE turns SET steps = steps + $1, input_tokens = input_tokens + $2, output_tokens = output_tokens + $3 WHERE run = $4 AND turn = $5",
                entry.Step > 0 ? 1 : 0, answer.Usage?.InputTokens ?? 0, answer.Usage?.OutputTokens ?? 0, turn.Run, turn.Turn);
            t.Execute(
                "UPDATE said SET read_turn = $1, read_step = $2 WHERE run = $3 AND kind = 'message' AND number <= $4 AND read_turn IS NULL",
                turn.Turn, entry.Step, turn.Run, answer.ReadUpTo);
        }
        if (entry.Slot == 0) t.AfterCommit(() => Events.Settled(turn.Run));
        else t.AfterCommit(() => Events.Look(turn.Run));
    }

    async Task<bool> Changed(RunEvents.Subscription watch, TimeSpan within, CancellationToken cancel)
    {
        using var timeout = new CancellationTokenSource(within, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancel);
        try
        {
            while (await watch.Events.WaitToReadAsync(either.Token))
            {
                var look = false;
                while (watch.Events.TryRead(out var happened)) look |= happened is RunEvent.Look;
                if (look) return true;
            }
            return false;
        }
        catch (OperationCanceledException) when (timeout.IsCancellationRequested && !cancel.IsCancellationRequested)
        {
            return false;
        }
    }

    static void Check(SlotKey? slot, Caller? caller)
    {
        if (slot is null || caller is null || caller.RunnerLife.Length == 0 || slot.Turn < 1 || slot.Step < 0 || slot.Slot < 0)
        {
            throw Refusal.Invalid("A slot is named by run, turn, step and slot, and its caller by the runner's life");
        }
    }
}
