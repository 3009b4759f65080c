using System.Globalization;
using Stigmer.Processes;

namespace Stigmer.Runtime.Supervision;

/// <summary>Where a supervised child stands. Everything that shows state reads this; only the child's own loop writes it.</summary>
/// <param name="Phase">What it is doing.</param>
/// <param name="Since">Since when it does that.</param>
/// <param name="Restarts">How often it was started again because it had died.</param>
/// <param name="Failures">Deaths in a row, without a healthy while between.</param>
/// <param name="Missed">Looks in a row at which it had not been heard of since the one before.</param>
/// <param name="WasReady">It has been ready at least once in this life of the stack.</param>
/// <param name="Pid">Its process; null: none.</param>
/// <param name="Port">Where it listens, once it has said so; kept over restarts, for it gets the same one again.</param>
/// <param name="Detail">What it said that it is doing, or how it ended last; null: nothing to tell.</param>
/// <param name="Failure">Why it cannot start, as it said itself or as the system did; null: it did not say.</param>
sealed record ChildState(
    ChildPhase Phase, Moment Since, int Restarts = 0, int Failures = 0, int Missed = 0, bool WasReady = false, int? Pid = null, int? Port = null,
    string? Detail = null, Failure? Failure = null);

/// <summary>
/// What a supervised child is doing. Unhealthy: it was ready and has not been heard of for too long. Ending: the same for so
/// much longer that it is being ended, to be replaced.
/// </summary>
enum ChildPhase { Stopped, Starting, Ready, Unhealthy, Ending, Waiting, Stopping, Failed }

/// <summary>A point in time, as people tell it and as durations are reckoned: a clock that is set must not make anything old or young.</summary>
/// <param name="Clock">The wall's.</param>
/// <param name="Running">Monotonic, from any beginning; it does not count while the machine sleeps where the system's does not.</param>
readonly record struct Moment(DateTimeOffset Clock, TimeSpan Running)
{
    /// <summary>Now.</summary>
    public static Moment Of(TimeProvider time) => new(time.GetUtcNow(), time.GetElapsedTime(0));
}

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

    /// <summary>It lives: it said so, or answered.</summary>
    public sealed record Beat : ChildEvent;

    /// <summary>The daemon looked after its children, having run for a whole <see cref="Notify.Beat"/> since the last look.</summary>
    public sealed record Looked : ChildEvent;

    /// <summary>The daemon did not run for a while, stopped or starved: of that while it can say nothing.</summary>
    public sealed record Paused : ChildEvent;

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

    /// <summary>And a little more, by chance: what died together is not to come back together, again and again.</summary>
    public sealed record WaitFor(TimeSpan Delay) : ChildAction;
}

/// <summary>When a child that died is started again, and when one that is silent is ended.</summary>
/// <param name="Healthy">As long as it has to be ready for earlier deaths to be forgotten.</param>
/// <param name="Deaths">So many in a row, without a healthy while between, and it is given up.</param>
/// <param name="Unhealthy">So many looks without having heard of it, and it is not ready any more.</param>
/// <param name="Hung">So many, and it is ended and replaced.</param>
/// <param name="HangGrace">How long one that hangs may take to end before it is killed.</param>
sealed record RestartPolicy(TimeSpan Healthy, int Deaths, int Unhealthy, int Hung, TimeSpan HangGrace)
{
    /// <summary>What every component gets. One that beats as often as it is looked after has been silent for 10 to 15 s and 15 to 20 s.</summary>
    public static readonly RestartPolicy Default = new(TimeSpan.FromSeconds(60), Deaths: 5, Unhealthy: 3, Hung: 4, TimeSpan.FromSeconds(2));

    /// <summary>At once, then 1, 2, 4 … s.</summary>
    public static TimeSpan DelayAfter(int failures) => failures <= 1 ? TimeSpan.Zero : TimeSpan.FromSeconds(Math.Pow(2, failures - 2));
}

