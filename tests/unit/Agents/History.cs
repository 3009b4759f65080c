using System.Collections.Immutable;
using Stigmer.Agents.Loop;
using Stigmer.Rpc;

namespace Stigmer.Tests.Agents;

/// <summary>A turn's history, written down event by event. Immutable: every step gives a new one.</summary>
sealed record History(TurnInput Input, ImmutableList<TurnEvent> Events)
{
    public const string Queue = "stigmer-s";
    public const string EndQueue = "stigmer-s/end";
    public const string HostQueue = "stigmer-s@h";

    public static History Started(Func<TurnInput, TurnInput>? with = null)
    {
        var input = new TurnInput { Run = "r", Turn = 1, Life = 1, Queue = Queue, EndQueue = EndQueue, HostQueue = HostQueue };
        return new History(with is null ? input : with(input), []);
    }

    public IReadOnlyList<TurnCommand> Decide() => Decider.Decide(Input, Events);

    /// <summary>What the engine writes when it takes what was decided.</summary>
    public History Taken() => Decide().Aggregate(this, (history, command) => command switch
    {
        TurnCommand.Schedule schedule => history.And(new TurnEvent.Scheduled(schedule.Activity, history.Events.Count + 1)),
        TurnCommand.RequestCancel cancel => history.And(new TurnEvent.CancelAsked(cancel.Activity)),
        _ => history,
    });

    public History And(TurnEvent happened) => this with { Events = Events.Add(happened) };

    /// <summary>The model was called and answers without asking for tools.</summary>
    public History ModelSaid(int step, long tokens = 1, long workedMs = 1, long readUpTo = 1) =>
        ModelAnswered(step, new ModelReport { Tokens = tokens, WorkedMs = workedMs, ReadUpTo = readUpTo });

    /// <summary>The model was called and asks for these tools, in slots 1, 2, …</summary>
    public History ModelAsked(int step, params string[] tools) =>
        ModelAnswered(step, new ModelReport { Tokens = 1, WorkedMs = 1, ReadUpTo = 1, Calls = [.. tools.Select((tool, i) => new CallReport(i + 1, tool))] });

    public History ModelAnswered(int step, ModelReport report)
    {
        var taken = Scheduled(ActivityId.Model(step));
        return taken.And(new TurnEvent.ModelAnswered(ActivityId.Model(step), report));
    }

    public History ToolDone(int step, int slot, long workedMs = 1, Outcome outcome = Outcome.Stored) =>
        Scheduled(ActivityId.Tool(step, slot)).And(new TurnEvent.ToolAnswered(ActivityId.Tool(step, slot), new ToolReport { WorkedMs = workedMs, Outcome = outcome }));

    public History Ended(int step, EndAnswer answer = EndAnswer.Closed) =>
        Scheduled(ActivityId.End(step)).And(new TurnEvent.EndAnswered(ActivityId.End(step), new EndReport(answer)));

    public History Failed(string activity, string what = "it broke") => Scheduled(activity).And(new TurnEvent.Failed(activity, new TurnError(what)));

    public History TimedOut(string activity) => Scheduled(activity).And(new TurnEvent.TimedOut(activity));

    public History Canceled(string activity) => Scheduled(activity).And(new TurnEvent.Canceled(activity));

    public History CancelRequested() => And(new TurnEvent.CancelRequested());

    public History Approved(int step, int slot) => And(new TurnEvent.Rang(new Bell { Row = 7, Kind = "approve", Step = step, Slot = slot }));

    public History Denied(int step, int slot) => And(new TurnEvent.Rang(new Bell { Row = 7, Kind = "deny", Step = step, Slot = slot }));

    public History MessageCame() => And(new TurnEvent.Rang(new Bell { Row = 8, Kind = "message" }));

    /// <summary>The engine took the activity, as decided; it must have been wanted.</summary>
    History Scheduled(string activity)
    {
        if (Events.Any(happened => happened is TurnEvent.Scheduled e && e.Activity == activity)) return this;
        var taken = Taken();
        Assert.Contains(taken.Events, happened => happened is TurnEvent.Scheduled e && e.Activity == activity);
        return taken;
    }
}

/// <summary>What a test says of commands.</summary>
static class Commands
{
    public static void ShouldSchedule(this History history, params string[] activities) =>
        Assert.Equal(activities, history.Decide().Select(command => Assert.IsType<TurnCommand.Schedule>(command).Activity));

    public static void ShouldCancel(this History history, params string[] activities) =>
        Assert.Equal(activities, history.Decide().Select(command => Assert.IsType<TurnCommand.RequestCancel>(command).Activity));

    public static void ShouldDoNothing(this History history) => Assert.Empty(history.Decide());

    public static void ShouldComplete(this History history) => Assert.IsType<TurnCommand.Complete>(Assert.Single(history.Decide()));

    public static T Task<T>(this History history) where T : ActivityTask =>
        Assert.IsType<T>(Assert.IsType<TurnCommand.Schedule>(Assert.Single(history.Decide())).Task);

    public static EndTask ShouldEnd(this History history, TurnEnd end)
    {
        var task = history.Task<EndTask>();
        Assert.Equal(end, task.End);
        return task;
    }
}
