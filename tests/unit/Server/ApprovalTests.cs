using Grpc.Core;
using Stigmer.Config;
using Stigmer.Rpc.V1;
using Stigmer.Server.Runs;

namespace Stigmer.Tests.Server;

public class ApprovalTests
{
    static ToolCall Ask(int slot, string name = "workspace.write") => new() { Slot = slot, Id = $"call-{slot}", Name = name, Arguments = "{}", NeedsApproval = true };

    /// <summary>A run whose first step asked for these calls, with an empty outbox.</summary>
    static async Task<string> Asked(Store store, params ToolCall[] calls)
    {
        var run = await store.Start();
        await store.Claim(run, "A", 1);
        await store.Answer(run, "A", 1, "", 1, calls);
        await store.EmptyOutbox();
        return run;
    }

    [Fact]
    public async Task A_run_waits_when_all_that_is_left_of_its_step_needs_a_yes_and_a_tool_without_one_is_not_let_run()
    {
        await using var store = await Store.Open();
        var run = await Asked(store, Store.Call(1), Ask(2), Ask(3));
        Assert.Equal((RunStatus.Running, 2), ((await store.Run(run)).Status, (await store.Run(run)).WaitingCalls.Count));
        await store.Claim(run, "A", 1, slot: 1);
        await store.Result(run, "A", 1, 1);
        var waiting = await store.Run(run);
        Assert.Equal(RunStatus.Waiting, waiting.Status);
        Assert.Contains("workspace.write", waiting.WaitingFor);
        Assert.Equal([(1, 1, "call-2"), (1, 1, "call-3")], waiting.WaitingCalls.Select(w => (w.Turn, w.Step, w.Call.Id)));
        Assert.Equal([run], (await store.Runs.List(new ListRunsRequest { Status = RunStatus.Waiting })).Select(r => r.Id));
        Assert.Empty(await store.Runs.List(new ListRunsRequest { Status = RunStatus.Running }));
        Assert.NotNull((await store.Claim(run, "A", 1, slot: 2)).Refused);
    }

    [Fact]
    public async Task A_yes_lets_a_call_run_and_a_no_is_its_result_with_the_reason_for_the_model()
    {
        await using var store = await Store.Open();
        var run = await Asked(store, Ask(1), Ask(2));
        var yes = await store.Runs.Decide(new DecideCallsRequest { Run = run, Key = "y", Yes = true, Call = "call-1" });
        Assert.Equal("call-1", Assert.Single(yes.Decided).Call.Id);
        Assert.Equal([new Stigmer.Rpc.V1.Place { Turn = 1, Step = 1, Slot = 1 }], await store.Runs.Approved(run));
        Assert.NotNull((await store.Claim(run, "A", 1, slot: 1)).Yours);
        Assert.Equal("call-2", Assert.Single((await store.Runs.Decide(new DecideCallsRequest { Run = run, Key = "n", Reason = "not on Fridays" })).Decided).Call.Id);
        var denied = (await store.Entries(run)).Single(e => e.Slot == 2).Result;
        Assert.Equal((ResultKind.Denied, false, "call-2"), (denied.Kind, denied.Ok, denied.CallId));
        Assert.Contains("not on Fridays", denied.Text);
        var bells = (await store.Runs.Waiting(Store.Here.Id)).Concat(await store.Runs.Waiting(Store.Here.Id)).First();
        Assert.Equal(("bell", "approve", 1, 1), (bells.Kind, bells.SaidKind, bells.Step, bells.Slot));
        Assert.Equal(2, (await store.Outbox()).Count);
    }

