using Stigmer.EndToEnd.Harness;

namespace Stigmer.EndToEnd;

public class ForegroundTests
{
    [Theory]
    [InlineData(15)]
    [InlineData(2)]
    public async Task A_stack_in_the_foreground_shows_its_logs_and_ends_in_order_at_a_signal(int signal)
    {
        await using var stack = Stack.Create();
        await using var running = stack.Begin("local", "--foreground").Input("");
        await running.Line(line => line.StartsWith("✓ Ready!", StringComparison.Ordinal));
        await running.Line(line => line.StartsWith("agent-runner", StringComparison.Ordinal) && line.Contains('|', StringComparison.Ordinal));
        running.Signal(signal);
        (await running.End()).Exits(0);
        Assert.Empty(stack.Processes());
    }

    [Fact]
    public async Task Stopping_ends_a_stack_in_the_foreground()
    {
        await using var stack = Stack.Create();
        await using var running = stack.Begin("local", "--foreground").Input("");
        await running.Line(line => line.StartsWith("✓ Ready!", StringComparison.Ordinal));
        (await stack.Run("local", "stop")).Exits(0);
        (await running.End()).Exits(0);
    }

    [Fact]
    public async Task A_reader_that_reads_nothing_keeps_no_stack_from_starting_and_stopping()
    {
        await using var stack = Stack.Create();
        // A pipe of 64 KB with room for the start's own lines, and for no more of the logs than a part of the first ones.
        await using var shell = Running.Start(
            "/bin/sh", ["-c", $"mkfifo pipe; exec 4<>pipe; head -c 65000 /dev/zero >&4; '{Running.Executable}' local --foreground >&4 4>&- < /dev/null; echo ended with $?"],
            stack.Environment, stack.Workspace, stack.Logs);
        while ((await stack.Run("local", "status")).ExitCode == 3) Assert.DoesNotContain("ended", shell.Printed, StringComparison.Ordinal);
        // Joins the start that is under way.
        (await stack.Run("local")).Exits(0);
        Assert.Contains("demo model", (await stack.Run("run", "Hi")).Exits(0).Out, StringComparison.Ordinal);
        (await stack.Run("local", "stop")).Exits(0);
        await shell.Line(line => line == "ended with 0");
        await shell.End();
    }

    [Fact]
    public async Task A_second_stack_of_the_same_home_is_refused()
    {
        await using var stack = await Stack.Start();
        Assert.Contains("already running", (await stack.Run("local", "--foreground")).Exits(1).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Starting_twice_at_the_same_moment_starts_one_stack()
    {
        await using var stack = Stack.Create();
        await using var first = stack.Begin("local").Input("");
        await using var second = stack.Begin("local").Input("");
        var (one, two) = ((await first.End()).Exits(0), (await second.End()).Exits(0));
        Assert.Equal(one.Lines[^1].Split(' ')[^1], two.Lines[^1].Split(' ')[^1]);
        // The daemon, the server and the runner, once each.
        Assert.Equal(3, stack.Processes().Count);
    }
}
