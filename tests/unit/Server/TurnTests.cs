using Grpc.Core;
using Stigmer.Config;
using Stigmer.Rpc.V1;
using Stigmer.Server.Runs;

namespace Stigmer.Tests.Server;

public class TurnTests
{
    [Fact]
    public async Task Starting_a_run_twice_starts_it_once()
    {
        await using var store = await Store.Open();
        var id = RandomId.New();
        await store.Runs.Start(new StartRunRequest { RunId = id, Prompt = "hello" });
        var again = await store.Runs.Start(new StartRunRequest { RunId = id, Prompt = "another" });
        Assert.Equal("hello", again.Prompt);
        Assert.Equal(RunStatus.Queued, again.Status);
        Assert.Equal([$"start {id}/1/1"], await store.Outbox());
    }

    [Fact]
    public async Task A_run_that_was_acknowledged_survives_a_kill_with_what_it_asks_of_the_engine()
    {
        await using var store = await Store.Open();
        var run = await store.Start("remember me");
        await store.Claim(run, "A", 1);
        await store.Answer(run, "A", 1, "I do", 1, Store.Call(1));
        await store.Kill();
        Assert.Equal("remember me", (await store.Run(run)).Prompt);
        Assert.Equal(["", "I do"], (await store.Entries(run)).Select(e => e.Answer?.Text ?? ""));
        Assert.Equal([$"start {run}/1/1"], await store.Outbox());
    }

