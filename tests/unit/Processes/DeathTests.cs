using System.Globalization;
using Stigmer.Processes;

namespace Stigmer.Tests.Processes;

public sealed class DeathTests
{
    static Dictionary<string, string> Environment_ => Environment.GetEnvironmentVariables().Cast<System.Collections.DictionaryEntry>()
        .ToDictionary(e => (string)e.Key, e => (string)e.Value!);

    [Fact]
    public async Task A_foreign_program_dies_with_the_process_that_started_it_even_when_that_is_killed()
    {
        if (!OperatingSystem.IsLinux()) return;
        var cancel = TestContext.Current.CancellationToken;
        // A shell plays the supervisor: it starts the helper as the daemon would, and leaves its group to be another one, so
        // that only the kernel's signal can end the program.
        var self = OwnExecutable.Command(["internal", "spawn"]);
        var supervisor = Child.Start(new ChildSpec
        {
            Path = "/bin/sh",
            Arguments = ["-c", $"setsid '{self[0]}' internal spawn $$ -- /bin/sh -c 'echo $$; exec sleep 1000' & wait"],
            Environment = Environment_,
        });
        using var output = new StreamReader(supervisor.Output);
        var program = ProcessIdentity.Of(int.Parse((await output.ReadLineAsync(cancel))!, CultureInfo.InvariantCulture));
        Assert.NotNull(program);
        supervisor.Kill();
        await supervisor.Exited;
        await program.WaitForEnd(TimeProvider.System, cancel);
        Assert.False(program.IsAlive);
    }

    [Fact]
    public async Task The_helper_ends_at_once_where_its_supervisor_is_another()
    {
        if (!OperatingSystem.IsLinux()) return;
        var self = OwnExecutable.Command(["internal", "spawn", "1", "--", "/bin/echo", "alive"]);
        var helper = Child.Start(new ChildSpec { Path = self[0], Arguments = [.. self.Skip(1)], Environment = Environment_ });
        using var output = new StreamReader(helper.Output);
        var said = await output.ReadToEndAsync(TestContext.Current.CancellationToken);
        Assert.Equal(1, (await helper.Exited).Code);
        Assert.DoesNotContain("alive", said, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_foreign_program_that_dies_with_us_has_our_child_s_pid_and_default_signals()
    {
        if (!OperatingSystem.IsLinux()) return;
        var child = Child.Start(new ChildSpec { Path = "/bin/sh", Arguments = ["-c", "echo $$; grep SigIgn /proc/$$/status | cut -f2"], Environment = Environment_, DiesWithUs = true });
        using var output = new StreamReader(child.Output);
        var lines = (await output.ReadToEndAsync(TestContext.Current.CancellationToken)).Split('\n');
        Assert.Equal(child.Pid.ToString(CultureInfo.InvariantCulture), lines[0]);
        Assert.Equal(0UL, ulong.Parse(lines[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture) & 0x7fffffff);
        Assert.Equal(0, (await child.Exited).Code);
    }
}
