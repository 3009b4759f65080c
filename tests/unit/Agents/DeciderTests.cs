using Stigmer.Agents.Loop;

namespace Stigmer.Tests.Agents;

public class DeciderTests
{
    [Fact]
    public void A_turn_begins_with_a_model_call()
    {
        var started = History.Started();
        var schedule = Assert.IsType<TurnCommand.Schedule>(Assert.Single(started.Decide()));
        Assert.Equal(("model-1", History.Queue, TimeSpan.FromHours(24)), (schedule.Activity, schedule.Queue, schedule.StartToClose));
        Assert.Equal(new ModelTask { Run = "r", Turn = 1, Step = 1 }, schedule.Task);
        started.Taken().ShouldDoNothing();
    }

    [Fact]
    public void Two_tool_calls_are_scheduled_together_and_the_model_is_called_once_after_both()
    {
        var run = History.Started().ModelAsked(1, "workspace.read", "workspace.list");
        run.ShouldSchedule("tool-1-1", "tool-1-2");
        run.ToolDone(1, 2).ShouldDoNothing();
        run.ToolDone(1, 2).ToolDone(1, 1).ShouldSchedule("model-2");
    }

    [Fact]
    public void A_tool_is_run_on_the_queue_of_its_host()
    {
        var commands = History.Started().ModelAsked(1, "workspace.read").Decide();
        var schedule = Assert.IsType<TurnCommand.Schedule>(Assert.Single(commands));
        Assert.Equal(History.HostQueue, schedule.Queue);
        Assert.Equal(new ToolTask { Run = "r", Turn = 1, Step = 1, Slot = 1, Name = "workspace.read" }, schedule.Task);
    }

    [Fact]
    public void An_answer_without_calls_closes_the_turn_before_the_workflow()
    {
        var answered = History.Started().ModelSaid(1, readUpTo: 3);
        var schedule = Assert.IsType<TurnCommand.Schedule>(Assert.Single(answered.Decide()));
        Assert.Equal(("end-1", History.EndQueue), (schedule.Activity, schedule.Queue));
        Assert.Equal(new EndTask { Run = "r", Turn = 1, Step = 1, End = TurnEnd.Completed, ReadUpTo = 3 }, schedule.Task);
        answered.Taken().ShouldDoNothing();
        answered.Ended(1).ShouldComplete();
    }

    [Fact]
    public void An_unread_message_keeps_the_turn_open_for_a_further_step()
    {
        var unread = History.Started().ModelSaid(1).MessageCame().Ended(1, EndAnswer.Unread);
        unread.ShouldSchedule("model-2");
        unread.ModelSaid(2, readUpTo: 2).ShouldSchedule("end-2");
        unread.ModelSaid(2).Ended(2).ShouldComplete();
    }

    [Fact]
    public void A_message_alone_starts_nothing() => History.Started().ModelAsked(1, "a").Taken().MessageCame().ShouldDoNothing();

    [Fact]
    public void At_most_sixteen_tools_are_under_way()
    {
        var run = History.Started().ModelAsked(1, [.. Enumerable.Repeat("a", 20)]);
        Assert.Equal(16, run.Decide().Count);
        run.Taken().ShouldDoNothing();
        run.Taken().ToolDone(1, 5).ShouldSchedule("tool-1-17");
    }

    [Fact]
    public void A_call_that_needs_a_yes_waits_for_it_while_the_others_run()
    {
        var run = History.Started().ModelAnswered(1, Asked(new(1, "w", CallState.NeedsYes), new(2, "r")));
        run.ShouldSchedule("tool-1-2");
        run.ToolDone(1, 2).ShouldDoNothing();
        run.ToolDone(1, 2).Approved(1, 1).ShouldSchedule("tool-1-1");
        run.ToolDone(1, 2).Denied(1, 1).ShouldSchedule("model-2");
    }

    [Fact]
    public void A_yes_that_stands_before_the_models_answer_counts()
    {
        var early = History.Started().Taken().Approved(1, 1).ModelAnswered(1, Asked(new CallReport(1, "w", CallState.NeedsYes)));
        early.ShouldSchedule("tool-1-1");
    }

    [Fact]
    public void A_yes_to_another_step_is_none()
    {
        var other = History.Started().Approved(2, 1).ModelAnswered(1, Asked(new CallReport(1, "w", CallState.NeedsYes)));
        other.ShouldDoNothing();
    }

    [Fact]
    public void A_new_life_takes_up_the_last_step_where_it_was_left()
    {
        var run = History.Started(input => input with { FirstStep = 3, StepsBefore = 2 });
        run.ShouldSchedule("model-3");
        run = run.ModelAnswered(3, Asked(new(1, "a", CallState.Done), new(2, "b")));
        run.ShouldSchedule("tool-3-2");
        run.ToolDone(3, 2).ShouldSchedule("model-4");
    }

