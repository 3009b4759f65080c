using Stigmer.Processes;
using Stigmer.Runtime.Supervision;

namespace Stigmer.Tests.Runtime;

public sealed class ChildTransitionsTests
{
    static readonly Moment Noon = new(new(2026, 1, 19, 12, 0, 0, TimeSpan.Zero), TimeSpan.FromHours(3));
    static readonly ChildEvent Killed = new ChildEvent.Exited(new ExitStatus(null, 9));

    /// <summary>A child to which a list of events happens, a second apart.</summary>
    sealed class Story
    {
        Moment now = Noon;

        public ChildState State { get; private set; } = new(ChildPhase.Stopped, Noon);

        public List<ChildAction> Actions { get; } = [];

        public Story After(params ReadOnlySpan<ChildEvent> events)
        {
            foreach (var happened in events)
            {
                now = new Moment(now.Clock.AddSeconds(1), now.Running + TimeSpan.FromSeconds(1));
                (State, var action) = ChildTransitions.Next(State, happened, RestartPolicy.Default, now);
                if (action is not null) Actions.Add(action);
            }
            return this;
        }

        public Story Later(TimeSpan time)
        {
            now = new Moment(now.Clock + time, now.Running + time);
            return this;
        }

        public Story ClockSet(TimeSpan by)
        {
            now = now with { Clock = now.Clock + by };
            return this;
        }
    }

    static Story Running() => new Story().After(new ChildEvent.StartRequested(), new ChildEvent.Spawned(7), new ChildEvent.Ready());

    [Fact]
    public void A_start_spawns_it_and_its_own_word_makes_it_ready()
    {
        var story = Running();
        Assert.Equal([new ChildAction.Spawn()], story.Actions);
        Assert.Equal((ChildPhase.Ready, 7, 0), (story.State.Phase, story.State.Pid, story.State.Restarts));
    }

    [Fact]
    public void A_child_that_dies_is_started_again_at_once()
    {
        var story = Running().After(Killed);
        Assert.Equal(new ChildAction.Spawn(), story.Actions[^1]);
        Assert.Equal((ChildPhase.Starting, 1, (int?)null), (story.State.Phase, story.State.Restarts, story.State.Pid));
        Assert.Equal("ended with signal 9 (KILL)", story.State.Detail);
    }

    [Fact]
    public void One_that_dies_again_and_again_is_started_ever_later_and_given_up_at_the_fifth_death()
    {
        var story = Running().After(Killed);
        Assert.Equal(new ChildAction.Spawn(), story.Actions[^1]);
        var delays = new List<double>();
        for (var i = 0; i < 3; i++)
        {
            story.After(new ChildEvent.Spawned(8), new ChildEvent.Ready(), Killed);
            delays.Add(Assert.IsType<ChildAction.WaitFor>(story.Actions[^1]).Delay.TotalSeconds);
            story.After(new ChildEvent.BackoffElapsed());
            Assert.Equal(new ChildAction.Spawn(), story.Actions[^1]);
        }
        Assert.Equal([1, 2, 4], delays);
        var actions = story.Actions.Count;
        story.After(new ChildEvent.Spawned(9), new ChildEvent.Ready(), new ChildEvent.Exited(new ExitStatus(7, null)));
        Assert.Equal((ChildPhase.Failed, 4, (int?)null), (story.State.Phase, story.State.Restarts, story.State.Pid));
        Assert.Equal("given up after it ended 5 times in a row; the last time it ended with exit code 7", story.State.Detail);
        Assert.Equal(actions, story.Actions.Count);
        story.After(new ChildEvent.BackoffElapsed(), new ChildEvent.Looked());
        Assert.Equal(ChildPhase.Failed, story.State.Phase);
    }

    [Fact]
    public void A_healthy_minute_lets_earlier_deaths_be_forgotten()
    {
        var story = Running().After(Killed, new ChildEvent.Spawned(8), Killed, new ChildEvent.BackoffElapsed(), new ChildEvent.Spawned(9), new ChildEvent.Ready());
        story.Later(TimeSpan.FromSeconds(60)).After(Killed);
        Assert.Equal(new ChildAction.Spawn(), story.Actions[^1]);
    }

