using System.Globalization;

namespace Stigmer.Processes;

/// <summary>
/// A process as a file may name it: a process id alone can come to mean another process, and after a reboot does.
/// </summary>
/// <param name="Pid">The process id.</param>
/// <param name="Start">When it started, in the system's own terms: clock ticks since boot on Linux, UTC ticks elsewhere.</param>
/// <param name="Boot">The boot that these ticks count from; empty where ticks are absolute.</param>
sealed record ProcessIdentity(int Pid, long Start, string Boot)
{
    /// <summary>The process as it is now; null where it has ended (a zombie has) or the system does not say.</summary>
    public static ProcessIdentity? Of(int pid) => OperatingSystem.IsLinux() ? LinuxProcessTable.Identity(pid) : ElsewhereIdentity(pid);

    /// <summary>This very process is alive. False also where the system does not say: what is not known is not signalled.</summary>
    public bool IsAlive => Of(Pid) == this;

    /// <summary>Asks the process to end (SIGTERM); false where it is not this process any more. On Windows kills it.</summary>
    public bool AskToEnd() => Send(kill: false);

    /// <summary>Kills the process, with its group where it leads one; false where it is not this process any more.</summary>
    public bool Kill() => Send(kill: true);

    /// <summary>
    /// Completes when the process has ended. It is nobody's child here and may be of another session, so that there is no
    /// portable event to wait for: it is looked at, ever more slowly, at most every 50 ms.
    /// </summary>
    public async Task WaitForEnd(TimeProvider time, CancellationToken cancel)
    {
        for (var pause = 2; IsAlive; pause = Math.Min(pause * 2, 50)) await Task.Delay(TimeSpan.FromMilliseconds(pause), time, cancel);
    }

    bool Send(bool kill)
    {
        if (!IsAlive) return false;
        if (OperatingSystem.IsWindows())
        {
            using var process = System.Diagnostics.Process.GetProcessById(Pid);
            process.Kill();
            return true;
        }
        // One that was stopped hears nothing before it goes on.
        if (!kill) return Libc.kill(Pid, Libc.SIGTERM) == 0 && Libc.kill(Pid, Libc.SIGCONT) == 0;
        // A group has its leader's id; there is none of that id where this process does not lead one.
        _ = Libc.kill(-Pid, Libc.SIGKILL);
        return Libc.kill(Pid, Libc.SIGKILL) == 0;
    }

    static ProcessIdentity? ElsewhereIdentity(int pid)
    {
        try
        {
            using var process = System.Diagnostics.Process.GetProcessById(pid);
            return process.HasExited ? null : new ProcessIdentity(pid, process.StartTime.ToUniversalTime().Ticks, "");
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            return null; // No such process, or one that we may not look at: not ours.
        }
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"pid {Pid}");
}