    [Fact]
    public void The_last_allowed_step_is_the_last()
    {
        var run = History.Started(input => input with { MaxSteps = 2 }).ModelAsked(1, "a").ToolDone(1, 1);
        run.ShouldSchedule("model-2");
        var end = run.ModelAsked(2, "a").ToolDone(2, 1).ShouldEnd(TurnEnd.LimitReached);
        Assert.Equal(("max_steps", 2), (end.Limit, end.Step));
        run.ModelAsked(2, "a").ToolDone(2, 1).Ended(3).ShouldComplete();
    }

    [Fact]
    public void Steps_before_this_workflow_count_towards_the_limit() =>
        History.Started(input => input with { MaxSteps = 5, FirstStep = 6, StepsBefore = 5 }).ShouldEnd(TurnEnd.LimitReached);

    [Fact]
    public void A_turn_that_has_used_its_tokens_ends()
    {
        var run = History.Started(input => input with { MaxTotalTokens = 100, TokensBefore = 60 });
        var asked = run.ModelAnswered(1, new ModelReport { Tokens = 40, Calls = [new(1, "a")] }).ToolDone(1, 1);
        Assert.Equal("max_total_tokens", asked.ShouldEnd(TurnEnd.LimitReached).Limit);
        run.ModelSaid(1, tokens: 400).ShouldEnd(TurnEnd.Completed);
    }

    [Fact]
    public void Work_and_not_waiting_counts_towards_the_timeout()
    {
        var run = History.Started(input => input with { TimeoutMs = 1000, WorkedMsBefore = 100 }).ModelAsked(1, "a", "b").ToolDone(1, 1, workedMs: 300);
        var left = run.ToolDone(1, 2, workedMs: 99).Decide();
        var schedule = Assert.IsType<TurnCommand.Schedule>(Assert.Single(left));
        Assert.Equal(500, schedule.Task.LeftMs);
        Assert.Equal(TimeSpan.FromSeconds(60.5), schedule.StartToClose);
        run.ToolDone(1, 2, workedMs: 600).ShouldEnd(TurnEnd.TimedOut);
    }

    [Fact]
    public void A_model_call_that_ran_out_of_time_ends_the_turn()
    {
        var late = History.Started(input => input with { TimeoutMs = 1000 }).ModelAnswered(1, new ModelReport { Outcome = Outcome.TimedOut, WorkedMs = 1000 });
        late.ShouldEnd(TurnEnd.TimedOut);
    }

    [Fact]
    public void A_tool_that_ran_out_of_time_ends_the_turn_after_the_others_were_cancelled()
    {
        var late = History.Started(input => input with { TimeoutMs = 1000 }).ModelAsked(1, "a", "b").ToolDone(1, 1, workedMs: 999, Outcome.TimedOut);
        late.ShouldCancel("tool-1-2");
        late.Taken().ShouldDoNothing();
        late.Taken().Canceled("tool-1-2").ShouldEnd(TurnEnd.TimedOut);
        late.Taken().ToolDone(1, 2).ShouldEnd(TurnEnd.TimedOut);
    }

    [Fact]
    public void A_failed_model_call_fails_the_run_with_its_error()
    {
        var failed = History.Started().Failed("model-1", "no such model");
        Assert.Equal(new TurnError("no such model"), failed.ShouldEnd(TurnEnd.Failed).Error);
        failed.Ended(1).ShouldComplete();
    }

    [Fact]
    public void The_first_tool_that_fails_is_the_reason_whatever_its_slot()
    {
        var failed = History.Started().ModelAsked(1, "a", "b").Failed("tool-1-2", "the second");
        failed.ShouldCancel("tool-1-1");
        Assert.Equal("the second", failed.Taken().Canceled("tool-1-1").ShouldEnd(TurnEnd.Failed).Error!.What);
        Assert.Equal("the second", failed.Taken().Failed("tool-1-1", "the first").ShouldEnd(TurnEnd.Failed).Error!.What);
    }

    [Fact]
    public void A_refused_slot_closes_the_workflow_and_nothing_else()
    {
        var refused = History.Started().ModelAsked(1, "a", "b").ToolDone(1, 1, outcome: Outcome.Refused);
        refused.ShouldCancel("tool-1-2");
        refused.Taken().Canceled("tool-1-2").ShouldComplete();
        History.Started().ModelAnswered(1, new ModelReport { Outcome = Outcome.Refused }).ShouldComplete();
    }

    [Fact]
    public void A_refused_end_closes_the_workflow() => History.Started().ModelSaid(1).Ended(1, EndAnswer.Refused).ShouldComplete();