    [Fact]
    public void Less_than_a_healthy_minute_does_not()
    {
        var story = Running().After(Killed, new ChildEvent.Spawned(8), new ChildEvent.Ready());
        story.Later(TimeSpan.FromSeconds(58)).After(Killed);
        Assert.Equal(new ChildAction.WaitFor(TimeSpan.FromSeconds(1)), story.Actions[^1]);
    }

    [Fact]
    public void What_a_child_says_before_it_was_ever_ready_is_final()
    {
        var why = new Failure("The database is newer");
        var story = new Story().After(new ChildEvent.StartRequested(), new ChildEvent.Spawned(7), new ChildEvent.Failed(why), new ChildEvent.Exited(new ExitStatus(1, null)));
        Assert.Equal(ChildPhase.Failed, story.State.Phase);
        Assert.Same(why, story.State.Failure);
        Assert.Single(story.Actions);
    }

    [Fact]
    public void What_it_says_after_it_was_ready_is_tried_again()
    {
        var story = Running().After(Killed, new ChildEvent.Spawned(8), new ChildEvent.Failed(new Failure("not yet")), new ChildEvent.Exited(new ExitStatus(1, null)));
        Assert.Equal(ChildPhase.Waiting, story.State.Phase);
        Assert.Null(story.State.Failure);
    }

    [Fact]
    public void A_child_that_never_becomes_ready_is_given_up_after_as_many_deaths()
    {
        var story = new Story().After(new ChildEvent.StartRequested(), new ChildEvent.Spawned(1), Killed);
        for (var i = 0; i < 4; i++) story.After(new ChildEvent.BackoffElapsed(), new ChildEvent.Spawned(2), Killed);
        Assert.Equal((ChildPhase.Failed, false, 4), (story.State.Phase, story.State.WasReady, story.State.Restarts));
    }

    [Fact]
    public void A_clock_that_is_set_makes_no_child_healthy_and_no_death_forgotten()
    {
        var story = Running().After(Killed, new ChildEvent.Spawned(8), new ChildEvent.Ready()).ClockSet(TimeSpan.FromDays(1)).After(Killed);
        Assert.Equal(new ChildAction.WaitFor(TimeSpan.FromSeconds(1)), story.Actions[^1]);
        story.After(new ChildEvent.BackoffElapsed(), new ChildEvent.Spawned(9), new ChildEvent.Ready()).Later(TimeSpan.FromSeconds(60)).ClockSet(TimeSpan.FromDays(-2)).After(Killed);
        Assert.Equal(new ChildAction.Spawn(), story.Actions[^1]);
    }

    static readonly ChildEvent Looked = new ChildEvent.Looked(), Beat = new ChildEvent.Beat();

    [Fact]
    public void A_silent_child_is_unhealthy_and_then_ended_and_replaced()
    {
        var story = Running().After(Looked, Looked);
        Assert.Equal(ChildPhase.Ready, story.State.Phase);
        story.After(Looked);
        Assert.Equal((ChildPhase.Unhealthy, "was not heard of for 10 s", 1), (story.State.Phase, story.State.Detail, story.Actions.Count));
        story.After(Looked);
        Assert.Equal((ChildPhase.Ending, new ChildAction.Terminate(TimeSpan.FromSeconds(2))), (story.State.Phase, story.Actions[^1]));
        // What it still says on its way out changes nothing.
        story.After(Beat, new ChildEvent.Ready(), Looked, Killed);
        Assert.Equal((ChildPhase.Starting, 1, new ChildAction.Spawn()), (story.State.Phase, story.State.Restarts, story.Actions[^1]));
        Assert.Equal("was not heard of for 15 s, and was ended with signal 9 (KILL)", story.State.Detail);
        Assert.Equal(3, story.Actions.Count);
    }

