using Stigmer.Rpc;

namespace Stigmer.Agents.Loop;

/// <summary>What <see cref="Decider"/> wants of the engine.</summary>
abstract record TurnCommand
{
    /// <summary>Hands an activity to the engine.</summary>
    /// <param name="Activity">Its id, one of <see cref="ActivityId"/>'s.</param>
    /// <param name="Queue">Where it is to be worked on.</param>
    /// <param name="Task">Its input: decides its type, too.</param>
    /// <param name="StartToClose">The net under one attempt, for an activity ends itself at what is left of the run's time.</param>
    internal sealed record Schedule(string Activity, string Queue, ActivityTask Task, TimeSpan StartToClose) : TurnCommand;

    /// <summary>Asks the engine to cancel an activity.</summary>
    internal sealed record RequestCancel(string Activity, long ScheduledEventId) : TurnCommand;

    /// <summary>Closes the workflow: the turn is closed in the database, or belongs to another workflow.</summary>
    internal sealed record Complete : TurnCommand;

    /// <summary>Closes the workflow as cancelled.</summary>
    internal sealed record Cancel : TurnCommand;

    /// <summary>Closes the workflow as failed, where even EndTurn failed; the server sees it and gives the turn a new life.</summary>
    internal sealed record Fail(TurnError Error) : TurnCommand;

    /// <summary>Closes the workflow and goes on in a new one, with an empty history.</summary>
    internal sealed record ContinueAsNew(TurnInput Input) : TurnCommand;
}
