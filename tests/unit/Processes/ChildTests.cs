using System.Globalization;
using Stigmer.Processes;

namespace Stigmer.Tests.Processes;

public sealed class ChildTests
{
    static readonly Dictionary<string, string> Plain = new() { ["PATH"] = "/usr/bin:/bin" };

    static ChildSpec Shell(string script) => new() { Path = "/bin/sh", Arguments = ["-c", script], Environment = Plain };

    [Fact]
    public async Task The_output_and_the_exit_code_of_a_child_arrive()
    {
        var child = Child.Start(Shell("echo out; echo err >&2; exit 7"));
        using var reader = new StreamReader(child.Output);
        Assert.Equal("out\nerr\n", await reader.ReadToEndAsync(TestContext.Current.CancellationToken));
        Assert.Equal(new ExitStatus(7, null), await child.Exited);
    }

    [Fact]
    public async Task A_child_begins_with_its_environment_and_nothing_else()
    {
        var child = Child.Start(Shell("env | sort | grep -v -e ^PWD= -e ^SHLVL= -e ^_= -e ^OLDPWD=") with { Environment = new Dictionary<string, string> { ["PATH"] = "/usr/bin:/bin", ["A"] = "ö b" } });
        using var reader = new StreamReader(child.Output);
        Assert.Equal("A=ö b\nPATH=/usr/bin:/bin\n", await reader.ReadToEndAsync(TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Ending_a_child_ends_its_whole_group()
    {
        var child = Child.Start(Shell("sleep 1000 & echo $!; wait"));
        using var reader = new StreamReader(child.Output);
        var sleeper = ProcessIdentity.Of(int.Parse((await reader.ReadLineAsync(TestContext.Current.CancellationToken))!, CultureInfo.InvariantCulture));
        Assert.NotNull(sleeper);
        var status = await child.Terminate(TimeSpan.FromSeconds(10), TimeProvider.System);
        Assert.Equal(15, status.Signal);
        await sleeper.WaitForEnd(TimeProvider.System, TestContext.Current.CancellationToken);
        Assert.False(sleeper.IsAlive);
    }

    [Fact]
    public async Task What_a_dead_child_leaves_in_its_group_is_killed()
    {
        var child = Child.Start(Shell("sleep 1000 & echo $!; exit 0"));
        using var reader = new StreamReader(child.Output);
        var pid = int.Parse((await reader.ReadLineAsync(TestContext.Current.CancellationToken))!, CultureInfo.InvariantCulture);
        await child.Exited;
        if (ProcessIdentity.Of(pid) is { } sleeper) await sleeper.WaitForEnd(TimeProvider.System, TestContext.Current.CancellationToken);
        Assert.Null(ProcessIdentity.Of(pid));
    }

    [Fact]
    public async Task A_child_that_ignores_the_polite_signal_is_killed_after_the_grace()
    {
        var child = Child.Start(Shell("trap '' TERM; echo ready; while :; do sleep 1000; done"));
        using var reader = new StreamReader(child.Output);
        await reader.ReadLineAsync(TestContext.Current.CancellationToken);
        var status = await child.Terminate(TimeSpan.FromMilliseconds(50), TimeProvider.System);
        Assert.Equal(9, status.Signal);
    }

    [Fact]
    public async Task A_child_has_the_default_disposition_of_every_signal()
    {
        var child = Child.Start(Shell("grep -E 'Sig(Blk|Ign)' /proc/self/status | cut -f2"));
        using var reader = new StreamReader(child.Output);
        var masks = (await reader.ReadToEndAsync(TestContext.Current.CancellationToken)).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(2, masks.Length);
        // Signals 32 and 33 are the C library's own, which it never shows a program.
        Assert.All(masks, mask => Assert.Equal(0UL, ulong.Parse(mask, NumberStyles.HexNumber, CultureInfo.InvariantCulture) & 0x7fffffff));
    }

    [Fact]
    public async Task A_child_inherits_no_descriptor_but_its_own()
    {
        var child = Child.Start(Shell("for n in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do [ -e /proc/$$/fd/$n ] && printf '%s ' $n; done") with { Notifies = true, PipeInput = true });
        using var reader = new StreamReader(child.Output);
        Assert.Equal("0 1 2 3 ", await reader.ReadToEndAsync(TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task A_session_of_its_own_has_no_terminal_and_another_id_than_ours()
    {
        var child = Child.Start(Shell("cut -d' ' -f1,5,6,7 /proc/$$/stat") with { OwnSession = true });
        using var reader = new StreamReader(child.Output);
        Assert.Equal($"{child.Pid} {child.Pid} {child.Pid} 0\n", await reader.ReadToEndAsync(TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Notifications_arrive_in_order()
    {
        var child = Child.Start(Shell("printf 'PORT=123\\nREADY=1\\nSOMETHING=else\\nFAILED={\"what\":\"a\",\"why\":null,\"remedy\":\"b\",\"exitCode\":2}\\n' >&$STIGMER_NOTIFY_FD") with { Notifies = true });
        var seen = new List<Notification>();
        Notification.ReadAll(child.Notifications, seen.Add);
        await child.Exited;
        Assert.Equal(3, seen.Count);
        Assert.Equal(new Notification.Port(123), seen[0]);
        Assert.IsType<Notification.Ready>(seen[1]);
        var failure = Assert.IsType<Notification.Failed>(seen[2]).Failure;
        Assert.Equal(("a", null, "b", 2), (failure.What, failure.Why, failure.Remedy, failure.ExitCode));
    }

    [Fact]
    public void What_cannot_be_executed_is_a_failure_that_says_why()
    {
        var failure = Assert.Throws<Failure>(() => Child.Start(new ChildSpec { Path = "/nowhere/at/all", Environment = Plain }));
        Assert.Contains("No such file", failure.Why, StringComparison.Ordinal);
    }
}
