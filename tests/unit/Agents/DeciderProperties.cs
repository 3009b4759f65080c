using CsCheck;
using Stigmer.Agents.Loop;
using Stigmer.Rpc;

namespace Stigmer.Tests.Agents;

/// <summary>Turns that nobody thought of: an engine that does what is decided, and activities that end in every way there is.</summary>
public class DeciderProperties
{
    static readonly Gen<TurnInput> input =
        from maxSteps in Gen.Int[0, 5]
        from timeout in Gen.Int[0, 2].Select(which => new[] { 0L, 50, 1000 }[which])
        from tokens in Gen.Int[0, 1].Select(which => new[] { 0L, 20 }[which])
        from opens in Gen.Bool
        from firstStep in Gen.Int[1, 4]
        select History.Started().Input with { MaxSteps = maxSteps, TimeoutMs = timeout, MaxTotalTokens = tokens, OpensTools = opens, FirstStep = firstStep };

    /// <summary>A history, grown by choices: at each point something that is pending ends, or a bell rings, or the engine cancels.</summary>
    static readonly Gen<History> history = Gen.Select(input, Gen.UInt.Array[0, 60]).Select((start, choices) =>
    {
        var run = History.Started(_ => start).Taken();
        foreach (var choice in choices) run = Next(run, choice).Taken();
        return run;
    });

    static History Next(History run, uint choice)
    {
        var pending = TurnState.Of(run.Events).Pending.ToList();
        var what = choice % 20;
        if (what == 0) return run.CancelRequested();
        if (what == 1) return run.Approved((int)(choice / 20 % 6), (int)(choice / 200 % 4));
        if (what == 2) return run.Denied((int)(choice / 20 % 6), (int)(choice / 200 % 4));
        if (what == 3) return run.And(new TurnEvent.TaskStarted(choice / 20 % 3 == 0));
        if (pending.Count == 0) return run.MessageCame();
        var activity = pending[(int)(choice / 20 % (uint)pending.Count)].Id;
        if (what == 4) return run.Failed(activity);
        if (what == 5) return run.TimedOut(activity);
        if (what == 6) return run.Canceled(activity);
        var more = (int)(choice / 400);
        var outcome = (Outcome)(what == 7 ? more % 3 : 0);
        return activity.Split('-')[0] switch
        {
            "model" => run.And(new TurnEvent.ModelAnswered(activity, new ModelReport { Outcome = outcome, Tokens = more % 9, WorkedMs = more % 70, Calls = Calls(more) })),
            "end" => run.And(new TurnEvent.EndAnswered(activity, new EndReport((EndAnswer)(more % 3)))),
            "tools" => run.And(new TurnEvent.ToolsOpened(activity, new ToolReport { Outcome = outcome })),
            _ => run.And(new TurnEvent.ToolAnswered(activity, new ToolReport { Outcome = outcome, WorkedMs = more % 70 })),
        };
    }

    static List<CallReport> Calls(int seed) =>
        [.. Enumerable.Range(1, seed % 4).Select(slot => new CallReport(slot, "a", (CallState)(seed / 4 / slot % 3)))];

    [Fact]
    public void Every_prefix_of_a_history_decides_and_decides_the_same_twice() => history.Sample(run =>
    {
        for (var length = 0; length <= run.Events.Count; length++)
        {
            var prefix = run.Events.GetRange(0, length);
            Assert.Equal(Described(Decider.Decide(run.Input, prefix)), Described(Decider.Decide(run.Input, prefix)));
        }
    });

    [Fact]
    public void What_stands_in_the_history_is_not_asked_for_again() => history.Sample(run =>
    {
        var scheduled = run.Events.OfType<TurnEvent.Scheduled>().Select(e => e.Activity).ToList();
        Assert.Equal(scheduled.Distinct(), scheduled);
        Assert.DoesNotContain(run.Decide().OfType<TurnCommand.Schedule>(), schedule => scheduled.Contains(schedule.Activity));
    });

    [Fact]
    public void A_closing_command_stands_alone_and_leaves_nothing_pending() => history.Sample(run =>
    {
        var commands = run.Decide();
        if (!commands.Any(command => command is not (TurnCommand.Schedule or TurnCommand.RequestCancel))) return;
        Assert.Single(commands);
        Assert.Empty(TurnState.Of(run.Events).Pending);
    });

    [Fact]
    public void A_turn_waits_for_nothing_but_an_activity_or_a_yes() => history.Sample(run =>
    {
        if (run.Decide().Count > 0 || TurnState.Of(run.Events).Pending.Any()) return;
        var unanswered = run.Events.OfType<TurnEvent.ModelAnswered>().SelectMany(e => e.Report.Calls).Any(call => call.State == CallState.NeedsYes);
        Assert.True(unanswered, "the turn has nothing to wait for and nothing to do");
    });

    [Fact]
    public void Tools_that_end_in_any_order_give_the_same_next_step() =>
        Gen.Shuffle(Enumerable.Range(1, 12).ToArray()).Sample(order =>
        {
            var asked = History.Started(start => start with { TimeoutMs = 100_000 }).ModelAsked(1, [.. Enumerable.Repeat("a", 12)]);
            var inOrder = Enumerable.Range(1, 12).Aggregate(asked, (run, slot) => run.ToolDone(1, slot, workedMs: slot));
            var shuffled = order.Aggregate(asked, (run, slot) => run.ToolDone(1, slot, workedMs: slot));
            Assert.Equal(Described(inOrder.Decide()), Described(shuffled.Decide()));
            shuffled.ShouldSchedule("model-2");
        });

    static IEnumerable<string> Described(IEnumerable<TurnCommand> commands) => commands.Select(command => command.ToString());
}