    [Fact]
    public async Task A_turn_ends_once_and_its_workflow_may_ask_again()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        await store.Claim(run, "A", 1);
        await store.Answer(run, "A", 1, "the answer");
        Assert.NotNull((await store.End(run, workflow: "other")).Refused);
        Assert.NotNull((await store.End(run)).Closed);
        Assert.NotNull((await store.End(run, RunStatus.Failed)).Closed);
        var ended = await store.Run(run);
        Assert.Equal(RunStatus.Completed, ended.Status);
        Assert.Equal("the answer", ended.Output);
        Assert.Equal((1, 10, 5), (ended.Steps, ended.Usage.InputTokens, ended.Usage.OutputTokens));
        Assert.Equal("", ended.WaitingFor);
    }

    [Fact]
    public async Task A_turn_does_not_end_completed_while_a_message_is_unread_but_any_other_end_closes_it()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        await store.Claim(run, "A", 1);
        await store.Answer(run, "A", 1);
        await store.Database.Write(t => t.Execute(
            "INSERT INTO said (run, number, key, kind, turn, text, said_at) SELECT number, 2, 'k', 'message', 1, 'wait', 0 FROM runs"));
        Assert.Equal(2, (await store.End(run)).Unread.Number);
        Assert.NotNull((await store.End(run, RunStatus.LimitReached)).Closed);
    }

    [Fact]
    public async Task Cancelling_closes_the_turn_at_once_and_every_open_call_gets_a_result()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        await store.Claim(run, "A", 1);
        await store.Answer(run, "A", 1, "", 1, Store.Call(1), Store.Call(2), Store.Call(3));
        await store.Claim(run, "A", 1, slot: 1);
        await store.Claim(run, "A", 1, slot: 3);
        await store.Result(run, "A", 1, 3, "done in time");
        var told = store.Runs.Listen(new RunnerHello { Life = "A" });
        await store.EmptyOutbox();

        var cancelled = await store.Runs.Cancel(new CancelRunRequest { Run = run, Key = "k1" });
        Assert.Equal(RunStatus.Cancelled, cancelled.Status);
        Assert.True(told.TryRead(out var message));
        Assert.Equal(run, message.TurnEnded.RunId);
        Assert.Equal([$"cancel {run}/1/1"], await store.Outbox());
        var results = (await store.Entries(run)).Where(e => e.Slot > 0).Select(e => (e.Slot, e.Result.Kind)).ToList();
        Assert.Equal([(1, ResultKind.OutcomeUnknown), (2, ResultKind.Cancelled), (3, ResultKind.Ran)], results);

        // What comes too late is answered with what stands there, and a repeated cancel changes nothing.
        Assert.Equal(ResultKind.OutcomeUnknown, (await store.Result(run, "A", 1, 1)).Stored.Result.Kind);
        await store.Runs.Cancel(new CancelRunRequest { Run = run, Key = "k1" });
        await store.Runs.Cancel(new CancelRunRequest { Run = run, Key = "k2" });
        Assert.Single(await store.Outbox());
        Assert.NotNull((await store.End(run, RunStatus.Cancelled)).Closed);
    }

    [Fact]
    public async Task A_run_that_has_ended_cannot_be_cancelled_nor_a_completed_one_resumed()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        await store.End(run);
        Assert.Equal(StatusCode.FailedPrecondition, (await Assert.ThrowsAsync<RpcException>(() => store.Runs.Cancel(new CancelRunRequest { Run = run, Key = "k" }))).StatusCode);
        Assert.Equal(StatusCode.FailedPrecondition, (await Assert.ThrowsAsync<RpcException>(() => store.Runs.Resume(new ResumeRunRequest { Run = run, Key = "k" }))).StatusCode);
    }

    [Fact]
    public async Task A_run_tells_what_its_model_calls_have_cost_so_far()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        foreach (var step in new[] { 1, 2 })
        {
            await store.Claim(run, "A", step);
            await store.Answer(run, "A", step, "", 1, Store.Call(1));
            // The same result again changes nothing.
            await store.Answer(run, "A", step, "", 1, Store.Call(1));
            await store.Claim(run, "A", step, slot: 1);
            await store.Result(run, "A", step, 1);
        }
        var shown = await store.Run(run);
        Assert.Equal((2, 20L, 10L), (shown.Steps, shown.Usage.InputTokens, shown.Usage.OutputTokens));
    }

    [Fact]
    public async Task A_failed_run_is_resumed_in_a_new_life_at_its_last_step_with_its_counts_at_zero()
    {
        await using var store = await Store.Open();
        var run = await store.Start(limits: new Limits { MaxSteps = 2, TimeoutMs = 1000 });
        foreach (var step in new[] { 1, 2 })
        {
            await store.Claim(run, "A", step);
            await store.Answer(run, "A", step, "", 1, Store.Call(1));
            await store.Claim(run, "A", step, slot: 1);
            await store.Result(run, "A", step, 1);
        }
        var before = await store.Runs.Input($"{run}/1/1");
        Assert.Equal((2, 1, 15L, 200L), (before!.FirstStep, before.StepsBefore, before.TokensBefore, before.WorkedMsBefore));

        await store.End(run, RunStatus.Failed, error: new Error { What = "it broke" });
        Assert.Equal("it broke", (await store.Run(run)).Error.What);
        await store.EmptyOutbox();
        var resumed = await store.Runs.Resume(new ResumeRunRequest { Run = "last", Key = "k" });
        await store.Runs.Resume(new ResumeRunRequest { Run = run, Key = "k" });
        Assert.Null(resumed.Error);
        Assert.Equal([$"start {run}/1/2"], await store.Outbox());
        var input = await store.Runs.Input($"{run}/1/2");
        // Less what the stored answer of step 2 will be reported with.
        Assert.Equal((2, -1, -15L, -100L, 2), (input!.FirstStep, input.StepsBefore, input.TokensBefore, input.WorkedMsBefore, input.MaxSteps));
        Assert.Null(await store.Runs.Input($"{run}/1/1"));
        Assert.NotNull((await store.Claim(run, "A", 3, workflow: $"{run}/1/1")).Refused);
        Assert.NotNull((await store.Claim(run, "A", 2)).Stored);
    }

    [Fact]
    public async Task A_run_is_named_by_its_id_a_unique_beginning_or_as_the_last()
    {
        await using var store = await Store.Open();
        Assert.Equal(StatusCode.NotFound, (await Assert.ThrowsAsync<RpcException>(() => store.Runs.Named("last"))).StatusCode);
        string[] ids = ["aa00000000000000000000000000000" + "1", "aa00000000000000000000000000000" + "2", "ab000000000000000000000000000000"];
        foreach (var id in ids) await store.Runs.Start(new StartRunRequest { RunId = id, Prompt = "p" });
        Assert.Equal(ids[2], (await store.Runs.Get(new GetRunRequest { Run = "ab" })).Run.Id);
        Assert.Equal(ids[0], (await store.Runs.Get(new GetRunRequest { Run = ids[0] })).Run.Id);
        Assert.Equal(ids[2], (await store.Runs.Get(new GetRunRequest { Run = "last" })).Run.Id);
        var ambiguous = await Assert.ThrowsAsync<RpcException>(() => store.Runs.Named("aa"));
        Assert.Equal(StatusCode.FailedPrecondition, ambiguous.StatusCode);
        Assert.Contains(ids[0], ambiguous.Status.Detail);
        Assert.Equal(StatusCode.NotFound, (await Assert.ThrowsAsync<RpcException>(() => store.Runs.Named("ac"))).StatusCode);
        Assert.Equal(StatusCode.InvalidArgument, (await Assert.ThrowsAsync<RpcException>(() => store.Runs.Named("a%"))).StatusCode);
        Assert.Equal([ids[2], ids[1]], (await store.Runs.List(new ListRunsRequest { Limit = 2 })).Select(r => r.Id));
        Assert.Empty(await store.Runs.List(new ListRunsRequest { Status = RunStatus.Failed }));
    }

    [Fact]
    public async Task A_message_stands_before_the_step_that_read_it()
    {
        await using var store = await Store.Open();
        var run = await store.Start("first");
        await store.Claim(run, "A", 1);
        await store.Answer(run, "A", 1, "one");
        await store.Database.Write(t => t.Execute(
            "INSERT INTO said (run, number, key, kind, turn, text, said_at) SELECT number, 2, 'k', 'message', 1, 'second', 0 FROM runs"));
        string[] Texts(IEnumerable<TranscriptEntry> entries) => [.. entries.Select(e => e.User?.Text ?? e.Answer.Text)];
        Assert.Equal(["first", "one", "second"], Texts(await store.Entries(run)));
        await store.Claim(run, "A", 2);
        await store.Answer(run, "A", 2, "two", readUpTo: 2);
        Assert.Equal(["first", "one", "second", "two"], Texts(await store.Entries(run)));
        Assert.Equal(["second", "two"], Texts((await store.Runs.Transcript(run, new RunStore.Place(1, 1, 0, 1))).Entries));
    }

    [Theory]
    [InlineData("not-an-id", "p", "", "")]
    [InlineData("00000000000000000000000000000000", " ", "", "")]
    [InlineData("00000000000000000000000000000000", "p", "google", "")]
    [InlineData("00000000000000000000000000000000", "p", "", "nobody")]
    public async Task A_start_that_makes_no_sense_is_refused(string id, string prompt, string provider, string agent)
    {
        await using var store = await Store.Open();
        await Assert.ThrowsAsync<RpcException>(() => store.Runs.Start(new StartRunRequest { RunId = id, Prompt = prompt, Provider = provider, Agent = agent }));
        Assert.Empty(await store.Runs.List(new ListRunsRequest()));
    }
}
