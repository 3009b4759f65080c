using System.Globalization;

namespace Stigmer.Processes;

/// <summary>
/// A foreign program whose whole tree of processes ends with it, when we say so, and with us, whatever ends us. On Windows its
/// job object sees to that; elsewhere a <see cref="Guardian"/>, which leads its group.
/// </summary>
sealed class GuardedProcess
{
    /// <summary>How long the guardian, which gives what it ends a moment, may take before the group is killed without it.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(8);

    readonly Child child;
    int ending;

    GuardedProcess(Child child)
    {
        this.child = child;
        Exited = WaitForEnd();
    }

    /// <summary>Who leads the group, whose id is that of the group; null where the system does not say.</summary>
    public ProcessIdentity? Leader => child.Identity;

    /// <summary>Our end of its standard input. As with <see cref="Child"/>, reading and writing block.</summary>
    public Stream Input => child.Input;

    /// <summary>Our end of its output.</summary>
    public Stream Output => child.Output;

    /// <summary>Our end of its standard error.</summary>
    public Stream Error => child.Error;

    /// <summary>Completes when the program has ended and nothing is left of what it started.</summary>
    public Task<ExitStatus> Exited { get; }

    /// <summary>Starts the program. Fails with a <see cref="Failure"/> that says why the system refused.</summary>
    /// <param name="spec">Its path is absolute; it does not notify.</param>
    public static GuardedProcess Start(ChildSpec spec)
    {
        if (OperatingSystem.IsWindows()) return new GuardedProcess(Child.Start(spec));
        if (!File.Exists(spec.Path)) throw new Failure($"{spec.Path} cannot be started", "there is no such file");
        if (spec.WorkingDirectory is { } folder && !Directory.Exists(folder)) throw new Failure($"{spec.Path} cannot be started", $"there is no folder {folder} to start it in");
        var guard = OwnExecutable.Command(["internal", "guard", "--", spec.Path, .. spec.Arguments]);
        return new GuardedProcess(Child.Start(spec with { Path = guard[0], Arguments = [.. guard.Skip(1)], Notifies = true }));
    }

    /// <summary>Asks the program and all that it started to end, kills after a moment what is left, and waits for that.</summary>
    public async Task<ExitStatus> End(TimeProvider time)
    {
        if (Interlocked.Exchange(ref ending, 1) == 0)
        {
            if (OperatingSystem.IsWindows()) child.Kill();
            else child.Notifications.Dispose();
        }
        try
        {
            return await Exited.WaitAsync(Patience, time);
        }
        catch (TimeoutException)
        {
            // A guardian that was stopped, say.
            child.Kill();
            return await Exited;
        }
    }

    async Task<ExitStatus> WaitForEnd()
    {
        var status = await child.Exited;
        child.Release();
        if (OperatingSystem.IsWindows() || Interlocked.Exchange(ref ending, 1) != 0) return status;
        using var notifications = child.Notifications;
        using var reader = new StreamReader(notifications);
        // The guardian has ended, so that there is no more than what is in the pipe already.
        while (await reader.ReadLineAsync() is { } line)
        {
            if (line.StartsWith(Guardian.Ended, StringComparison.Ordinal) && int.TryParse(line.AsSpan(Guardian.Ended.Length), CultureInfo.InvariantCulture, out var code))
            {
                return code >= 0 ? new ExitStatus(code, null) : new ExitStatus(null, -code);
            }
        }
        return status;
    }
}
