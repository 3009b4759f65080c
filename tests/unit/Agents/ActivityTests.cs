using Grpc.Core;
using Microsoft.Extensions.Time.Testing;
using Stigmer.Agents.Activities;
using Stigmer.Agents.Llm;
using Stigmer.Agents.Loop;
using Stigmer.Agents.Tools;
using Stigmer.Agents.Worker;
using Stigmer.Rpc.Temporal;
using Stigmer.Rpc.V1;

namespace Stigmer.Tests.Agents;

public sealed class ActivityTests : IAsyncLifetime
{
    readonly ScriptedModel model = new();
    readonly CancellationTokenSource end = new();
    World world = null!;
    CallModel callModel = null!;
    CallTool callTool = null!;
    Func<string, string, string, CancellationToken, Task<ToolOutcome>> tool = (_, _, _, _) => Task.FromResult(new ToolOutcome(true, "seen"));
    int toolCalls;

    public async ValueTask InitializeAsync()
    {
        world = await World.Start();
        Make(TimeProvider.System);
    }

    void Make(TimeProvider time)
    {
        var server = new RunnerServer(world.Channel, "life", world.Log, TimeProvider.System);
        var slots = new Slots(server, world.Log, TimeProvider.System, end.Token);
        var transcripts = new Transcripts(server);
        var models = new RunModels(_ => null, (_, _) => model);
        callModel = new CallModel(server, slots, transcripts, models, world.Log, time);
        callTool = new CallTool(slots, transcripts, Carry, world.Log, time);
    }

    Task<ToolOutcome> Carry(RunSpec spec, int turn, ToolCall call, CancellationToken cancel)
    {
        Interlocked.Increment(ref toolCalls);
        return tool(call.Name, call.Arguments, spec.Workspace, cancel);
    }

    public async ValueTask DisposeAsync()
    {
        await end.CancelAsync();
        await world.DisposeAsync();
        end.Dispose();
    }

    static Attempt Attempt() => new(new PollActivityTaskQueueResponse
    {
        ActivityId = "a", ActivityType = new ActivityType { Name = "CallModel" }, WorkflowExecution = new WorkflowExecution { WorkflowId = "r/1/1" },
    });

    static ModelTask ModelTask(int step = 1, long leftMs = 0) => new() { Run = "r", Turn = 1, Step = step, LeftMs = leftMs };

    static ToolTask ToolTask(long leftMs = 0) => new() { Run = "r", Turn = 1, Step = 1, Slot = 1, Name = "workspace.read", LeftMs = leftMs };

    static ModelAnswer Asking(params string[] tools)
    {
        var answer = new ModelAnswer { ReadUpTo = 1, FinishReason = FinishReason.ToolCalls, Usage = new Usage { InputTokens = 7, OutputTokens = 1 }, WorkedMs = 9 };
        foreach (var (i, name) in tools.Index()) answer.Calls.Add(new ToolCall { Slot = i + 1, Id = $"c{i + 1}", Name = name, Arguments = "{}" });
        return answer;
    }

    [Fact]
    public async Task A_model_call_is_streamed_stored_and_reported_without_its_text()
    {
        model.Says("Hel", "lo");
        using var attempt = Attempt();
        var report = await callModel.Run(ModelTask(), attempt);

        Assert.Equal((Outcome.Stored, 5L, 1L, 0), (report.Outcome, report.Tokens, report.ReadUpTo, report.Calls.Count));
        var stored = Assert.Single(world.Record.Stored).Value;
        Assert.Equal(("Hello", "demo"), (stored.Answer.Text, stored.Answer.Provider));
        Assert.Equal("Hello", string.Concat(world.Record.Deltas.Select(delta => delta.Text)));
        Assert.All(world.Record.Deltas, delta => Assert.Equal("life", delta.RunnerLife));
        Assert.Equal(["system", "user"], Assert.Single(model.Asked).Select(message => message.Role.Value));
        Assert.Empty(world.Record.GivenBack);
    }

    [Fact]
    public async Task A_stored_answer_is_not_paid_for_again_and_is_reported_call_by_call()
    {
        world.Record.Store(1, 0, Asking("workspace.read", "workspace.write", "workspace.list", "workspace.write"));
        foreach (var call in world.Record.Stored.Values.Single().Answer.Calls) call.NeedsApproval = call.Name == "workspace.write";
        world.Record.Approved.Enqueue(new() { Turn = 1, Step = 1, Slot = 4 });
        world.Record.Approved.Enqueue(new() { Turn = 1, Step = 2, Slot = 2 });
        world.Record.Store(1, 3, result: new ToolResult { CallId = "c3" });
        using var attempt = Attempt();
        var report = await callModel.Run(ModelTask(), attempt);

        Assert.Empty(model.Asked);
        Assert.Equal(
            [new(1, "workspace.read", CallState.Approved), new(2, "workspace.write", CallState.NeedsYes), new(3, "workspace.list", CallState.Done), new(4, "workspace.write", CallState.Approved)],
            report.Calls);
        Assert.Equal((8L, 9L), (report.Tokens, report.WorkedMs));
    }