    [Fact]
    public void A_child_that_is_heard_of_between_looks_stays_and_an_unhealthy_one_is_ready_again()
    {
        var story = Running().After(Looked, Looked, Beat, Looked, Looked, Beat);
        Assert.Equal(ChildPhase.Ready, story.State.Phase);
        story.After(Looked, Looked, Looked);
        Assert.Equal(ChildPhase.Unhealthy, story.State.Phase);
        story.After(Beat);
        Assert.Equal((ChildPhase.Ready, (string?)null), (story.State.Phase, story.State.Detail));
        story.After(Looked, Looked);
        Assert.Equal((ChildPhase.Ready, 1), (story.State.Phase, story.Actions.Count));
    }

    [Fact]
    public void Of_a_while_in_which_the_daemon_itself_did_not_run_no_child_is_held_guilty()
    {
        var story = Running().After(Looked, Looked, Looked);
        Assert.Equal(ChildPhase.Unhealthy, story.State.Phase);
        story.After(new ChildEvent.Paused(), Looked, Looked, Looked);
        Assert.Single(story.Actions);
        story.After(Looked);
        Assert.Equal(ChildPhase.Ending, story.State.Phase);
    }

    [Fact]
    public void One_that_hangs_before_it_is_ready_is_ended_too()
    {
        var story = new Story().After(new ChildEvent.StartRequested(), new ChildEvent.Spawned(7), Looked, Looked, Looked);
        Assert.Equal(ChildPhase.Starting, story.State.Phase);
        story.After(Looked);
        Assert.Equal((ChildPhase.Ending, new ChildAction.Terminate(TimeSpan.FromSeconds(2))), (story.State.Phase, story.Actions[^1]));
    }

    [Fact]
    public void A_healthy_minute_before_it_hung_counts()
    {
        var story = Running().After(Killed, new ChildEvent.Spawned(8), new ChildEvent.Ready()).Later(TimeSpan.FromSeconds(60));
        story.After(Looked, Looked, Looked, Looked, Killed);
        Assert.Equal(new ChildAction.Spawn(), story.Actions[^1]);
    }

    [Fact]
    public void A_stop_ends_one_that_hangs()
    {
        var story = Running().After(Looked, Looked, Looked, Looked, new ChildEvent.StopRequested(TimeSpan.FromSeconds(10)), Killed);
        Assert.Equal((ChildPhase.Stopped, new ChildAction.Terminate(TimeSpan.FromSeconds(10))), (story.State.Phase, story.Actions[^1]));
    }

    [Fact]
    public void A_stop_terminates_it_and_its_end_is_no_reason_for_a_restart()
    {
        var story = Running().After(new ChildEvent.StopRequested(TimeSpan.FromSeconds(10)));
        Assert.Equal(new ChildAction.Terminate(TimeSpan.FromSeconds(10)), story.Actions[^1]);
        story.After(new ChildEvent.Ready(), Killed);
        Assert.Equal(ChildPhase.Stopped, story.State.Phase);
        Assert.Equal(2, story.Actions.Count);
    }

    [Fact]
    public void A_stop_while_it_waits_for_its_next_start_leaves_nothing_to_do()
    {
        var story = Running().After(Killed, new ChildEvent.Spawned(8), Killed, new ChildEvent.StopRequested(TimeSpan.Zero));
        var actions = story.Actions.Count;
        story.After(new ChildEvent.BackoffElapsed());
        Assert.Equal(ChildPhase.Stopped, story.State.Phase);
        Assert.Equal(actions, story.Actions.Count);
    }

    [Fact]
    public void The_port_outlives_the_process_that_named_it()
    {
        var story = new Story().After(new ChildEvent.StartRequested(), new ChildEvent.Spawned(7), new ChildEvent.Listens(4711), new ChildEvent.Ready(), Killed);
        Assert.Equal(4711, story.State.Port);
    }

    [Fact]
    public void A_stop_between_the_decision_to_start_it_and_the_start_does_not_shorten_its_grace()
    {
        var story = new Story().After(new ChildEvent.StartRequested(), new ChildEvent.StopRequested(TimeSpan.FromSeconds(10)), new ChildEvent.Spawned(7));
        Assert.Equal([new ChildAction.Spawn(), new ChildAction.Terminate(TimeSpan.FromSeconds(10))], story.Actions);
        Assert.Equal(ChildPhase.Stopping, story.State.Phase);
    }
}