/// <summary>The one transition function of a child: from what is and what happened to what is now and what to do.</summary>
static class ChildTransitions
{
    public static (ChildState, ChildAction?) Next(ChildState state, ChildEvent happened, RestartPolicy policy, Moment now) => (state.Phase, happened) switch
    {
        (ChildPhase.Stopped or ChildPhase.Failed, ChildEvent.StartRequested) =>
            (state with { Phase = ChildPhase.Starting, Since = now, Detail = null, Failure = null, Failures = 0, Missed = 0 }, new ChildAction.Spawn()),

        (ChildPhase.Starting, ChildEvent.Spawned e) => (state with { Pid = e.Pid, Missed = 0 }, null),
        (ChildPhase.Starting, ChildEvent.Refused e) => AfterEnd(state with { Failure = e.Why }, e.Why.Message, policy, now),
        (ChildPhase.Starting, ChildEvent.Listens e) => (state with { Port = e.Port }, null),
        (ChildPhase.Starting, ChildEvent.Ready) =>
            (state with { Phase = ChildPhase.Ready, Since = now, Missed = 0, WasReady = true, Detail = null, Failure = null }, null),
        (ChildPhase.Starting or ChildPhase.Ready, ChildEvent.Said e) => (state with { Detail = e.Text.Length == 0 ? null : e.Text }, null),
        (ChildPhase.Starting or ChildPhase.Ready or ChildPhase.Unhealthy, ChildEvent.Failed e) => (state with { Failure = e.Why, Detail = e.Why.Message }, null),

        (ChildPhase.Starting or ChildPhase.Ready, ChildEvent.Beat) => (state with { Missed = 0 }, null),
        (ChildPhase.Unhealthy, ChildEvent.Beat) => (state with { Phase = ChildPhase.Ready, Since = now, Missed = 0, Detail = null }, null),
        (ChildPhase.Starting or ChildPhase.Ready or ChildPhase.Unhealthy, ChildEvent.Paused) => (state with { Missed = 0 }, null),
        (ChildPhase.Starting or ChildPhase.Ready or ChildPhase.Unhealthy, ChildEvent.Looked) => AfterSilence(state with { Missed = state.Missed + 1 }, policy, now),

        (ChildPhase.Starting or ChildPhase.Ready or ChildPhase.Unhealthy, ChildEvent.Exited e) => AfterEnd(state, $"ended with {e.How}", policy, now),
        (ChildPhase.Ending, ChildEvent.Exited e) => AfterEnd(state, $"{state.Detail}, and was ended with {e.How}", policy, now),
        (ChildPhase.Waiting, ChildEvent.BackoffElapsed) => (state with { Phase = ChildPhase.Starting, Since = now, Missed = 0 }, new ChildAction.Spawn()),

        (ChildPhase.Starting or ChildPhase.Ready or ChildPhase.Unhealthy or ChildPhase.Ending, ChildEvent.StopRequested e) =>
            (state with { Phase = ChildPhase.Stopping, Since = now }, new ChildAction.Terminate(e.Grace)),
        (ChildPhase.Waiting, ChildEvent.StopRequested) => (state with { Phase = ChildPhase.Stopped, Since = now }, null),
        (ChildPhase.Stopping, ChildEvent.Exited or ChildEvent.Refused) => (state with { Phase = ChildPhase.Stopped, Since = now, Pid = null }, null),
        (ChildPhase.Stopping, ChildEvent.Spawned e) => (state with { Pid = e.Pid }, null),

        _ => (state, null),
    };

    static (ChildState, ChildAction?) AfterSilence(ChildState state, RestartPolicy policy, Moment now)
    {
        var silent = string.Create(CultureInfo.InvariantCulture, $"was not heard of for {(state.Missed - 1) * Notify.Beat.TotalSeconds:0} s");
        if (state.Missed >= policy.Hung)
        {
            return (Silent(state, ChildPhase.Ending), new ChildAction.Terminate(policy.HangGrace));
        }
        return (state.Phase == ChildPhase.Ready && state.Missed >= policy.Unhealthy ? Silent(state, ChildPhase.Unhealthy) : state, null);

        // What it was healthy for counts now: its end comes later.
        ChildState Silent(ChildState silentOne, ChildPhase phase) =>
            silentOne with { Phase = phase, Since = now, Detail = silent, Failures = WasHealthy(silentOne, policy, now) ? 0 : silentOne.Failures };
    }

    static (ChildState, ChildAction?) AfterEnd(ChildState state, string how, RestartPolicy policy, Moment now)
    {
        var failures = WasHealthy(state, policy, now) ? 1 : state.Failures + 1;
        how = state.Failure?.Message ?? how;
        var ended = state with { Pid = null, Since = now, Failures = failures, Missed = 0, Detail = how };
        // Before the first readiness somebody waits: what it said itself will not change by trying again.
        if (!state.WasReady && state.Failure is not null) return (ended with { Phase = ChildPhase.Failed }, null);
        if (failures >= policy.Deaths)
        {
            var times = string.Create(CultureInfo.InvariantCulture, $"given up after it ended {failures} times in a row; the last time it ");
            return (ended with { Phase = ChildPhase.Failed, Detail = state.Failure is null ? times + how : $"{times}said: {how}" }, null);
        }
        ended = ended with { Restarts = state.Restarts + 1, Failure = null };
        var delay = RestartPolicy.DelayAfter(failures);
        return delay == TimeSpan.Zero
            ? (ended with { Phase = ChildPhase.Starting }, new ChildAction.Spawn())
            : (ended with { Phase = ChildPhase.Waiting }, new ChildAction.WaitFor(delay));
    }

    static bool WasHealthy(ChildState state, RestartPolicy policy, Moment now) => state.Phase == ChildPhase.Ready && now.Running - state.Since.Running >= policy.Healthy;
}