    [Fact]
    public void A_failed_end_fails_the_workflow() =>
        Assert.IsType<TurnCommand.Fail>(Assert.Single(History.Started().ModelSaid(1).Failed("end-1").Decide()));

    public static TheoryData<string> Ends => ["failed", "timed out", "canceled"];

    [Theory]
    [MemberData(nameof(Ends))]
    public void A_cancelled_run_takes_every_end_of_its_activities_alike(string how)
    {
        var cancelled = History.Started().ModelAsked(1, "a", "b").Taken().CancelRequested();
        cancelled.ShouldCancel("tool-1-1", "tool-1-2");
        var taken = cancelled.Taken();
        taken.ShouldDoNothing();
        taken = how switch
        {
            "failed" => taken.Failed("tool-1-1").Failed("tool-1-2"),
            "timed out" => taken.TimedOut("tool-1-1").TimedOut("tool-1-2"),
            _ => taken.Canceled("tool-1-1").Canceled("tool-1-2"),
        };
        Assert.Null(taken.ShouldEnd(TurnEnd.Cancelled).Error);
        Assert.IsType<TurnCommand.Cancel>(Assert.Single(taken.Ended(1, EndAnswer.Refused).Decide()));
    }

    [Fact]
    public void A_cancel_between_two_steps_calls_no_model() =>
        History.Started().ModelAsked(1, "a").ToolDone(1, 1).CancelRequested().ShouldEnd(TurnEnd.Cancelled);

    [Fact]
    public void A_cancel_that_meets_an_end_under_way_waits_for_it()
    {
        var ending = History.Started().ModelSaid(1).Taken().CancelRequested();
        ending.ShouldDoNothing();
        Assert.IsType<TurnCommand.Cancel>(Assert.Single(ending.Ended(1).Decide()));
        ending.Ended(1, EndAnswer.Unread).ShouldEnd(TurnEnd.Cancelled);
        Assert.IsType<TurnCommand.Cancel>(Assert.Single(ending.Ended(1, EndAnswer.Unread).Ended(2).Decide()));
    }

    [Fact]
    public void An_agent_with_servers_of_tools_begins_by_opening_them()
    {
        var run = History.Started(input => input with { OpensTools = true });
        var schedule = Assert.IsType<TurnCommand.Schedule>(Assert.Single(run.Decide()));
        Assert.Equal(("tools", History.HostQueue), (schedule.Activity, schedule.Queue));
        run.Taken().ShouldDoNothing();
        run.Taken().And(new TurnEvent.ToolsOpened("tools", new ToolReport())).ShouldSchedule("model-1");
        Assert.Equal("it broke", run.Failed("tools").ShouldEnd(TurnEnd.Failed).Error!.What);
        run.Taken().CancelRequested().ShouldCancel("tools");
    }

    [Fact]
    public void After_fifty_steps_the_workflow_continues_as_new()
    {
        var run = History.Started(input => input with { MaxTotalTokens = 1000, TokensBefore = 5, OpensTools = true });
        run = run.Taken().And(new TurnEvent.ToolsOpened("tools", new ToolReport { WorkedMs = 10 }));
        for (var step = 1; step < 50; step++) run = run.ModelAsked(step, "a").ToolDone(step, 1);
        run.ShouldSchedule("model-50");
        var next = Assert.IsType<TurnCommand.ContinueAsNew>(Assert.Single(run.ModelAsked(50, "a").ToolDone(50, 1).Decide())).Input;
        Assert.Equal(run.Input with { FirstStep = 51, StepsBefore = 50, TokensBefore = 55, WorkedMsBefore = 110, OpensTools = false }, next);
        new History(next, []).ShouldSchedule("model-51");
    }

    [Fact]
    public void A_history_that_the_engine_finds_long_continues_as_new_between_two_steps()
    {
        var suggested = new TurnEvent.TaskStarted(SuggestsContinueAsNew: true);
        var run = History.Started().ModelAsked(1, "a").And(suggested);
        run.ShouldSchedule("tool-1-1");
        Assert.IsType<TurnCommand.ContinueAsNew>(Assert.Single(run.ToolDone(1, 1).And(suggested).Decide()));
        run.ToolDone(1, 1).And(new TurnEvent.TaskStarted(SuggestsContinueAsNew: false)).ShouldSchedule("model-2");
    }

    [Fact]
    public void The_rules_of_a_later_version_are_left_to_a_later_runner() =>
        Assert.Throws<NotSupportedException>(() => History.Started(input => input with { Version = Decider.Version + 1 }).Decide());

    static ModelReport Asked(params CallReport[] calls) => new() { Calls = calls };
}
