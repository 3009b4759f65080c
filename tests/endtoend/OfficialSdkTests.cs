using Stigmer.EndToEnd.Harness;
using Temporalio.Activities;
using Temporalio.Api.Enums.V1;
using Temporalio.Client;
using Temporalio.Common;
using Temporalio.Exceptions;
using Temporalio.Worker;
using Temporalio.Workflows;

namespace Stigmer.EndToEnd;

/// <summary>Temporal's own client and worker, with the worker's cache off, on the embedded engine of the real executable.</summary>
public sealed class OfficialSdkTests(OfficialSdkTests.Engine engine) : IClassFixture<OfficialSdkTests.Engine>
{
    const string Queue = "sdk";

    [Theory]
    [InlineData("echo", "hi")]
    [InlineData("parallel", "0,1,2,3,4,5,6,7")]
    [InlineData("fails twice", "attempt 3")]
    [InlineData("heartbeat", "beat 3")]
    [InlineData("local activity", "local")]
    [InlineData("patched", "new")]
    [InlineData("timer", "slept")]
    [InlineData("completed from outside", "from outside")]
    public async Task A_workflow_ends_with_its_result(string what, string result) =>
        Assert.Equal(result, await engine.Client.ExecuteWorkflowAsync((Does it) => it.Run(what), New()));

    [Fact]
    public async Task A_workflow_that_continues_as_new_is_followed_to_its_end() =>
        Assert.Equal("ended after 3", await engine.Client.ExecuteWorkflowAsync((Continues it) => it.Run(0), New()));

    [Fact]
    public async Task Signals_are_counted_and_the_workflow_is_found_while_it_runs()
    {
        var handle = await engine.Client.StartWorkflowAsync((Counts it) => it.Run(), New());
        await handle.SignalAsync(it => it.Ring());
        var described = await handle.DescribeAsync();
        Assert.Equal((WorkflowExecutionStatus.Running, "Counts", Queue), (described.Status, described.WorkflowType, described.TaskQueue));
        var found = new List<string>();
        await foreach (var each in engine.Client.ListWorkflowsAsync("WorkflowType = 'Counts' AND ExecutionStatus = 'Running'")) found.Add(each.Id);
        Assert.Contains(handle.Id, found);
        await handle.SignalAsync(it => it.Ring());
        Assert.Equal("rang 2 times", await handle.GetResultAsync());
    }

    [Fact]
    public async Task Failure_cancel_terminate_and_timeout_are_told_apart()
    {
        var failed = await Assert.ThrowsAsync<WorkflowFailedException>(() => engine.Client.ExecuteWorkflowAsync((Does it) => it.Run("fail"), New()));
        Assert.Equal("on purpose", Assert.IsType<ApplicationFailureException>(failed.InnerException).Message);

        var late = await Assert.ThrowsAsync<WorkflowFailedException>(() => engine.Client.ExecuteWorkflowAsync((Does it) => it.Run("late activity"), New()));
        Assert.IsType<TimeoutFailureException>(Assert.IsType<ActivityFailureException>(late.InnerException).InnerException);

        var handle = await engine.Client.StartWorkflowAsync((Counts it) => it.Run(), New());
        await handle.CancelAsync();
        var cancelled = await Assert.ThrowsAsync<WorkflowFailedException>(() => handle.GetResultAsync());
        Assert.IsType<CanceledFailureException>(cancelled.InnerException);

        handle = await engine.Client.StartWorkflowAsync((Counts it) => it.Run(), New());
        await handle.TerminateAsync("enough");
        var terminated = await Assert.ThrowsAsync<WorkflowFailedException>(() => handle.GetResultAsync());
        Assert.Equal("enough", Assert.IsType<TerminatedFailureException>(terminated.InnerException).Message);

        var hurried = New();
        hurried.ExecutionTimeout = TimeSpan.FromSeconds(1);
        var timedOut = await Assert.ThrowsAsync<WorkflowFailedException>(() => engine.Client.ExecuteWorkflowAsync((Counts it) => it.Run(), hurried));
        Assert.IsType<TimeoutFailureException>(timedOut.InnerException);
    }

    [Fact]
    public async Task An_id_is_used_once_where_duplicates_are_rejected()
    {
        var once = New();
        once.IdReusePolicy = WorkflowIdReusePolicy.RejectDuplicate;
        await engine.Client.ExecuteWorkflowAsync((Does it) => it.Run("echo"), once);
        var refused = await Assert.ThrowsAsync<WorkflowAlreadyStartedException>(() => engine.Client.StartWorkflowAsync((Does it) => it.Run("echo"), once));
        Assert.Equal(once.Id, refused.WorkflowId);
    }

