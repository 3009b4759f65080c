using Stigmer.Processes;

namespace Stigmer.Runtime.Supervision;

/// <summary>Where a supervised child stands. Everything that shows state reads this; only the child's own loop writes it.</summary>
/// <param name="Phase">What it is doing.</param>
/// <param name="Since">Since when it does that.</param>
/// <param name="Restarts">How often it was started again because it had died.</param>
/// <param name="Failures">Deaths in a row, without a healthy while between.</param>
/// <param name="WasReady">It has been ready at least once in this life of the stack.</param>
/// <param name="Pid">Its process; null: none.</param>
/// <param name="Port">Where it listens, once it has said so; kept over restarts, for it gets the same one again.</param>
/// <param name="Detail">What it said that it is doing, or how it ended last; null: nothing to tell.</param>
/// <param name="Failure">Why it cannot start, as it said itself or as the system did; null: it did not say.</param>
sealed record ChildState(
    ChildPhase Phase, DateTimeOffset Since, int Restarts = 0, int Failures = 0, bool WasReady = false, int? Pid = null, int? Port = null,
    string? Detail = null, Failure? Failure = null);

/// <summary>What a supervised child is doing.</summary>
enum ChildPhase { Stopped, Starting, Ready, Waiting, Stopping, Failed }

/// <summary>What happened to a child.</summary>
abstract record ChildEvent
{
    ChildEvent()
    {
    }

    public sealed record StartRequested : ChildEvent;

    public sealed record Spawned(int Pid) : ChildEvent;

    /// <summary>The system refused to start it.</summary>
    public sealed record Refused(Failure Why) : ChildEvent;

    public sealed record Listens(int Port) : ChildEvent;

    public sealed record Ready : ChildEvent;

    /// <summary>It said what it is doing.</summary>
    public sealed record Said(string Text) : ChildEvent;

    /// <summary>It said why it cannot start or go on; its end follows.</summary>
    public sealed record Failed(Failure Why) : ChildEvent;

    public sealed record Exited(ExitStatus How) : ChildEvent;

    public sealed record BackoffElapsed : ChildEvent;

    public sealed record StopRequested(TimeSpan Grace) : ChildEvent;
}

/// <summary>What has to be done because of it.</summary>
abstract record ChildAction
{
    ChildAction()
    {
    }

    public sealed record Spawn : ChildAction;

    public sealed record Terminate(TimeSpan Grace) : ChildAction;

    public sealed record WaitFor(TimeSpan Delay) : ChildAction;
}

/// <summary>When a child that died is started again.</summary>
/// <param name="Healthy">As long as it has to be ready for earlier deaths to be forgotten.</param>
/// <param name="LongestDelay">The most that is waited between two starts.</param>
/// <param name="FirstAttempts">How often it may die before it was ready for the first time.</param>
sealed record RestartPolicy(TimeSpan Healthy, TimeSpan LongestDelay, int FirstAttempts)
{
    /// <summary>What every component gets.</summary>
    public static readonly RestartPolicy Default = new(TimeSpan.FromSeconds(60), TimeSpan.FromSeconds(30), FirstAttempts: 3);

    /// <summary>At once, then 1, 2, 4 … s.</summary>
    public TimeSpan DelayAfter(int failures) =>
        failures <= 1 ? TimeSpan.Zero : TimeSpan.FromSeconds(Math.Min(Math.Pow(2, failures - 2), LongestDelay.TotalSeconds));
}

/// <summary>The one transition function of a child: from what is and what happened to what is now and what to do.</summary>
static class ChildTransitions
{
    public static (ChildState, ChildAction?) Next(ChildState state, ChildEvent happened, RestartPolicy policy, DateTimeOffset now) => (state.Phase, happened) switch
    {
        (ChildPhase.Stopped or ChildPhase.Failed, ChildEvent.StartRequested) =>
            (state with { Phase = ChildPhase.Starting, Since = now, Detail = null, Failure = null, Failures = 0 }, new ChildAction.Spawn()),

        (ChildPhase.Starting, ChildEvent.Spawned e) => (state with { Pid = e.Pid }, null),
        (ChildPhase.Starting, ChildEvent.Refused e) => AfterEnd(state with { Failure = e.Why }, e.Why.Message, policy, now),
        (ChildPhase.Starting, ChildEvent.Listens e) => (state with { Port = e.Port }, null),
        (ChildPhase.Starting, ChildEvent.Ready) =>
            (state with { Phase = ChildPhase.Ready, Since = now, WasReady = true, Detail = null, Failure = null }, null),
        (ChildPhase.Starting or ChildPhase.Ready, ChildEvent.Said e) => (state with { Detail = e.Text.Length == 0 ? null : e.Text }, null),
        (ChildPhase.Starting or ChildPhase.Ready, ChildEvent.Failed e) => (state with { Failure = e.Why, Detail = e.Why.Message }, null),
        (ChildPhase.Starting or ChildPhase.Ready, ChildEvent.Exited e) => AfterEnd(state, $"ended with {e.How}", policy, now),
        (ChildPhase.Waiting, ChildEvent.BackoffElapsed) => (state with { Phase = ChildPhase.Starting, Since = now }, new ChildAction.Spawn()),

        (ChildPhase.Starting or ChildPhase.Ready, ChildEvent.StopRequested e) =>
            (state with { Phase = ChildPhase.Stopping, Since = now }, new ChildAction.Terminate(e.Grace)),
        (ChildPhase.Waiting, ChildEvent.StopRequested) => (state with { Phase = ChildPhase.Stopped, Since = now }, null),
        (ChildPhase.Stopping, ChildEvent.Exited or ChildEvent.Refused) => (state with { Phase = ChildPhase.Stopped, Since = now, Pid = null }, null),
        (ChildPhase.Stopping, ChildEvent.Spawned e) => (state with { Pid = e.Pid }, null),

        _ => (state, null),
    };

    static (ChildState, ChildAction?) AfterEnd(ChildState state, string how, RestartPolicy policy, DateTimeOffset now)
    {
        var recovered = state.Phase == ChildPhase.Ready && now - state.Since >= policy.Healthy;
        var failures = recovered ? 1 : state.Failures + 1;
        var ended = state with { Pid = null, Since = now, Failures = failures, Detail = state.Failure?.Message ?? how };
        // Before the first readiness somebody waits: what it said itself will not change by trying again.
        if (!state.WasReady && (state.Failure is not null || failures >= policy.FirstAttempts)) return (ended with { Phase = ChildPhase.Failed }, null);
        var delay = policy.DelayAfter(failures);
        ended = ended with { Restarts = state.Restarts + 1, Failure = null };
        return delay == TimeSpan.Zero
            ? (ended with { Phase = ChildPhase.Starting }, new ChildAction.Spawn())
            : (ended with { Phase = ChildPhase.Waiting }, new ChildAction.WaitFor(delay));
    }
}