    [Fact]
    public async Task A_run_that_was_started_with_yes_asks_nobody()
    {
        world.Record.Spec.Yes = true;
        world.Record.Store(1, 0, Asking("workspace.write"));
        world.Record.Stored.Values.Single().Answer.Calls[0].NeedsApproval = true;
        using var attempt = Attempt();
        Assert.Equal(CallState.Approved, Assert.Single((await callModel.Run(ModelTask(), attempt)).Calls).State);
    }

    [Fact]
    public async Task A_slot_that_another_runner_holds_is_waited_for()
    {
        world.Record.Claims.Enqueue(new ClaimResponse { Held = new ClaimHeld { ByRunnerLife = "other" } });
        world.Record.Claims.Enqueue(new ClaimResponse { Stored = new TranscriptEntry { Turn = 1, Step = 1, Answer = new ModelAnswer { Text = "theirs" } } });
        using var attempt = Attempt();
        Assert.Equal(Outcome.Stored, (await callModel.Run(ModelTask(), attempt)).Outcome);
        Assert.Empty(model.Asked);
    }

    [Fact]
    public async Task A_refused_slot_calls_nothing()
    {
        world.Record.Claims.Enqueue(new ClaimResponse { Refused = new ClaimRefused { Why = "closed" } });
        using var attempt = Attempt();
        Assert.Equal(Outcome.Refused, (await callModel.Run(ModelTask(), attempt)).Outcome);
        Assert.Empty(model.Asked);
    }

    [Fact]
    public async Task A_run_that_the_server_does_not_know_is_tried_again_later()
    {
        world.Record.Claims.Enqueue(new ClaimResponse { Unknown = new ClaimUnknown() });
        using var attempt = Attempt();
        Assert.True((await Assert.ThrowsAsync<ActivityFailure>(() => callModel.Run(ModelTask(), attempt))).Retryable);
    }

    [Fact]
    public async Task A_result_in_hand_is_offered_until_the_server_takes_it()
    {
        model.Says("once");
        foreach (var code in new[] { StatusCode.Unavailable, StatusCode.DeadlineExceeded, StatusCode.Internal }) world.Record.AppendFailures.Enqueue(new Status(code, "away"));
        using var attempt = Attempt();
        await callModel.Run(ModelTask(), attempt);
        Assert.Single(model.Asked);
        Assert.Equal("once", Assert.Single(world.Record.Stored).Value.Answer.Text);
    }

    [Fact]
    public async Task A_result_in_hand_outlives_the_attempt_that_brought_it()
    {
        world.Record.Store(1, 0, Asking("workspace.read"));
        using var attempt = Attempt();
        tool = (_, _, _, _) =>
        {
            attempt.End(StopReason.Paused);
            return Task.FromResult(new ToolOutcome(true, "in hand"));
        };
        world.Record.AppendFailures.Enqueue(new Status(StatusCode.Unavailable, "away"));
        await callTool.Run(ToolTask(), attempt);
        Assert.Equal("in hand", Result().Text);
    }

    [Fact]
    public async Task A_result_that_the_server_refuses_ends_quietly()
    {
        model.Says("late");
        world.Record.RefusesResults = true;
        using var attempt = Attempt();
        Assert.Equal(Outcome.Refused, (await callModel.Run(ModelTask(), attempt)).Outcome);
    }

    [Theory]
    [InlineData(nameof(StopReason.Cancelled))]
    [InlineData(nameof(StopReason.Draining))]
    public async Task An_attempt_that_is_ended_gives_its_slot_back(string why)
    {
        model.Waits(new TaskCompletionSource<string>().Task);
        using var attempt = Attempt();
        var running = callModel.Run(ModelTask(), attempt);
        await model.Begun.Task;
        attempt.End(Enum.Parse<StopReason>(why));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
        var given = Assert.Single(world.Record.GivenBack);
        Assert.Equal((true, 0, "life"), (given.Begun, given.Slot.Slot, given.RunnerLife));
    }

