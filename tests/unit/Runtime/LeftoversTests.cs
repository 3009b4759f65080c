using System.Globalization;
using Stigmer.Config;
using Stigmer.Processes;
using Stigmer.Runtime;

namespace Stigmer.Tests.Runtime;

public sealed class LeftoversTests : IDisposable
{
    const string Boot = "boot";

    readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("stigmer-left-");
    readonly List<ProcessIdentity> started = [];

    public void Dispose()
    {
        foreach (var process in started) process.Kill();
        folder.Delete(recursive: true);
    }

    [Fact]
    public async Task What_a_dead_component_started_is_ended_by_its_mark_and_a_stranger_in_its_group_is_not()
    {
        if (!OperatingSystem.IsLinux()) return;
        var (leader, member, stranger) = await Group();
        var home = Home();
        StateFiles.WriteChildren(home.Children, new ChildrenDocument([new NamedProcess("temporal", leader, 1, Boot, home.Root)], [], "mine"));
        var found = new List<(string, ProcessIdentity)>();
        await Leftovers.End(home, TimeSpan.FromSeconds(5), (component, process) => found.Add((component, process)), TimeProvider.System, TestContext.Current.CancellationToken);
        Assert.Equal([("temporal", member)], found);
        Assert.False(member.IsAlive);
        Assert.True(stranger.IsAlive);
    }

    [Fact]
    public async Task A_copy_of_a_running_home_leaves_the_originals_processes_alone()
    {
        if (!OperatingSystem.IsLinux()) return;
        var (leader, member, _) = await Group();
        var home = Home();
        StateFiles.WriteChildren(home.Children, new ChildrenDocument([new NamedProcess("temporal", leader, 1, Boot, "/original")], [], "mine"));
        StateFiles.WriteProcess(home.TemporalPid, new NamedProcess("temporal", member.Pid, member.Start, member.Boot, "/original"));
        await Leftovers.End(home, TimeSpan.Zero, (_, process) => Assert.Fail($"{process} was found"), TimeProvider.System, TestContext.Current.CancellationToken);
        Assert.True(member.IsAlive);
    }

    [Theory]
    [InlineData("{\"children\":[{\"name\":\"temporal\",\"pid\":PID,\"start\":1,\"boot\":\"boot\",\"home\":\"HOME\"}]}")]
    [InlineData("{\"children\":[{\"name\":\"temporal\",\"pid\":PID,\"start\":1,\"boot\":\"boot\",\"home\":\"HOME\"}],\"mark\":\"theirs\"}")]
    [InlineData("{\"children\":[{\"name\":\"temporal\",\"pid\":PID,\"sta")]
    [InlineData("{\"children\":[null,{}],\"mark\":\"mine\"}")]
    [InlineData("{\"children\":null,\"mark\":\"mine\"}")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("")]
    public async Task A_file_that_names_nobody_of_ours_leads_to_no_signal(string content)
    {
        if (!OperatingSystem.IsLinux()) return;
        var (leader, member, _) = await Group();
        var home = Home();
        await File.WriteAllTextAsync(home.Children, content.Replace("HOME", home.Root, StringComparison.Ordinal).Replace("PID", leader.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal), TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(home.TemporalPid, member.Pid.ToString(CultureInfo.InvariantCulture), TestContext.Current.CancellationToken);
        await Leftovers.End(home, TimeSpan.Zero, (_, process) => Assert.Fail($"{process} was found"), TimeProvider.System, TestContext.Current.CancellationToken);
        Assert.True(member.IsAlive);
    }

    /// <summary>A group whose leader has ended, with a member that bears the mark and one that does not.</summary>
    async Task<(int Leader, ProcessIdentity Member, ProcessIdentity Stranger)> Group()
    {
        const string Members = "sleep 1000 > /dev/null 2>&1 & m=$!; env -u STIGMER_STACK sleep 1000 > /dev/null 2>&1 & echo $$ $m $!";
        var shell = Child.Start(new ChildSpec
        {
            Path = "/bin/sh",
            // Out of our own group, which is ended with its leader.
            Arguments = ["-c", $"setsid /bin/sh -c '{Members}'"],
            Environment = new Dictionary<string, string> { ["PATH"] = "/usr/bin:/bin", [Leftovers.Mark] = "mine" },
        });
        using var output = new StreamReader(shell.Output);
        var pids = (await output.ReadLineAsync(TestContext.Current.CancellationToken))!.Split(' ').Select(p => int.Parse(p, CultureInfo.InvariantCulture)).ToArray();
        var (member, stranger) = (ProcessIdentity.Of(pids[1])!, ProcessIdentity.Of(pids[2])!);
        started.AddRange([member, stranger]);
        // `env` becomes sleep a moment after it was started; until then its environment is the shell's.
        await output.ReadToEndAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, (await shell.Exited).Code);
        while ((await File.ReadAllTextAsync($"/proc/{pids[2]}/environ", TestContext.Current.CancellationToken)).Contains(Leftovers.Mark, StringComparison.Ordinal)) await Task.Yield();
        return (pids[0], member, stranger);
    }

    StigmerHome Home()
    {
        var home = new StigmerHome(folder.FullName);
        StigmerHome.Ensure(home.Run);
        return home;
    }
}
