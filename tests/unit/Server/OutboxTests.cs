using System.Text.Json;
using Grpc.Core;
using Stigmer.Rpc;
using Stigmer.Rpc.Temporal;
using Stigmer.Rpc.V1;

namespace Stigmer.Tests.Server;

public sealed class OutboxTests : IDisposable
{
    readonly string home = Directory.CreateTempSubdirectory("stigmer-outbox-").FullName;

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(home, recursive: true);

    [Fact]
    public async Task A_run_is_started_with_all_that_deciding_needs()
    {
        await using var engine = await FakeEngine.Start();
        await using var server = await RunningServer.Start(engine);
        var run = await server.Begin();
        await engine.Until($"start {run}/1/1");
        var start = engine.LastStart!;
        Assert.Equal(WorkflowIdReusePolicy.RejectDuplicate, start.WorkflowIdReusePolicy);
        Assert.Equal(10, start.WorkflowTaskTimeout.Seconds);
        Assert.Null(start.WorkflowExecutionTimeout);
        Assert.Equal(("default", TurnWorkflow.Type, $"{run}/1/1"), (start.Namespace, start.WorkflowType.Name, start.RequestId));
        var input = JsonSerializer.Deserialize(start.Input.Payloads_.Single().Data.Span, TurnJson.Default.TurnInput)!;
        Assert.Equal((run, 1, 1, 1), (input.Run, input.Turn, input.Life, input.FirstStep));
        Assert.Equal(start.TaskQueue.Name, input.Queue);
    }

    [Fact]
    public async Task What_the_engine_does_not_take_is_asked_again_in_order_also_by_the_next_server()
    {
        await using var engine = await FakeEngine.Start();
        engine.Refuses["start"] = new Status(StatusCode.ResourceExhausted, "busy");
        string run;
        await using (var server = await RunningServer.Start(engine, home))
        {
            run = await server.Begin();
            await engine.Until($"start {run}/1/1");
            await server.Runs.CancelRunAsync(new CancelRunRequest { Run = run, Key = "k" }, cancellationToken: Cancel);
        }
        Assert.DoesNotContain($"cancel {run}/1/1", engine.Asked);
        engine.Refuses.Clear();
        await using (var server = await RunningServer.Start(engine, home)) await engine.Until($"cancel {run}/1/1");
        // The turn had ended in the meantime: it was not started any more.
        Assert.True(engine.Asked.Count(a => a == $"start {run}/1/1") >= 1);
        Assert.Equal($"cancel {run}/1/1", engine.Asked.Last(a => a.EndsWith($"{run}/1/1", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task A_workflow_that_was_started_before_counts_as_taken()
    {
        await using var engine = await FakeEngine.Start();
        engine.AnswersGetLost = true;
        await using var server = await RunningServer.Start(engine);
        var run = await server.Begin();
        var another = await server.Begin();
        await engine.Until($"start {run}/1/1");
        await engine.Until($"start {another}/1/1");
        await server.Runs.CancelRunAsync(new CancelRunRequest { Run = run, Key = "k" }, cancellationToken: Cancel);
        await engine.Until($"cancel {run}/1/1");
        Assert.DoesNotContain($"start {run}/1/2", engine.Asked);
    }

    [Fact]
    public async Task When_the_stack_is_up_open_turns_are_looked_for_and_lost_ones_get_a_new_life()
    {
        await using var engine = await FakeEngine.Start();
        string kept, lost;
        await using (var server = await RunningServer.Start(engine, home))
        {
            (kept, lost) = (await server.Begin(), await server.Begin());
            await engine.Until($"start {kept}/1/1");
            await engine.Until($"start {lost}/1/1");
        }
        engine.Lose($"{lost}/1/1");
        await using (var server = await RunningServer.Start(engine, home))
        {
            await engine.Until($"start {lost}/1/2");
            await engine.Until($"describe {kept}/1/1");
        }
        Assert.DoesNotContain($"start {kept}/1/2", engine.Asked);
    }

    [Fact]
    public async Task A_runner_that_was_told_NotFound_makes_the_server_look()
    {
        await using var engine = await FakeEngine.Start();
        await using var server = await RunningServer.Start(engine);
        var run = await server.Begin();
        await engine.Until($"start {run}/1/1");
        // Once the engine has taken it: another run's start comes after that was noted.
        await engine.Until($"start {await server.Begin()}/1/1");
        engine.Lose($"{run}/1/1");
        await server.Runners.MissingAsync(new MissingRequest { WorkflowId = $"{run}/1/1" }, cancellationToken: Cancel);
        await engine.Until($"start {run}/1/2");
    }

    [Fact]
    public async Task Open_runs_go_on_at_the_other_local_engine_and_are_ended_at_the_first_when_it_is_back()
    {
        await using var first = await FakeEngine.Start();
        await using var second = await FakeEngine.Start();
        second.Id = "ns-2";
        string run;
        await using (var server = await RunningServer.Start(first, home))
        {
            run = await server.Begin();
            await first.Until($"start {run}/1/1");
        }
        await using (var server = await RunningServer.Start(second, home)) await second.Until($"start {run}/1/2");
        await using (var server = await RunningServer.Start(first, home)) await first.Until($"start {run}/1/3");
        var asked = first.Asked.ToList();
        Assert.True(asked.IndexOf($"terminate {run}/1/1") is >= 0 and var ended && ended < asked.IndexOf($"start {run}/1/3"));
    }

    [Fact]
    public async Task An_engine_that_answers_later_gets_what_waited_for_it()
    {
        await using var engine = await FakeEngine.Start();
        engine.Refuses["describe-namespace"] = new Status(StatusCode.NotFound, "the namespace is not there yet");
        await using var server = await RunningServer.Start(engine);
        var run = await server.Begin();
        Assert.Equal("", (await server.Runs.GetRunAsync(new GetRunRequest { Run = run }, cancellationToken: Cancel)).Run.Engine);
        engine.Refuses.Clear();
        await engine.Until($"start {run}/1/1");
    }
}
