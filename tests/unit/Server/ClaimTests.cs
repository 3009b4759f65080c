using Stigmer.Config;
using Stigmer.Rpc.V1;
using Stigmer.Server.Runs;

namespace Stigmer.Tests.Server;

public class ClaimTests
{
    [Fact]
    public async Task The_first_to_ask_gets_the_slot_and_the_next_finds_it_held_by_a_runner_that_lives()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        var first = await store.Claim(run, "A", 1);
        Assert.False(first.Yours.BegunBefore);
        Assert.Equal("A", (await store.Claim(run, "B", 1)).Held.ByRunnerLife);
        Assert.Equal(RunStatus.Running, (await store.Run(run)).Status);
    }

    [Fact]
    public async Task A_request_that_is_repeated_with_its_key_gets_the_same_claim_and_another_attempt_of_the_same_runner_does_not()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        Assert.NotNull((await store.Claim(run, "A", 1, key: "x")).Yours);
        Assert.NotNull((await store.Claim(run, "A", 1, key: "x")).Yours);
        Assert.NotNull((await store.Claim(run, "A", 1, key: "y")).Held);
    }

    [Fact]
    public async Task A_stored_result_is_handed_to_whoever_asks()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        await store.Claim(run, "A", 1);
        await store.Answer(run, "A", 1, "forty-two");
        Assert.Equal("forty-two", (await store.Claim(run, "B", 1)).Stored.Answer.Text);
    }

    [Fact]
    public async Task The_first_result_wins_and_later_ones_are_answered_with_it()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        await store.Claim(run, "A", 1);
        store.Time.Advance(Runners.Patience + TimeSpan.FromSeconds(1));
        Assert.True((await store.Claim(run, "B", 1)).Yours.BegunBefore);
        Assert.Equal("from A", (await store.Answer(run, "A", 1, "from A")).Stored.Answer.Text);
        Assert.Equal("from A", (await store.Answer(run, "B", 1, "from B")).Stored.Answer.Text);
        Assert.Equal("from A", (await store.Answer(run, "C", 1, "from C")).Stored.Answer.Text);
    }

    [Fact]
    public async Task A_result_of_a_runner_that_never_claimed_the_slot_is_refused()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        await store.Claim(run, "A", 1);
        Assert.True((await store.Answer(run, "B", 1)).Refused);
    }

    [Fact]
    public async Task What_was_given_back_unbegun_is_as_new_and_what_had_begun_says_so()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        await store.Claim(run, "A", 1);
        await store.GiveBack(run, "A", 1, 0, begun: false);
        Assert.False((await store.Claim(run, "B", 1)).Yours.BegunBefore);
        await store.GiveBack(run, "B", 1, 0, begun: true);
        Assert.True((await store.Claim(run, "C", 1)).Yours.BegunBefore);
    }

    [Fact]
    public async Task A_workflow_that_the_turn_is_not_bound_to_and_a_turn_that_has_ended_are_refused()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        Assert.NotNull((await store.Claim(run, "A", 1, workflow: $"{run}/1/7")).Refused);
        await store.Claim(run, "A", 1);
        await store.End(run, RunStatus.Failed);
        Assert.NotNull((await store.Claim(run, "A", 1)).Refused);
        Assert.True((await store.Answer(run, "A", 1)).Refused);
    }

    [Fact]
    public async Task A_run_that_the_server_does_not_know_is_unknown_and_not_refused()
    {
        await using var store = await Store.Open();
        var unknown = RandomId.New();
        Assert.NotNull((await store.Claim(unknown, "A", 1)).Unknown);
        Assert.NotNull((await store.End(unknown)).Unknown);
        var e = await Assert.ThrowsAsync<Grpc.Core.RpcException>(() => store.Answer(unknown, "A", 1));
        Assert.Equal(Grpc.Core.StatusCode.Unavailable, e.StatusCode);
    }

    [Fact]
    public async Task A_runner_is_away_after_15_s_without_a_beat_and_who_waits_for_its_slot_gets_it_then()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        await store.Claim(run, "A", 1);
        store.Time.Advance(TimeSpan.FromSeconds(14));
        store.Runs.Runners.Heard("A");
        store.Time.Advance(TimeSpan.FromSeconds(14));
        Assert.NotNull((await store.Claim(run, "B", 1)).Held);
        var waiting = store.Claim(run, "B", 1, wait: TimeSpan.FromSeconds(20));
        store.Time.Advance(TimeSpan.FromSeconds(1) + TimeSpan.FromMilliseconds(1));
        Assert.True((await waiting).Yours.BegunBefore);
    }

    [Fact]
    public async Task After_a_restart_of_the_server_a_runner_has_15_s_anew()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        await store.Claim(run, "A", 1);
        store.Time.Advance(TimeSpan.FromSeconds(14));
        await store.Kill();
        store.Time.Advance(TimeSpan.FromSeconds(14));
        Assert.NotNull((await store.Claim(run, "B", 1)).Held);
        store.Time.Advance(TimeSpan.FromSeconds(2));
        Assert.True((await store.Claim(run, "B", 1)).Yours.BegunBefore);
    }

    [Fact]
    public async Task A_successor_takes_the_place_of_a_runner_that_ended_at_once()
    {
        await using var store = await Store.Open(new EngineIdentity("e", EngineName.Embedded, "x"));
        var gone = new List<string>();
        store.Runs.WorkerGone = life =>
        {
            gone.Add(life);
            return Task.CompletedTask;
        };
        var run = await store.Start();
        await store.Claim(run, "A", 1);
        await store.EmptyOutbox();
        await store.Runs.Registered(new RunnerHello { Life = "B", HostId = "host", Replaces = { "A" } });
        Assert.True((await store.Claim(run, "B", 1)).Yours.BegunBefore);
        Assert.Equal(["A"], gone);
        Assert.Empty(await store.Outbox());
        // A request of the dead that was still on its way takes nothing.
        await store.GiveBack(run, "B", 1, 0, begun: true);
        Assert.NotNull((await store.Claim(run, "A", 1)).Refused);
    }

    [Fact]
    public async Task A_successor_takes_the_place_of_those_too_whose_successor_ended_before_it_had_registered()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        await store.Claim(run, "A", 1);
        await store.Runs.Registered(new RunnerHello { Life = "C", HostId = "host", Replaces = { "A", "B" } });
        Assert.NotNull((await store.Claim(run, "B", 1)).Refused);
        Assert.True((await store.Claim(run, "C", 1)).Yours.BegunBefore);
    }

    [Fact]
    public async Task On_a_Temporal_the_activities_of_a_runner_that_ended_are_failed_one_by_one()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        await store.Claim(run, "A", 1);
        await store.EmptyOutbox();
        await store.Runs.Registered(new RunnerHello { Life = "B", HostId = "host", Replaces = { "A" } });
        await store.Runs.Registered(new RunnerHello { Life = "B", HostId = "host", Replaces = { "A" } });
        Assert.Equal([$"fail {run}/1/1"], await store.Outbox());
    }

    [Fact]
    public async Task Who_waits_for_a_slot_is_answered_when_its_result_is_stored()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        await store.Claim(run, "A", 1);
        var waiting = store.Claim(run, "B", 1, wait: TimeSpan.FromSeconds(20));
        await store.Answer(run, "A", 1, "here");
        Assert.Equal("here", (await waiting).Stored.Answer.Text);
    }

    [Fact]
    public async Task A_slot_that_no_call_asked_for_cannot_be_claimed()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        await Assert.ThrowsAsync<Grpc.Core.RpcException>(() => store.Claim(run, "A", 1, slot: 1));
        await store.Claim(run, "A", 1);
        await store.Answer(run, "A", 1, "", 1, Store.Call(1));
        Assert.NotNull((await store.Claim(run, "A", 1, slot: 1)).Yours);
        await Assert.ThrowsAsync<Grpc.Core.RpcException>(() => store.Claim(run, "A", 1, slot: 2));
    }
}
