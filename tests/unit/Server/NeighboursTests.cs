using Grpc.Core;
using Stigmer.Config;
using Stigmer.Rpc.Temporal;
using Stigmer.Rpc.V1;

namespace Stigmer.Tests.Server;

public sealed class NeighboursTests : IDisposable
{
    readonly string home = Directory.CreateTempSubdirectory("stigmer-neighbours-").FullName;

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(home, recursive: true);

    [Theory]
    [InlineData(nameof(TaskQueueType.Workflow))]
    [InlineData(nameof(TaskQueueType.Activity))]
    public async Task While_a_stranger_polls_this_servers_queue_no_runner_is_let_in_and_nothing_is_handed_over(string type)
    {
        await using var engine = await FakeEngine.Start();
        engine.Pollers = new() { [Enum.Parse<TaskQueueType>(type)] = "stranger" };
        await using var server = await RunningServer.Start(engine, home, kind: EngineName.External);
        var run = await server.Begin();

        var refused = (await First(server, "A")).Refused;
        Assert.Contains("Another stigmer with this one's id", refused.What, StringComparison.Ordinal);
        Assert.Contains("runner stranger", refused.Why, StringComparison.Ordinal);
        Assert.Contains(Path.Combine(home, "data"), refused.Remedy, StringComparison.Ordinal);
        // It is looked again and again.
        engine.Pollers.Clear();
        await engine.Until($"start {run}/1/1");
        Assert.NotNull((await First(server, "A")).Welcome);
    }

    [Fact]
    public async Task A_life_that_has_registered_here_is_no_stranger_to_the_next_server()
    {
        await using var engine = await FakeEngine.Start();
        await using (var server = await RunningServer.Start(engine, home, kind: EngineName.External)) Assert.NotNull((await First(server, "A")).Welcome);
        engine.Pollers[TaskQueueType.Workflow] = "A";
        await using var next = await RunningServer.Start(engine, home, kind: EngineName.External);
        Assert.NotNull((await First(next, "B")).Welcome);
    }

    [Theory]
    [InlineData(StatusCode.Unimplemented)]
    [InlineData(StatusCode.PermissionDenied)]
    public async Task An_engine_that_does_not_tell_who_polls_is_used_all_the_same(StatusCode says)
    {
        await using var engine = await FakeEngine.Start();
        engine.Refuses["look"] = new Status(says, "no");
        await using var server = await RunningServer.Start(engine, home, kind: EngineName.External);
        Assert.NotNull((await First(server, "A")).Welcome);
        Assert.Contains(engine.Asked, asked => asked.StartsWith("look ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_stranger_that_came_during_an_outage_ends_the_runners_that_were_let_in()
    {
        await using var engine = await FakeEngine.Start();
        await using var server = await RunningServer.Start(engine, home, kind: EngineName.External);
        using var registration = await Register(server, "A");
        Assert.NotNull(registration.ResponseStream.Current.Welcome);
        engine.Pollers[TaskQueueType.Activity] = "stranger";
        engine.Refuses["start"] = new Status(StatusCode.Unavailable, "away");
        await server.Begin();
        Assert.True(await registration.ResponseStream.MoveNext(Cancel));
        Assert.NotNull(registration.ResponseStream.Current.Refused);
    }

    [Fact]
    public async Task Until_an_external_engine_has_answered_a_new_runner_waits_and_one_that_was_let_in_before_goes_on()
    {
        await using var engine = await FakeEngine.Start();
        engine.Refuses["describe-namespace"] = new Status(StatusCode.Unavailable, "away");
        await using var server = await RunningServer.Start(engine, home, kind: EngineName.External);
        var waits = First(server, "A");
        Assert.NotNull((await First(server, "B", "queue")).Welcome);
        Assert.False(waits.IsCompleted);
        engine.Refuses.Clear();
        Assert.NotNull((await waits).Welcome);
    }

    [Fact]
    public async Task Lives_are_known_for_a_day_after_they_were_last_heard_of_however_long_all_has_slept()
    {
        await using var store = await Store.Open();
        await store.Runs.Registered(new RunnerHello { Life = "old" });
        await store.Runs.Registered(new RunnerHello { Life = "long-lived" });
        store.Time.Advance(TimeSpan.FromDays(3));
        await store.Kill();
        Assert.Empty(await store.Runs.Strangers(["old", "long-lived"]));
        await store.Runs.StillThere("long-lived");
        store.Time.Advance(TimeSpan.FromHours(23));
        await store.Runs.Registered(new RunnerHello { Life = "new" });
        await store.Kill();
        Assert.Equal(["old", "never"], await store.Runs.Strangers(["old", "long-lived", "new", "never"]));
    }

    /// <summary>The first that a registration is answered.</summary>
    static async Task<RegisterResponse> First(RunningServer server, string life, params string[] queues)
    {
        using var registration = await Register(server, life, queues);
        return registration.ResponseStream.Current;
    }

    static async Task<AsyncDuplexStreamingCall<RegisterRequest, RegisterResponse>> Register(RunningServer server, string life, params string[] queues)
    {
        var registration = server.Runners.Register(cancellationToken: Cancel);
        await registration.RequestStream.WriteAsync(new RegisterRequest { Hello = new RunnerHello { Life = life, Queues = { queues } } }, Cancel);
        Assert.True(await registration.ResponseStream.MoveNext(Cancel));
        return registration;
    }
}
