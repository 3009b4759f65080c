using System.IO.Pipes;
using System.Runtime.Versioning;

namespace Stigmer.Processes;

/// <summary>
/// A process that we started, in a process group of its own (a job on Windows). One thread a child starts it and then waits
/// for its end: on Linux the death signal that a child can ask for watches the thread that started it, not the process, so
/// that thread has to live as long as the child does.
/// </summary>
sealed class Child
{
    readonly ChildSpec spec;
    readonly TaskCompletionSource<ExitStatus> exited = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly Lock gate = new();
    readonly AnonymousPipeServerStream? input;
    readonly AnonymousPipeServerStream? output;
    readonly AnonymousPipeServerStream? error;
    readonly AnonymousPipeServerStream? notifications;
    WindowsProcess? windows;
    Exception? refused;
    bool gone;

    Child(ChildSpec spec)
    {
        this.spec = spec;
        var inheritability = OperatingSystem.IsWindows() ? HandleInheritability.Inheritable : HandleInheritability.None;
        if (spec.PipeInput) input = new AnonymousPipeServerStream(PipeDirection.Out, inheritability);
        if (spec.OutputFile is null) output = new AnonymousPipeServerStream(PipeDirection.In, inheritability);
        if (spec.SeparateError) error = new AnonymousPipeServerStream(PipeDirection.In, inheritability);
        if (spec.Notifies) notifications = new AnonymousPipeServerStream(PipeDirection.In, inheritability);
    }

    /// <summary>The process id, and the id of its group.</summary>
    public int Pid { get; private set; }

    /// <summary>What tells it from a later process with the same id; null where the system does not say (Linux without /proc).</summary>
    public ProcessIdentity? Identity { get; private set; }

    /// <summary>Completes when the process has ended; what was left of its group has been killed by then.</summary>
    public Task<ExitStatus> Exited => exited.Task;

    /// <summary>Our end of its standard input. Reading and writing these streams blocks: give each a thread of its own.</summary>
    public Stream Input => input ?? throw new InvalidOperationException("standard input is not a pipe");

    /// <summary>Our end of its output.</summary>
    public Stream Output => output ?? throw new InvalidOperationException("standard output is not a pipe");

    /// <summary>Our end of its standard error.</summary>
    public Stream Error => error ?? throw new InvalidOperationException("standard error has no pipe of its own");

    /// <summary>Our end of the pipe on which it reports; read it with <see cref="Notification.ReadAll"/>.</summary>
    public Stream Notifications => notifications ?? throw new InvalidOperationException("it does not notify");

    /// <summary>Starts the process. Fails with a <see cref="Failure"/> that says why the system refused.</summary>
    public static Child Start(ChildSpec spec)
    {
        var child = new Child(spec);
        using var started = new ManualResetEventSlim();
        // 256 KB are plenty for a thread that waits.
        new Thread(() => child.Live(started), 256 * 1024) { IsBackground = true, Name = $"child {Path.GetFileName(spec.Path)}" }.Start();
        started.Wait();
        if (child.refused is { } why)
        {
            throw new Failure($"{spec.Path} cannot be started", why.Message, inner: why);
        }
        return child;
    }

    /// <summary>Asks the whole group to end: SIGTERM; on Windows its standard input is closed, which our roles understand.</summary>
    public void AskToEnd()
    {
        if (OperatingSystem.IsWindows())
        {
            CloseInput();
            return;
        }
        Signal(Libc.SIGTERM);
        // One that was stopped hears nothing before it goes on.
        Signal(Libc.SIGCONT);
    }

    /// <summary>Kills the whole group.</summary>
    public void Kill()
    {
        if (OperatingSystem.IsWindows()) windows?.Kill();
        else Signal(Libc.SIGKILL);
    }

    /// <summary>Asks the whole group to end, and kills what is left of it after <paramref name="grace"/>.</summary>
    public async Task<ExitStatus> Terminate(TimeSpan grace, TimeProvider time)
    {
        AskToEnd();
        try
        {
            return await Exited.WaitAsync(grace, time);
        }
        catch (TimeoutException)
        {
            Kill();
            return await Exited;
        }
    }

    /// <summary>Closes its standard input. For one of our roles: its supervisor is gone.</summary>
    public void CloseInput() => input?.Dispose();

    /// <summary>Closes our end of its input, once it has ended. Who reads its other pipes closes them.</summary>
    public void Release() => input?.Dispose();

    /// <summary>Sends a signal to the whole group; nothing where the process has ended.</summary>
    [UnsupportedOSPlatform("windows")]
    void Signal(int signal)
    {
        lock (gate)
        {
            if (!gone) _ = Libc.kill(-Pid, signal);
        }
    }

    void Live(ManualResetEventSlim started)
    {
        try
        {
            if (OperatingSystem.IsWindows())
            {
                windows = WindowsProcess.Start(spec, Handle(input), Handle(output), Handle(error), Handle(notifications));
                Pid = windows.Pid;
            }
            else
            {
                Pid = UnixProcess.Start(spec, Handle(input), Handle(output), Handle(error), Handle(notifications));
            }
            Identity = ProcessIdentity.Of(Pid);
        }
        catch (Exception e) when (e is IOException or System.ComponentModel.Win32Exception or Failure)
        {
            refused = e;
        }
        finally
        {
            input?.DisposeLocalCopyOfClientHandle();
            output?.DisposeLocalCopyOfClientHandle();
            error?.DisposeLocalCopyOfClientHandle();
            notifications?.DisposeLocalCopyOfClientHandle();
        }
        if (refused is not null)
        {
            input?.Dispose();
            output?.Dispose();
            error?.Dispose();
            notifications?.Dispose();
            started.Set();
            return;
        }
        started.Set();
        exited.SetResult(OperatingSystem.IsWindows() ? windows!.Wait() : WaitUnix());
    }

    [UnsupportedOSPlatform("windows")]
    ExitStatus WaitUnix()
    {
        UnixProcess.WaitForEnd(Pid);
        lock (gate)
        {
            // The dead child still holds its id, so that nobody else's group can have it: what it left behind goes with it.
            _ = Libc.kill(-Pid, Libc.SIGKILL);
            gone = true;
            return UnixProcess.Reap(Pid);
        }
    }

    static nint Handle(AnonymousPipeServerStream? pipe) => pipe?.ClientSafePipeHandle.DangerousGetHandle() ?? -1;
}