    [Fact]
    public async Task A_repeated_request_is_answered_from_its_rows_and_another_one_is_told_that_it_comes_too_late()
    {
        await using var store = await Store.Open();
        var run = await Asked(store, Ask(1), Ask(2), Ask(3));
        var request = new DecideCallsRequest { Run = run, Key = "y", Yes = true };
        var first = await store.Runs.Decide(request);
        Assert.Equal(3, first.Decided.Count);
        await store.Kill();
        await store.Runs.EngineKnown(Store.Here);
        Assert.Equal(first.Decided, (await store.Runs.Decide(request)).Decided);
        Assert.Equal(3, (await store.Runs.Approved(run)).Count);

        async Task<string> Refused(string call, bool yes = true) =>
            (await Assert.ThrowsAsync<RpcException>(() => store.Runs.Decide(new DecideCallsRequest { Run = run, Key = $"k{call}{yes}", Call = call, Yes = yes }))).Status.Detail;
        Assert.Contains("was approved already", await Refused("call-1", yes: false));
        Assert.Contains("waits for a yes or no", await Refused(""));
        Assert.Contains("none waits now", await Refused("call-9"));
        await store.Claim(run, "A", 1, slot: 2);
        await store.Result(run, "A", 1, 2);
        Assert.Contains("has ended already", await Refused("call-2"));
        await store.Runs.Cancel(new CancelRunRequest { Run = run, Key = "c" });
        Assert.Contains("has ended (cancelled)", await Refused("call-3"));
    }

    [Fact]
    public async Task A_call_is_named_by_a_unique_beginning_of_its_id()
    {
        await using var store = await Store.Open();
        var run = await Asked(store, new ToolCall(Ask(1)) { Id = "toolu_a1" }, new ToolCall(Ask(2)) { Id = "toolu_b2" });
        Assert.Contains("More than one", (await Assert.ThrowsAsync<RpcException>(() => store.Runs.Decide(new DecideCallsRequest { Run = run, Key = "1", Call = "toolu" }))).Status.Detail);
        Assert.Equal("toolu_b2", (await store.Runs.Decide(new DecideCallsRequest { Run = run, Key = "2", Yes = true, Call = "toolu_b" })).Decided[0].Call.Id);
    }

    [Fact]
    public async Task What_was_said_before_an_engine_was_lost_counts_in_the_next_life()
    {
        await using var store = await Store.Open();
        var run = await Asked(store, Ask(1), Ask(2));
        await store.Kill();
        // No engine has said yet who it is: nobody is rung, and the rows count all the same.
        await store.Runs.Decide(new DecideCallsRequest { Run = run, Key = "y", Yes = true, Call = "call-1" });
        await store.Runs.EngineKnown(Store.Here with { Id = "another" });
        Assert.Equal([$"start {run}/1/2"], await store.Outbox());
        Assert.NotNull((await store.Claim(run, "B", 1, slot: 1)).Yours);
        Assert.NotNull((await store.Claim(run, "B", 1, slot: 2)).Refused);
        Assert.Equal("call-2", Assert.Single((await store.Run(run)).WaitingCalls).Call.Id);
    }

    [Fact]
    public async Task A_yes_to_a_run_that_is_stranded_on_an_external_engine_counts_once_it_is_moved()
    {
        await using var store = await Store.Open(Store.Here with { Kind = EngineName.External });
        var run = await Asked(store, Ask(1));
        await store.Kill();
        var other = new EngineIdentity("another", EngineName.Embedded, "localhost:50051");
        await store.Runs.EngineKnown(other);
        var stranded = await store.Run(run);
        Assert.Equal((RunStatus.Waiting, 1), (stranded.Status, stranded.WaitingCalls.Count));
        Assert.Contains("runs resume", stranded.WaitingFor);
        await store.Runs.Decide(new DecideCallsRequest { Run = run, Key = "y", Yes = true });
        Assert.Empty(await store.Runs.Waiting(other.Id));
        await store.Runs.Resume(new ResumeRunRequest { Run = run, Key = "r" });
        Assert.Equal([("start", $"{run}/1/2")], (await store.Runs.Waiting(other.Id)).Select(asked => (asked.Kind, asked.Workflow)));
        Assert.NotNull((await store.Claim(run, "B", 1, slot: 1)).Yours);
    }

    [Fact]
    public async Task A_run_that_says_yes_to_everything_waits_for_nobody()
    {
        await using var store = await Store.Open();
        var run = RandomId.New();
        await store.Runs.Start(new StartRunRequest { RunId = run, Prompt = "p", Yes = true });
        await store.Claim(run, "A", 1);
        await store.Answer(run, "A", 1, "", 1, Ask(1));
        Assert.Empty((await store.Run(run)).WaitingCalls);
        Assert.NotNull((await store.Claim(run, "A", 1, slot: 1)).Yours);
    }

