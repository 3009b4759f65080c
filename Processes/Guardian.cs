using System.Collections;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using System.Text;

namespace Stigmer.Processes;

/// <summary>
/// <c>stigmer internal guard</c>: stands between us and a foreign program that we start (<see cref="GuardedProcess"/>), leads its
/// process group, and ends with it whatever the program started, also what left the group, once the program has ended or we have:
/// the pipe on which it would tell us breaks, however we ended.
/// </summary>
[UnsupportedOSPlatform("windows")]
static unsafe class Guardian
{
    /// <summary>How the program ended, as a line on the pipe: a code, or a minus and a signal.</summary>
    internal const string Ended = "ENDED=";

    /// <summary>How long what was asked to end may take. A cancelled run is to be over within a second.</summary>
    static readonly TimeSpan Grace = TimeSpan.FromMilliseconds(300);

    /// <summary>How long what was killed may take: a process in the middle of a disk's work cannot be.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>Runs the program and guards it.</summary>
    /// <param name="command">The executable, absolute, and its arguments.</param>
    public static int Run(IReadOnlyList<string> command)
    {
        if (!int.TryParse(Environment.GetEnvironmentVariable(Notify.Variable), NumberStyles.None, CultureInfo.InvariantCulture, out var pipe))
        {
            throw new Failure("`stigmer internal guard` is not for people", "it has no pipe to report on", null, ExitCode.Usage);
        }
        // What is meant for the program reaches the whole group: we are the last to go.
        var ignored = new[] { PosixSignal.SIGTERM, PosixSignal.SIGINT, PosixSignal.SIGHUP, PosixSignal.SIGQUIT }
            .Select(signal => PosixSignalRegistration.Create(signal, context => context.Cancel = true)).ToList();
        if (OperatingSystem.IsLinux())
        {
            _ = Libc.fcntl(pipe, Libc.F_SETFD_LINUX, Libc.FD_CLOEXEC);
            // What leaves the group still has us for its parent when its own has gone.
            _ = Libc.prctl(Libc.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        }
        using var orphans = UnixProcess.AdoptOrphans();
        var spec = new ChildSpec { Path = command[0], Arguments = [.. command.Skip(1)], Environment = OwnEnvironment(), SharesGroup = true, DiesWithUs = true };
        var program = UnixProcess.Start(spec, 0, 1, 2, -1);
        Silence();

        using var over = new ManualResetEventSlim();
        new Thread(() => Watch(pipe, over), 256 * 1024) { IsBackground = true, Name = "starter" }.Start();
        // On this thread: the kernel ends the program with the thread that started it.
        UnixProcess.WaitForEnd(program);
        var status = UnixProcess.Reap(program);
        over.Set();
        Kill();
        // None is left for whoever inherits it, who may never look.
        UnixProcess.ReapEnded();
        // Where nobody listens, nobody kills what is left of the group, either: it goes with us.
        if (!Tell(pipe, status)) _ = Libc.kill(-Environment.ProcessId, Libc.SIGKILL);
        GC.KeepAlive(ignored);
        return ExitCode.Done;
    }

    /// <summary>Waits until nobody listens on the pipe any more; then asks all to end, and kills after the grace what still lives.</summary>
    static void Watch(int pipe, ManualResetEventSlim over)
    {
        var descriptor = new Libc.PollDescriptor { Descriptor = pipe };
        while (Libc.poll(&descriptor, 1, -1) < 0 && Marshal.GetLastPInvokeError() == Libc.EINTR)
        {
        }
        var self = Environment.ProcessId;
        _ = Libc.kill(-self, Libc.SIGTERM);
        _ = Libc.kill(-self, Libc.SIGCONT);
        foreach (var pid in Descendants()) _ = Libc.kill(pid, Libc.SIGTERM);
        if (over.Wait(Grace)) return;
        Kill();
        // Without /proc they are not found one by one: then the group goes, and we with it.
        if (!over.Wait(Grace)) _ = Libc.kill(-self, Libc.SIGKILL);
    }

    static void Kill()
    {
        var began = Environment.TickCount64;
        // Again for what was started meanwhile; nobody tells of the end of what is not our own child.
        while (Descendants() is { Count: > 0 } alive && Environment.TickCount64 - began < Patience.TotalMilliseconds)
        {
            foreach (var pid in alive) _ = Libc.kill(pid, Libc.SIGKILL);
            Thread.Sleep(2);
        }
    }

    static IReadOnlyList<int> Descendants() => OperatingSystem.IsLinux() ? LinuxProcessTable.DescendantsOf(Environment.ProcessId) : [];

    static Dictionary<string, string> OwnEnvironment()
    {
        var own = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (DictionaryEntry entry in Environment.GetEnvironmentVariables()) own[(string)entry.Key] = (string)entry.Value!;
        own.Remove(Notify.Variable);
        return own;
    }

    /// <summary>Our copies of the program's pipes would keep them open when it has closed its own.</summary>
    static void Silence()
    {
        var nothing = Libc.open("/dev/null", Libc.O_RDWR | Libc.O_CLOEXEC);
        if (nothing < 0) return;
        for (var descriptor = 0; descriptor <= 2; descriptor++) _ = Libc.dup2(nothing, descriptor);
        _ = Libc.close(nothing);
    }

    /// <summary>False: nobody listens.</summary>
    static bool Tell(int pipe, ExitStatus status)
    {
        try
        {
            using var stream = new FileStream(new Microsoft.Win32.SafeHandles.SafeFileHandle(pipe, ownsHandle: false), FileAccess.Write, bufferSize: 0);
            stream.Write(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{Ended}{status.Code ?? -status.Signal}\n")));
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }
}