    [Fact]
    public async Task A_second_attempt_in_the_same_runner_waits_for_the_first()
    {
        var say = new TaskCompletionSource<string>();
        model.Waits(say.Task);
        using var first = Attempt();
        using var second = Attempt();
        var one = callModel.Run(ModelTask(), first);
        await model.Begun.Task;
        var two = callModel.Run(ModelTask(), second);
        say.SetResult("both");
        Assert.Equal(Outcome.Stored, (await one).Outcome);
        Assert.Equal(Outcome.Stored, (await two).Outcome);
        Assert.Single(model.Asked);
    }

    [Fact]
    public async Task A_failure_that_may_pass_is_tried_again_as_a_whole()
    {
        model.Fails(new ModelFailure("It is busy", null, null, retryable: true, TimeSpan.Zero)).Says("well");
        using var attempt = Attempt();
        await callModel.Run(ModelTask(), attempt);
        Assert.Equal("well", Assert.Single(world.Record.Stored).Value.Answer.Text);
        // What the watchers have after the last retry is the answer, and nothing of what broke.
        Assert.Equal("well", world.Record.Deltas.Aggregate("", (text, delta) => delta.Retry.Length > 0 ? "" : text + delta.Text));
        Assert.Contains(world.Record.Deltas, delta => delta.Retry.StartsWith("It is busy", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_provider_that_wants_to_be_left_alone_for_an_hour_is_not_waited_for()
    {
        model.Fails(new ModelFailure("It is busy", "come again in an hour", null, retryable: true, TimeSpan.FromHours(1))).Says("never asked");
        using var attempt = Attempt();
        var failure = await Assert.ThrowsAsync<ActivityFailure>(() => callModel.Run(ModelTask(), attempt));
        Assert.Equal((false, "It is busy"), (failure.Retryable, failure.Error.What));
        Assert.Single(model.Asked);
    }

    [Fact]
    public async Task A_failure_that_will_not_pass_fails_the_run_with_its_words()
    {
        model.Fails(new ModelFailure("There is no model m", "it was not pulled", "ollama pull m", retryable: false));
        using var attempt = Attempt();
        var failure = await Assert.ThrowsAsync<ActivityFailure>(() => callModel.Run(ModelTask(), attempt));
        Assert.Equal((false, new TurnError("There is no model m", "it was not pulled", "ollama pull m")), (failure.Retryable, failure.Error));
        Assert.True(Assert.Single(world.Record.GivenBack).Begun);
    }

    [Theory]
    [InlineData(nameof(InvalidOperationException))]
    [InlineData(nameof(TaskCanceledException))]
    public async Task A_failure_that_nobody_expects_is_paid_for_once_and_ends_the_run(string kind)
    {
        model.Fails(kind == nameof(InvalidOperationException) ? new InvalidOperationException("a bug") : new TaskCanceledException("a bug"));
        using var attempt = Attempt();
        var failure = await Assert.ThrowsAsync<ActivityFailure>(() => callModel.Run(ModelTask(), attempt));
        Assert.Single(model.Asked);
        Assert.False(failure.Retryable);
        Assert.Equal($"{kind}: a bug", failure.Error.Why);
        Assert.Contains("stigmer runs resume r", failure.Error.Remedy, StringComparison.Ordinal);
        Assert.True(Assert.Single(world.Record.GivenBack).Begun);
    }

    [Fact]
    public async Task What_a_server_of_ours_says_during_a_model_call_is_left_to_the_engine_to_try_again()
    {
        model.Fails(new RpcException(new Status(StatusCode.Unavailable, "away")));
        using var attempt = Attempt();
        await Assert.ThrowsAsync<RpcException>(() => callModel.Run(ModelTask(), attempt));
        Assert.True(Assert.Single(world.Record.GivenBack).Begun);
    }

    [Theory]
    [InlineData("anthropic", "ANTHROPIC_API_KEY")]
    [InlineData("nobody", "nobody")]
    public async Task A_provider_that_cannot_be_called_fails_the_run_at_once(string provider, string named)
    {
        world.Record.Spec.Provider = provider;
        using var attempt = Attempt();
        var failure = await Assert.ThrowsAsync<ActivityFailure>(() => callModel.Run(ModelTask(), attempt));
        Assert.False(failure.Retryable);
        Assert.Contains(named, $"{failure.Error}", StringComparison.Ordinal);
        Assert.Empty(model.Asked);
        Assert.False(Assert.Single(world.Record.GivenBack).Begun);
    }

    [Fact]
    public async Task A_model_call_ends_when_the_runs_time_is_over()
    {
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow);
        Make(time);
        model.Waits(new TaskCompletionSource<string>().Task);
        using var attempt = Attempt();
        var running = callModel.Run(ModelTask(leftMs: 5000), attempt);
        await model.Begun.Task;
        time.Advance(TimeSpan.FromSeconds(5));
        var report = await running;
        Assert.Equal((Outcome.TimedOut, 5000L), (report.Outcome, report.WorkedMs));
        Assert.Empty(world.Record.Stored);
        Assert.Single(world.Record.GivenBack);
    }

    [Fact]
    public async Task Complete_steps_are_read_once()
    {
        world.Record.Store(1, 0, Asking("workspace.read"));
        world.Record.Store(1, 1, result: new ToolResult { CallId = "c1", Text = "seen" });
        model.Says("two").Says("three");
        using var attempt = Attempt();
        await callModel.Run(ModelTask(step: 2), attempt);
        world.Record.Messages.Add(new TranscriptEntry { Turn = 1, Step = 3, Slot = -1, User = new UserMessage { Number = 2, Text = "and now?" } });
        var report = await callModel.Run(ModelTask(step: 3), attempt);

        Assert.Equal(2, report.ReadUpTo);
        var reads = world.Record.Reads.ToList();
        Assert.Equal((0, 0, 0L), (reads[0].AfterTurn, reads[0].AfterStep, reads[0].AfterMessage));
        Assert.Equal((1, 1, 1L), (reads[1].AfterTurn, reads[1].AfterStep, reads[1].AfterMessage));
        Assert.Equal(["system", "user", "assistant", "tool", "assistant", "user"], model.Asked.Last().Select(message => message.Role.Value));
    }

    [Fact]
    public async Task A_tool_runs_with_what_the_model_wrote()
    {
        world.Record.Store(1, 0, Asking("workspace.read"));
        (string, string, string)? got = null;
        tool = (name, arguments, workspace, _) =>
        {
            got = (name, arguments, workspace);
            return Task.FromResult(new ToolOutcome(true, "content"));
        };
        using var attempt = Attempt();
        Assert.Equal(Outcome.Stored, (await callTool.Run(ToolTask(), attempt)).Outcome);
        Assert.Equal(("workspace.read", "{}", "/w"), got);
        var result = Result();
        Assert.Equal(("c1", true, "content", ResultKind.Ran, false), (result.CallId, result.Ok, result.Text, result.Kind, result.BegunBefore));
    }

    [Fact]
    public async Task A_tool_that_breaks_is_a_result_that_the_model_reads()
    {
        world.Record.Store(1, 0, Asking("workspace.read"));
        tool = (_, _, _, _) => throw new InvalidOperationException("a bug");
        using var attempt = Attempt();
        await callTool.Run(ToolTask(), attempt);
        Assert.False(Result().Ok);
        Assert.Contains("a bug", Result().Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_tool_that_had_begun_before_says_so()
    {
        world.Record.Store(1, 0, Asking("workspace.read"));
        world.Record.Claims.Enqueue(new ClaimResponse { Yours = new ClaimYours { BegunBefore = true } });
        using var attempt = Attempt();
        await callTool.Run(ToolTask(), attempt);
        Assert.Equal((true, 1), (Result().BegunBefore, toolCalls));
        Assert.StartsWith("(This call had begun before", Result().Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_tool_marked_once_does_not_run_again_when_its_outcome_is_unknown()
    {
        var asking = Asking("mail.send");
        asking.Calls[0].Once = true;
        world.Record.Store(1, 0, asking);
        world.Record.Claims.Enqueue(new ClaimResponse { Yours = new ClaimYours { BegunBefore = true } });
        using var attempt = Attempt();
        await callTool.Run(ToolTask(), attempt);
        Assert.Equal((ResultKind.OutcomeUnknown, false, 0), (Result().Kind, Result().Ok, toolCalls));
    }

    [Fact]
    public async Task A_tool_that_outlasts_the_runs_time_leaves_its_slot_timed_out()
    {
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow);
        Make(time);
        world.Record.Store(1, 0, Asking("workspace.read"));
        var begun = new TaskCompletionSource();
        tool = async (_, _, _, cancel) =>
        {
            begun.SetResult();
            await Task.Delay(Timeout.Infinite, cancel);
            return new ToolOutcome(true, "");
        };
        using var attempt = Attempt();
        var running = callTool.Run(ToolTask(leftMs: 700), attempt);
        await begun.Task;
        time.Advance(TimeSpan.FromMilliseconds(700));
        Assert.Equal(Outcome.TimedOut, (await running).Outcome);
        Assert.Equal(ResultKind.TimedOut, Result().Kind);
    }

    ToolResult Result() => world.Record.Stored[new SlotKey { RunId = "r", Turn = 1, Step = 1, Slot = 1 }].Result;
}
