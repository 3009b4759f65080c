namespace Stigmer.Agents.Loop;

/// <summary>A history, folded: which activities there are and how they ended, what people said, what the engine wants.</summary>
sealed class TurnState
{
    readonly Dictionary<string, Activity> activities = [];
    readonly HashSet<(int Step, int Slot)> approved = [];
    readonly HashSet<(int Step, int Slot)> denied = [];

    /// <summary>The engine was asked to cancel the workflow.</summary>
    public bool CancelRequested { get; private set; }

    /// <summary>At its last workflow task the engine found the history long.</summary>
    public bool SuggestsContinueAsNew { get; private set; }

    /// <summary>Folds a history or the beginning of one.</summary>
    public static TurnState Of(IEnumerable<TurnEvent> history)
    {
        var state = new TurnState();
        var place = 0;
        foreach (var happened in history) state.Apply(happened, place++);
        return state;
    }

    /// <summary>The activity with that id; null: not handed to the engine yet.</summary>
    public Activity? this[string activity] => activities.GetValueOrDefault(activity);

    /// <summary>The activities that have not ended, in the order in which they were scheduled.</summary>
    public IEnumerable<Activity> Pending => activities.Values.Where(activity => activity.End is null).OrderBy(activity => activity.EventId);

    /// <summary>A person said yes to the call. The yes may have come before the model's answer that it belongs to.</summary>
    public bool IsApproved(int step, int slot) => approved.Contains((step, slot));

    /// <summary>A person said no to the call, which wrote its slot's result.</summary>
    public bool IsDenied(int step, int slot) => denied.Contains((step, slot));

    void Apply(TurnEvent happened, int place)
    {
        switch (happened)
        {
            case TurnEvent.Scheduled e: activities[e.Activity] = new Activity(e.Activity, e.EventId); break;
            case TurnEvent.CancelAsked e: Change(e.Activity, activity => activity with { CancelAsked = true }); break;
            case TurnEvent.ToolsOpened e: Ended(e.Activity, e, place); break;
            case TurnEvent.ModelAnswered e: Ended(e.Activity, e, place); break;
            case TurnEvent.ToolAnswered e: Ended(e.Activity, e, place); break;
            case TurnEvent.EndAnswered e: Ended(e.Activity, e, place); break;
            case TurnEvent.Failed e: Ended(e.Activity, e, place); break;
            case TurnEvent.TimedOut e: Ended(e.Activity, e, place); break;
            case TurnEvent.Canceled e: Ended(e.Activity, e, place); break;
            case TurnEvent.Rang { Bell: { Kind: "approve" } bell }: approved.Add((bell.Step, bell.Slot)); break;
            case TurnEvent.Rang { Bell: { Kind: "deny" } bell }: denied.Add((bell.Step, bell.Slot)); break;
            case TurnEvent.CancelRequested: CancelRequested = true; break;
            case TurnEvent.TaskStarted e: SuggestsContinueAsNew = e.SuggestsContinueAsNew; break;
        }
    }

    void Ended(string id, TurnEvent end, int place) => Change(id, activity => activity with { End = end, EndPlace = place });

    void Change(string id, Func<Activity, Activity> change)
    {
        if (activities.TryGetValue(id, out var activity)) activities[id] = change(activity);
    }

    /// <summary>An activity that was handed to the engine.</summary>
    /// <param name="Id">One of <see cref="ActivityId"/>'s.</param>
    /// <param name="EventId">The engine's number of the event that scheduled it.</param>
    /// <param name="CancelAsked">The engine was asked to cancel it.</param>
    /// <param name="End">How it ended; null: it has not.</param>
    /// <param name="EndPlace">Where its end stands in the history.</param>
    internal sealed record Activity(string Id, long EventId, bool CancelAsked = false, TurnEvent? End = null, int EndPlace = -1);
}
