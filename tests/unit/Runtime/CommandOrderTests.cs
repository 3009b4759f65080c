using Stigmer.Config;
using Stigmer.Processes;
using Stigmer.Runtime;

namespace Stigmer.Tests.Runtime;

public sealed class CommandOrderTests : IDisposable
{
    readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("stigmer-order-");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public void A_start_gives_way_to_a_stop_that_was_given_later_and_to_no_other()
    {
        var home = new StigmerHome(folder.FullName);
        var start = new CommandOrder("boot", 100, 7);
        Assert.False(start.IsBeforeAStop(home));
        // Without a home there is nothing to stop, and none is made.
        new CommandOrder("boot", 200, 8).NoteStop(home);
        Assert.False(Directory.Exists(home.Run));

        home.EnsureRun();
        File.WriteAllText(home.Stops, "garbage\nboot 999\n");
        new CommandOrder("boot", 99, 9).NoteStop(home);
        new CommandOrder("boot", 100, 6).NoteStop(home);
        new CommandOrder("another", 200, 8).NoteStop(home);
        start.NoteStop(home);
        Assert.False(start.IsBeforeAStop(home));
        new CommandOrder("boot", 100, 8).NoteStop(home);
        Assert.True(start.IsBeforeAStop(home));
    }

    [Fact]
    public void What_is_given_now_comes_after_the_start_of_this_process()
    {
        if (!OperatingSystem.IsLinux()) return;
        var (begun, now) = (CommandOrder.OfThisProcess(), CommandOrder.Now());
        Assert.NotNull(begun);
        Assert.True(now!.IsAfter(begun));
    }

    [Fact]
    public void The_holder_of_a_lock_is_found_among_those_of_other_files()
    {
        const string Locks = """
            1: POSIX  ADVISORY  WRITE 11 fe:00:884738 0 EOF
            2: FLOCK  ADVISORY  READ 12 fe:00:884738 0 EOF
            2: -> FLOCK  ADVISORY  WRITE 13 fe:00:884738 0 EOF
            3: FLOCK  ADVISORY  WRITE 14 fe:00:884739 0 EOF
            4: FLOCK  ADVISORY  WRITE 15 fe:00:884738 0 EOF
            """;
        Assert.Equal([15], LinuxProcessTable.LockHolders(Locks, 884738));
        if (!OperatingSystem.IsLinux()) return;
        var home = new StigmerHome(folder.FullName);
        home.EnsureRun();
        using (DaemonLock.TryTake(home)) Assert.Equal(Environment.ProcessId, DaemonLock.Holder(home)?.Pid);
        Assert.Null(DaemonLock.Holder(home));
    }
}
