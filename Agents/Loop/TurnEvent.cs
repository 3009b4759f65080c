using Stigmer.Rpc;

namespace Stigmer.Agents.Loop;

/// <summary>
/// What matters of a workflow's history, in its order. Retries of an activity and the number of workflow tasks leave no
/// trace here, since nothing may be decided by them.
/// </summary>
abstract record TurnEvent
{
    /// <summary>An activity was handed to the engine.</summary>
    /// <param name="Activity">Its id, one of <see cref="ActivityId"/>'s.</param>
    /// <param name="EventId">The engine's number of this event, by which a cancel names the activity.</param>
    internal sealed record Scheduled(string Activity, long EventId) : TurnEvent;

    /// <summary>The engine was asked to cancel the activity.</summary>
    internal sealed record CancelAsked(string Activity) : TurnEvent;

    /// <summary>OpenTools has answered.</summary>
    internal sealed record ToolsOpened(string Activity, ToolReport Report) : TurnEvent;

    /// <summary>CallModel has answered.</summary>
    internal sealed record ModelAnswered(string Activity, ModelReport Report) : TurnEvent;

    /// <summary>CallTool has answered.</summary>
    internal sealed record ToolAnswered(string Activity, ToolReport Report) : TurnEvent;

    /// <summary>EndTurn has answered.</summary>
    internal sealed record EndAnswered(string Activity, EndReport Report) : TurnEvent;

    /// <summary>The activity failed for good: no further attempt follows.</summary>
    internal sealed record Failed(string Activity, TurnError Error) : TurnEvent;

    /// <summary>The activity timed out for good, which only happens to one that was being cancelled.</summary>
    internal sealed record TimedOut(string Activity) : TurnEvent;

    /// <summary>The activity ended by being cancelled.</summary>
    internal sealed record Canceled(string Activity) : TurnEvent;

    /// <summary>A row was written for this run.</summary>
    internal sealed record Rang(Bell Bell) : TurnEvent;

    /// <summary>The engine was asked to cancel the workflow.</summary>
    internal sealed record CancelRequested : TurnEvent;

    /// <summary>A workflow task began; whether the engine finds the history long enough to begin a new one.</summary>
    internal sealed record TaskStarted(bool SuggestsContinueAsNew) : TurnEvent;
}

/// <summary>The ids of activities, made from the step and the slot that they work on: never from a clock or from chance.</summary>
static class ActivityId
{
    /// <summary>OpenTools, once a turn.</summary>
    public const string OpenTools = "tools";

    /// <summary>The model call of a step.</summary>
    public static string Model(int step) => $"model-{step}";

    /// <summary>A tool call of a step.</summary>
    public static string Tool(int step, int slot) => $"tool-{step}-{slot}";

    /// <summary>The end of the turn in, or before, a step.</summary>
    public static string End(int step) => $"end-{step}";
}
