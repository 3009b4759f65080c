using Stigmer.Config;
using Stigmer.Rpc.V1;
using Stigmer.Server.Runs;

namespace Stigmer.Tests.Server;

public class BindingTests
{
    static readonly EngineIdentity Embedded = new("engine-embedded", EngineName.Embedded, "127.0.0.1:50051");
    static readonly EngineIdentity External = new("engine-external", EngineName.External, "temporal.example.com:7233");

    [Fact]
    public async Task Until_the_engine_has_said_who_it_is_nothing_is_bound()
    {
        await using var store = await Store.Open(withoutEngine: true);
        var run = await store.Start();
        Assert.Equal("", await store.Workflow(run));
        Assert.Empty(await store.Outbox());
        Assert.Contains("engine", (await store.Run(run)).WaitingFor);
        await store.Runs.EngineKnown(Store.Here);
        Assert.Equal([$"start {run}/1/1"], await store.Outbox());
        Assert.Equal("managed", (await store.Run(run)).Engine);
    }

    [Fact]
    public async Task An_unbound_run_that_was_cancelled_is_never_started()
    {
        await using var store = await Store.Open(withoutEngine: true);
        var run = await store.Start();
        await store.Runs.Cancel(new CancelRunRequest { Run = run, Key = "k" });
        await store.Runs.EngineKnown(Store.Here);
        Assert.Empty(await store.Outbox());
    }

    [Fact]
    public async Task Open_runs_of_another_local_engine_go_on_here_and_the_old_workflow_is_ended_first_when_that_engine_is_back()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        await store.Claim(run, "A", 1);
        await store.EmptyOutbox();
        await store.Kill();
        await store.Runs.EngineKnown(Embedded);
        Assert.Equal([$"start {run}/1/2"], await store.Outbox());
        Assert.NotNull((await store.Claim(run, "A", 1, workflow: $"{run}/1/1")).Refused);
        // Its result is taken all the same: the slot is empty and the claim was its own.
        Assert.False((await store.Answer(run, "A", 1)).Refused);

        await store.Kill();
        var another = await store.Start();
        await store.Runs.EngineKnown(Store.Here);
        Assert.Equal([$"terminate {run}/1/1"], (await store.Runs.Waiting(Store.Here.Id)).Select(r => $"{r.Kind} {r.Workflow}"));
        Assert.Equal($"{run}/1/3", await store.Workflow(run));
        Assert.Equal($"{another}/1/1", await store.Workflow(another));
        await store.Runs.Taken([.. (await store.Runs.Waiting(Store.Here.Id)).Select(r => r.Number)], [$"{run}/1/1"]);
        Assert.Equal([$"start {run}/1/3", $"start {another}/1/1"], (await store.Runs.Waiting(Store.Here.Id)).Select(r => $"{r.Kind} {r.Workflow}").Order(RunThenAnother(run)));
        await store.EmptyOutbox();
        await store.Runs.EngineKnown(Store.Here);
        Assert.Empty(await store.Outbox());
    }

    [Fact]
    public async Task Open_runs_of_an_external_engine_wait_for_it_until_somebody_resumes_them()
    {
        await using var store = await Store.Open(External);
        var run = await store.Start();
        await store.EmptyOutbox();
        await store.Kill();
        await Assert.ThrowsAsync<Grpc.Core.RpcException>(() => store.Runs.Resume(new ResumeRunRequest { Run = run, Key = "early" }));
        await store.Runs.EngineKnown(Store.Here);
        Assert.Empty(await store.Outbox());
        Assert.Contains("temporal.example.com", (await store.Run(run)).WaitingFor);
        await store.Runs.Resume(new ResumeRunRequest { Run = run, Key = "k" });
        Assert.Equal([$"start {run}/1/2"], await store.Outbox());
        await store.EmptyOutbox();
        await store.Runs.EngineKnown(External);
        Assert.Contains($"terminate {run}/1/1", await store.Outbox());
    }

    [Fact]
    public async Task A_workflow_that_the_engine_lost_gets_a_new_life_and_a_second_loss_without_a_step_between_ends_the_run()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        await store.Runs.Lost($"{run}/1/1", "is gone");
        Assert.Equal($"{run}/1/1", await store.Workflow(run)); // Its start has yet to be taken.
        await store.EmptyOutbox();
        await store.Runs.Lost($"{run}/1/1", "is gone");
        Assert.Equal([$"start {run}/1/2"], await store.Outbox());
        await store.EmptyOutbox();
        await store.Runs.Lost($"{run}/1/1", "is gone");
        Assert.Equal($"{run}/1/2", await store.Workflow(run)); // An old life is nobody's concern.

        await store.Claim(run, "A", 1);
        await store.Answer(run, "A", 1, "", 1, Store.Call(1));
        await store.Runs.Lost($"{run}/1/2", "is gone");
        Assert.Equal($"{run}/1/3", await store.Workflow(run));
        await store.EmptyOutbox();
        await store.Runs.Lost($"{run}/1/3", "is gone");
        var failed = await store.Run(run);
        Assert.Equal(RunStatus.Failed, failed.Status);
        Assert.Contains("twice in a row", failed.Error.What);
        Assert.Equal(ResultKind.Cancelled, (await store.Entries(run))[^1].Result.Kind);
    }

    [Fact]
    public async Task Bells_of_an_old_life_are_not_carried_to_the_new_one()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        await store.EmptyOutbox();
        await store.Database.Write(t => t.Execute(
            "INSERT INTO outbox (run, turn, engine, workflow, kind, said) SELECT number, 1, $1, $2, 'bell', 1 FROM runs", Store.Here.Id, $"{run}/1/1"));
        await store.Runs.Lost($"{run}/1/1", "is gone");
        Assert.Equal([$"start {run}/1/2"], await store.Outbox());
    }

    [Fact]
    public async Task A_run_waits_for_a_runner_of_its_host_and_says_so()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        Assert.Equal("an agent-runner", (await store.Run(run)).WaitingFor);
        store.Runs.Listen(new RunnerHello { Life = "A", Queues = { $"stigmer-{store.Runs.ServerId}" } });
        Assert.Equal("", (await store.Run(run)).WaitingFor);
        await store.Claim(run, "A", 1);
        await store.Answer(run, "A", 1, "", 1, Store.Call(1));
        Assert.Contains("on host host", (await store.Run(run)).WaitingFor);
        store.Runs.Listen(new RunnerHello { Life = "B", HostId = "host" });
        Assert.Equal("", (await store.Run(run)).WaitingFor);
    }

    static Comparer<string> RunThenAnother(string run) => Comparer<string>.Create((a, b) => b.Contains(run, StringComparison.Ordinal).CompareTo(a.Contains(run, StringComparison.Ordinal)));
}