    [Fact]
    public async Task A_history_is_whole_and_can_be_replayed()
    {
        var handle = await engine.Client.StartWorkflowAsync((Does it) => it.Run("parallel"), New());
        await handle.GetResultAsync();
        var history = await handle.FetchHistoryAsync();
        Assert.Equal(8, history.Events.Count(each => each.EventType == EventType.ActivityTaskCompleted));
        var replayed = await new WorkflowReplayer(new WorkflowReplayerOptions().AddWorkflow<Does>()).ReplayWorkflowAsync(history, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Null(replayed.ReplayFailure);
    }

    [Fact]
    public async Task Fifty_at_once_all_end()
    {
        var ended = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => engine.Client.ExecuteWorkflowAsync((Does it) => it.Run("echo"), New())));
        Assert.All(ended, each => Assert.Equal("hi", each));
    }

    static WorkflowOptions New() => new($"sdk-{Guid.NewGuid():N}", Queue);

    /// <summary>A stigmer server with its embedded engine, and an official worker on it.</summary>
    public sealed class Engine : IAsyncLifetime
    {
        readonly CancellationTokenSource stop = new();
        readonly string home = Directory.CreateTempSubdirectory("stg-sdk-").FullName;
        Running? server;
        TemporalWorker? worker;
        Task? working;

        public ITemporalClient Client { get; private set; } = null!;

        public async ValueTask InitializeAsync()
        {
            const string token = "a token of this test";
            server = Running.Start(
                Running.Executable, ["server", "--listen", "127.0.0.1:0"], new Dictionary<string, string> { ["STIGMER_HOME"] = home, ["STIGMER_TOKEN"] = token }, home);
            var serves = await server.ErrorLine(line => line.Contains(" serves ", StringComparison.Ordinal));
            var address = serves.Split(' ').First(word => word.StartsWith("address=", StringComparison.Ordinal))["address=".Length..];
            Client = await TemporalClient.ConnectAsync(new TemporalClientConnectOptions(address)
            {
                RpcMetadata = new Dictionary<string, string> { ["authorization"] = $"Bearer {token}" },
            });
            worker = new TemporalWorker(
                Client,
                new TemporalWorkerOptions(Queue) { MaxCachedWorkflows = 0 }.AddAllActivities(new Acts()).AddWorkflow<Does>().AddWorkflow<Counts>().AddWorkflow<Continues>());
            working = worker.ExecuteAsync(stop.Token);
        }

        public async ValueTask DisposeAsync()
        {
            await stop.CancelAsync();
            if (working is not null) await Assert.ThrowsAnyAsync<OperationCanceledException>(() => working);
            worker?.Dispose();
            stop.Dispose();
            if (server is not null)
            {
                server.Signal(15);
                (await server.End()).Exits(0);
                await server.DisposeAsync();
            }
            Directory.Delete(home, recursive: true);
        }
    }

    /// <summary>Does what its argument says.</summary>
    [Workflow]
    public class Does
    {
        [WorkflowRun]
        public async Task<string> Run(string what)
        {
            var options = new ActivityOptions { StartToCloseTimeout = TimeSpan.FromSeconds(20), RetryPolicy = new RetryPolicy { InitialInterval = TimeSpan.FromMilliseconds(100) } };
            switch (what)
            {
                case "echo": return await Workflow.ExecuteActivityAsync((Acts acts) => acts.Echo("hi"), options);
                case "parallel":
                    return string.Join(',', await Workflow.WhenAllAsync(Enumerable.Range(0, 8).Select(n => Workflow.ExecuteActivityAsync((Acts acts) => acts.Echo($"{n}"), options))));
                case "fails twice": return await Workflow.ExecuteActivityAsync((Acts acts) => acts.FailsTwice(), options);
                case "heartbeat":
                    options.HeartbeatTimeout = TimeSpan.FromSeconds(5);
                    return await Workflow.ExecuteActivityAsync((Acts acts) => acts.Beats(), options);
                case "local activity": return await Workflow.ExecuteLocalActivityAsync((Acts acts) => acts.Echo("local"), new LocalActivityOptions { StartToCloseTimeout = TimeSpan.FromSeconds(20) });
                case "patched": return Workflow.Patched("a change") ? "new" : "old";
                case "timer":
                    await Workflow.DelayAsync(TimeSpan.FromMilliseconds(50));
                    return "slept";
                case "completed from outside": return await Workflow.ExecuteActivityAsync((Acts acts) => acts.FromOutside(), options);
                case "late activity":
                    options.StartToCloseTimeout = TimeSpan.FromMilliseconds(100);
                    options.RetryPolicy.MaximumAttempts = 2;
                    return await Workflow.ExecuteActivityAsync((Acts acts) => acts.Never(), options);
                default: throw new ApplicationFailureException("on purpose", nonRetryable: true);
            }
        }
    }

    /// <summary>Ends when its bell has rung twice.</summary>
    [Workflow]
    public class Counts
    {
        int rang;

        [WorkflowRun]
        public async Task<string> Run()
        {
            await Workflow.WaitConditionAsync(() => rang == 2);
            return $"rang {rang} times";
        }

        [WorkflowSignal]
        public Task Ring()
        {
            rang++;
            return Task.CompletedTask;
        }
    }

    /// <summary>Continues as new three times.</summary>
    [Workflow]
    public class Continues
    {
        [WorkflowRun]
        public Task<string> Run(int lives) =>
            lives < 3 ? throw Workflow.CreateContinueAsNewException((Continues it) => it.Run(lives + 1)) : Task.FromResult($"ended after {lives}");
    }

    /// <summary>What the workflows call.</summary>
    public sealed class Acts
    {
        [Activity]
        public string Echo(string text) => text;

        [Activity]
        public string FailsTwice() => ActivityExecutionContext.Current.Info.Attempt is var attempt && attempt < 3 ? throw new ApplicationFailureException("not yet") : $"attempt {attempt}";

        /// <summary>Beats, fails, and finds at its next attempt what it had beaten.</summary>
        [Activity]
        public async Task<string> Beats()
        {
            var context = ActivityExecutionContext.Current;
            if (context.Info.Attempt > 1) return $"beat {await context.Info.HeartbeatDetailAtAsync<int>(0)}";
            for (var n = 1; n <= 3; n++) context.Heartbeat(n);
            throw new ApplicationFailureException("after its beats");
        }

        [Activity]
        public string FromOutside()
        {
            var handle = ActivityExecutionContext.Current.TemporalClient.GetAsyncActivityHandle(ActivityExecutionContext.Current.Info.TaskToken);
            _ = Task.Run(() => handle.CompleteAsync("from outside"));
            throw new CompleteAsyncException();
        }

        [Activity]
        public async Task<string> Never()
        {
            await Task.Delay(Timeout.Infinite, ActivityExecutionContext.Current.CancellationToken);
            return "never";
        }
    }
}