    [Theory]
    [InlineData("Completed")]
    [InlineData("Failed")]
    [InlineData("TimedOut")]
    [InlineData("LimitReached")]
    [InlineData("Cancelled")]
    public async Task A_message_to_a_run_that_has_ended_in_any_way_begins_its_next_turn(string status)
    {
        var end = Enum.Parse<RunStatus>(status);
        await using var store = await Store.Open();
        var run = await Asked(store, Ask(1));
        if (end == RunStatus.Cancelled) await store.Runs.Cancel(new CancelRunRequest { Run = run, Key = "c" });
        else await store.End(run, end);
        var sent = await store.Runs.Send(new SendMessageRequest { Run = run, Key = "m", Text = "go on" });
        var again = await store.Runs.Send(new SendMessageRequest { Run = run, Key = "m", Text = "go on" });
        Assert.Equal((sent.Turn, sent.Message), (again.Turn, again.Message));
        Assert.Equal((2, RunStatus.Queued, 2), (sent.Turn, sent.Run.Status, sent.Run.Turn));
        Assert.Contains($"start {run}/2/1", await store.Outbox());
        // Every call of the turn before has a result, and the message stands at the end.
        Assert.Equal(["hello", "", "result", "go on"], (await store.Entries(run)).Select(e => e.User?.Text ?? (e.Result is null ? e.Answer.Text : "result")));
    }

    [Fact]
    public async Task A_message_to_a_run_that_waits_is_a_row_and_a_bell_and_keeps_the_turn_from_being_completed()
    {
        await using var store = await Store.Open();
        var run = await Asked(store, Ask(1));
        var sent = await store.Runs.Send(new SendMessageRequest { Run = run, Key = "m", Text = "also this" });
        Assert.Equal((1, 2L, RunStatus.Waiting), (sent.Turn, sent.Message, sent.Run.Status));
        Assert.Equal([$"bell {run}/1/1"], await store.Outbox());
        await store.Runs.Decide(new DecideCallsRequest { Run = run, Key = "n" });
        Assert.Equal(2, (await store.End(run)).Unread.Number);
        await Assert.ThrowsAsync<RpcException>(() => store.Runs.Send(new SendMessageRequest { Run = run, Key = "e", Text = " " }));
    }

    [Fact]
    public async Task A_transcript_that_is_too_long_for_one_message_comes_in_parts_without_a_gap()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        for (var step = 1; step <= 6; step++)
        {
            await store.Claim(run, "A", step);
            await store.Answer(run, "A", step, $"answer {step}", 1, Store.Call(1));
            await store.Claim(run, "A", step, slot: 1);
            await store.Result(run, "A", step, 1, new string('x', 3 * 1024 * 1024));
        }
        for (var n = 1; n <= 5; n++) await store.Runs.Send(new SendMessageRequest { Run = run, Key = $"m{n}", Text = new string('y', 3 * 1024 * 1024) });
        var parts = new List<GetRunResponse>();
        for (var next = new GetRunRequest { Run = "last" }; next is not null; next = parts[^1].Next) parts.Add(await store.Runs.Get(next));
        Assert.True(parts.Count >= 5);
        Assert.All(parts, part => Assert.InRange(part.CalculateSize(), 1, 9 * 1024 * 1024));
        var places = parts.SelectMany(part => part.Transcript).Select(e => (e.Step, e.Slot)).ToList();
        Assert.Equal([(1, -1), .. Enumerable.Range(1, 6).SelectMany(step => new[] { (step, 0), (step, 1) }), .. Enumerable.Repeat((7, -1), 5)], places);
        Assert.Equal([1, 2, 3, 4, 5, 6], parts.SelectMany(part => part.Transcript).Where(e => e.User is not null).Select(e => e.User.Number));
        Assert.Equal(places.Count, parts.SelectMany(part => part.Transcript).Distinct().Count());
    }
}
