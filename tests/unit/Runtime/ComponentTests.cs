using Microsoft.Extensions.Time.Testing;
using Stigmer.Processes;
using Stigmer.Runtime.Logs;
using Stigmer.Runtime.Supervision;

namespace Stigmer.Tests.Runtime;

/// <summary>Components whose processes are shells; time goes on when a test says so.</summary>
public sealed class ComponentTests : IDisposable
{
    readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("stigmer-component-");
    readonly FakeTimeProvider time = new();
    readonly List<string> told = [];
    LogFile? output;

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        output?.Dispose();
        folder.Delete(recursive: true);
    }

    [Fact]
    public async Task A_component_that_stops_beating_is_ended_and_replaced()
    {
        if (OperatingSystem.IsWindows()) return;
        var component = Component("echo READY=1 >&3; exec sleep 1000");
        component.Start();
        var first = (await component.Until(s => s.Phase == ChildPhase.Ready, Cancel)).Pid!.Value;
        // Stopped as by a terminal or a debugger: to the polite signal alone it would be deaf.
        Assert.Equal(0, Libc.kill(first, 19));
        for (var look = 0; look < 3; look++) component.Look(ran: true);
        await component.Until(s => s.Phase == ChildPhase.Unhealthy, Cancel);
        component.Look(ran: true);
        var second = await component.Until(s => s.Phase == ChildPhase.Ready && s.Pid != first, Cancel);
        Assert.Equal(1, second.Restarts);
        Assert.Null(ProcessIdentity.Of(first));
        await component.Stop(TimeSpan.FromSeconds(5));
    }

    [Fact]
    public async Task A_component_without_beats_is_asked_and_lives_as_long_as_it_answers()
    {
        if (OperatingSystem.IsWindows()) return;
        var answers = new SemaphoreSlim(0);
        var asked = new SemaphoreSlim(0);
        var component = Component("exec sleep 1000", whenReady: _ => Task.CompletedTask, health: async cancel =>
        {
            asked.Release();
            await answers.WaitAsync(cancel);
        });
        component.Start();
        var first = (await component.Until(s => s.Phase == ChildPhase.Ready, Cancel)).Pid;
        for (var look = 0; look < 6; look++)
        {
            component.Look(ran: true);
            await asked.WaitAsync(Cancel);
            answers.Release();
            await component.Until(s => s.Missed == 0, Cancel);
        }
        Assert.Equal((ChildPhase.Ready, first), (component.State.Phase, component.State.Pid));
        for (var look = 0; look < 4; look++) component.Look(ran: true);
        Assert.Equal(1, (await component.Until(s => s.Phase == ChildPhase.Ready && s.Pid != first, Cancel)).Restarts);
        await component.Stop(TimeSpan.FromSeconds(5));
    }

    [Fact]
    public async Task One_that_cannot_stay_alive_is_given_up_with_how_it_ended_and_its_last_words()
    {
        if (OperatingSystem.IsWindows()) return;
        var component = Component("for n in $(seq 30); do echo line $n; done; exit 7");
        component.Start();
        // Each wait is a little longer than its back-off, by chance.
        for (var waits = 1; waits <= 3; waits++)
        {
            await component.Until(s => s.Phase == ChildPhase.Waiting && s.Failures == waits + 1, Cancel);
            time.Advance(TimeSpan.FromSeconds(5));
        }
        var failure = await Assert.ThrowsAsync<Failure>(() => component.UntilReady(Cancel));
        Assert.Equal("test does not start", failure.What);
        Assert.Contains("ended 5 times in a row; the last time it ended with exit code 7", failure.Why, StringComparison.Ordinal);
        Assert.Contains("\n    line 11\n", failure.Why, StringComparison.Ordinal);
        Assert.EndsWith("\n    line 30", failure.Why, StringComparison.Ordinal);
        Assert.DoesNotContain("line 10\n", failure.Why, StringComparison.Ordinal);
        await component.Stop(TimeSpan.Zero);
        Assert.Equal(5, told.Count(pid => pid != "none"));
        Assert.Equal("none", told[^1]);
    }

    Component Component(string script, Func<CancellationToken, Task>? whenReady = null, Func<CancellationToken, Task>? health = null)
    {
        output = new LogFile(Path.Combine(folder.FullName, "test.log"));
        var spec = new ComponentSpec
        {
            Name = "test",
            WhenReady = whenReady,
            Health = health,
            Child = _ => new ChildSpec
            {
                Path = "/bin/sh",
                Arguments = ["-c", script],
                Environment = new Dictionary<string, string> { ["PATH"] = "/usr/bin:/bin" },
                Notifies = whenReady is null,
            },
        };
        return new Component(spec, output, new Log("daemon", TextWriter.Null, time), time, c => told.Add(c.Child?.Pid.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "none"));
    }
}

public sealed class PulseTests
{
    [Fact]
    public void A_pulse_tells_whether_the_daemon_ran_since_the_last_one()
    {
        var time = new Stalling();
        var ticks = new List<bool>();
        using var pulse = new Pulse(TimeSpan.FromSeconds(5), time, ticks.Add);
        time.Ticks(after: 5);
        time.Ticks(after: 5);
        Assert.Equal([true, true], ticks);
        // Stopped for a minute: the tick that was due comes late, and the next ones at once.
        time.Ticks(after: 60);
        time.Ticks(after: 0);
        Assert.Equal([true, true, false], ticks);
        time.Ticks(after: 5);
        Assert.Equal([true, true, false, true], ticks);
    }

    /// <summary>A clock whose timers go off when the test says so, however late.</summary>
    sealed class Stalling : TimeProvider
    {
        TimerCallback? callback;
        long now;

        public void Ticks(int after)
        {
            now += after;
            callback!(null);
        }

        public override long TimestampFrequency => 1;

        public override long GetTimestamp() => now;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            this.callback = callback;
            return new None();
        }

        sealed class None : ITimer
        {
            public bool Change(TimeSpan dueTime, TimeSpan period) => true;

            public void Dispose()
            {
            }

            public ValueTask DisposeAsync() => default;
        }
    }
}
