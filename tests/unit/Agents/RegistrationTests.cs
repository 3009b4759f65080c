using Grpc.Core;
using Stigmer.Agents;
using Stigmer.Agents.Activities;
using Stigmer.Rpc.V1;

namespace Stigmer.Tests.Agents;

public sealed class RegistrationTests : IAsyncLifetime
{
    readonly CancellationTokenSource stop = new();
    readonly TaskCompletionSource<TurnKey> ended = new();
    World world = null!;
    Registration registration = null!;
    Task running = Task.CompletedTask;
    int hellos;

    public async ValueTask InitializeAsync() => world = await World.Start();

    void Run()
    {
        var server = new RunnerServer(world.Channel, "life", world.Log, TimeProvider.System);
        registration = new Registration(server, () => new RunnerHello { Life = "life", Version = $"{++hellos}" }, ended.SetResult, world.Log, TimeProvider.System);
        running = registration.Run(stop.Token);
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await world.DisposeAsync();
    }

    static RegisterResponse Welcome(string server = "s") => new() { Welcome = new RunnerWelcome { ServerId = server } };

    [Fact]
    public async Task A_runner_learns_the_servers_id_and_which_turns_have_ended()
    {
        world.Record.Registration = async (stream, cancel) =>
        {
            await stream.WriteAsync(Welcome(), cancel);
            await stream.WriteAsync(new RegisterResponse { TurnEnded = new TurnKey { RunId = "r", Turn = 2 } }, cancel);
            await Task.Delay(Timeout.Infinite, cancel);
        };
        Run();
        Assert.Equal("s", (await registration.Welcome).ServerId);
        Assert.Equal(new TurnKey { RunId = "r", Turn = 2 }, await ended.Task);
    }

    [Fact]
    public async Task A_registration_that_breaks_is_made_anew_each_time()
    {
        var times = 0;
        world.Record.Registration = async (stream, cancel) =>
        {
            if (times++ == 0) throw new RpcException(new Status(StatusCode.Unavailable, "not yet"));
            await stream.WriteAsync(Welcome(), cancel);
            if (times < 4) return;
            await Task.Delay(Timeout.Infinite, cancel);
        };
        Run();
        for (var hello = 1; hello <= 4; hello++)
        {
            Assert.Equal($"{hello}", (await world.Record.Hellos.Reader.ReadAsync(TestContext.Current.CancellationToken)).Version);
        }
        Assert.Equal("s", (await registration.Welcome).ServerId);
    }

    [Fact]
    public async Task A_runner_that_ends_says_so()
    {
        world.Record.Registration = async (stream, cancel) =>
        {
            await stream.WriteAsync(Welcome(), cancel);
            await Task.Delay(Timeout.Infinite, cancel);
        };
        Run();
        await registration.Welcome;
        Assert.False(world.Record.Left.Task.IsCompleted);
        await stop.CancelAsync();
        await world.Record.Left.Task.WaitAsync(TestContext.Current.CancellationToken);
        await running;
    }

    [Fact]
    public async Task A_server_that_does_not_let_the_runner_in_ends_it_with_a_sentence()
    {
        world.Record.Registration = (_, _) => throw new RpcException(new Status(StatusCode.Unauthenticated, "wrong token"));
        Run();
        Assert.Contains("STIGMER_TOKEN", (await Assert.ThrowsAsync<Failure>(() => running)).Remedy, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_server_that_refuses_the_runner_ends_it_with_the_servers_words(bool afterWelcome)
    {
        world.Record.Registration = async (stream, cancel) =>
        {
            if (afterWelcome) await stream.WriteAsync(Welcome(), cancel);
            await stream.WriteAsync(new RegisterResponse { Refused = new Error { What = "There are two", Why = "it was copied", Remedy = "Remove one" } }, cancel);
        };
        Run();
        var failure = await Assert.ThrowsAsync<Failure>(() => running);
        Assert.Equal(("There are two", "it was copied", "Remove one"), (failure.What, failure.Why, failure.Remedy));
    }

    [Fact]
    public async Task Another_server_at_the_same_address_ends_the_runner_since_its_queues_are_others()
    {
        var ids = new Queue<string>(["s", "t"]);
        world.Record.Registration = (stream, cancel) => stream.WriteAsync(Welcome(ids.Dequeue()), cancel);
        Run();
        Assert.Contains("Another stigmer-server", (await Assert.ThrowsAsync<Failure>(() => running)).What, StringComparison.Ordinal);
    }
}
