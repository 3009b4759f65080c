using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace Stigmer.Processes;

/// <summary>Starting and reaping by posix_spawn and waitid, on Linux and macOS.</summary>
[UnsupportedOSPlatform("windows")]
static unsafe class UnixProcess
{
    /// <summary>The descriptor on which a child finds its notify pipe.</summary>
    const int NotifyDescriptor = 3;

    static readonly Lock OwnGate = new();
    static readonly HashSet<int> Own = [];

    /// <summary>Starts the process and returns its id. The handles are those ends of pipes that are the child's, -1 for none.</summary>
    public static int Start(ChildSpec spec, nint input, nint output, nint error, nint notify)
    {
        var (path, arguments) = CommandLine(spec);
        var environment = new List<string>();
        foreach (var (name, value) in spec.Environment) environment.Add($"{name}={value}");
        if (notify >= 0) environment.Add($"{Notify.Variable}={NotifyDescriptor}");

        var actions = stackalloc byte[Libc.StructSize];
        var attributes = stackalloc byte[Libc.StructSize];
        var set = stackalloc byte[Libc.StructSize];
        using var strings = new NativeStrings();
        var raised = new List<int>();
        Check(Libc.posix_spawn_file_actions_init(actions), "posix_spawn_file_actions_init");
        Check(Libc.posix_spawnattr_init(attributes), "posix_spawnattr_init");
        try
        {
            if (input >= 0) Check(Libc.posix_spawn_file_actions_adddup2(actions, Raised(input, raised), 0), "adddup2");
            else Check(Libc.posix_spawn_file_actions_addopen(actions, 0, strings.Add("/dev/null"), 0, 0), "addopen");
            var standardOutput = Raised(spec.OutputFile?.DangerousGetHandle() ?? output, raised);
            Check(Libc.posix_spawn_file_actions_adddup2(actions, standardOutput, 1), "adddup2");
            Check(Libc.posix_spawn_file_actions_adddup2(actions, error >= 0 ? Raised(error, raised) : standardOutput, 2), "adddup2");
            if (notify >= 0) Check(Libc.posix_spawn_file_actions_adddup2(actions, Raised(notify, raised), NotifyDescriptor), "adddup2");
            if (spec.WorkingDirectory is { } directory)
            {
                Check(Libc.posix_spawn_file_actions_addchdir_np(actions, strings.Add(directory)), "addchdir");
            }

            // .NET ignores SIGPIPE, and a shell's nohup or background job ignores others: a child begins with defaults and no mask.
            var flags = (short)(Libc.POSIX_SPAWN_SETSIGDEF | Libc.POSIX_SPAWN_SETSIGMASK);
            _ = Libc.sigemptyset(set);
            Check(Libc.posix_spawnattr_setsigmask(attributes, set), "setsigmask");
            _ = Libc.sigfillset(set);
            Check(Libc.posix_spawnattr_setsigdefault(attributes, set), "setsigdefault");
            if (spec.OwnSession)
            {
                flags |= OperatingSystem.IsMacOS() ? Libc.POSIX_SPAWN_SETSID_MACOS : Libc.POSIX_SPAWN_SETSID_LINUX;
            }
            else if (!spec.SharesGroup)
            {
                flags |= Libc.POSIX_SPAWN_SETPGROUP;
                Check(Libc.posix_spawnattr_setpgroup(attributes, 0), "setpgroup");
            }
            // What we inherited without wanting it (a CI runner's pipe on 5) must not live on in a child.
            if (OperatingSystem.IsMacOS()) flags |= Libc.POSIX_SPAWN_CLOEXEC_DEFAULT_MACOS;
            else if (OperatingSystem.IsLinux())
            {
                Check(Libc.posix_spawn_file_actions_addclosefrom_np(actions, notify >= 0 ? NotifyDescriptor + 1 : NotifyDescriptor), "addclosefrom");
            }
            Check(Libc.posix_spawnattr_setflags(attributes, flags), "setflags");

            int pid;
            var nativePath = strings.Add(path);
            var nativeArguments = strings.AddList([path, .. arguments]);
            var nativeEnvironment = strings.AddList(environment);
            lock (OwnGate)
            {
                Check(Libc.posix_spawn(&pid, nativePath, actions, attributes, nativeArguments, nativeEnvironment), null);
                Own.Add(pid);
            }
            return pid;
        }
        finally
        {
            _ = Libc.posix_spawn_file_actions_destroy(actions);
            _ = Libc.posix_spawnattr_destroy(attributes);
            foreach (var descriptor in raised) new Microsoft.Win32.SafeHandles.SafeFileHandle(descriptor, true).Dispose();
        }
    }

    /// <summary>Blocks until the process has ended, and leaves it unreaped: its id stays its own.</summary>
    public static void WaitForEnd(int pid)
    {
        var info = stackalloc byte[Libc.StructSize];
        while (Libc.waitid(Libc.P_PID, (uint)pid, info, Libc.WEXITED | Libc.WNOWAIT) != 0 && Marshal.GetLastPInvokeError() == Libc.EINTR)
        {
        }
    }

    /// <summary>Takes the end of a process that <see cref="WaitForEnd"/> has seen.</summary>
    public static ExitStatus Reap(int pid)
    {
        int status = 0, result;
        do result = Libc.waitpid(pid, &status, 0);
        while (result < 0 && Marshal.GetLastPInvokeError() == Libc.EINTR);
        lock (OwnGate) Own.Remove(pid);
        ReapOrphans();
        return ExitStatus.FromWait(status);
    }

    static bool adopts;

    /// <summary>
    /// As pid 1 of a container we inherit every orphan and nobody else takes their ends: do it on each SIGCHLD until the result
    /// is disposed. Our own children are left to the threads that wait for them.
    /// </summary>
    public static IDisposable AdoptOrphans()
    {
        adopts = true;
        var registration = PosixSignalRegistration.Create(PosixSignal.SIGCHLD, _ => ReapOrphans());
        ReapOrphans();
        return registration;
    }

    /// <summary>Takes the end of every child of ours that has ended. For who waits for none of them any more.</summary>
    public static void ReapEnded()
    {
        int status;
        while (Libc.waitpid(-1, &status, Libc.WNOHANG) > 0)
        {
        }
    }

    static void ReapOrphans()
    {
        if (!adopts || !OperatingSystem.IsLinux()) return;
        var info = stackalloc byte[Libc.StructSize];
        lock (OwnGate)
        {
            while (true)
            {
                // si_pid stands behind three ints and four bytes of padding on 64-bit Linux; 0 means that nobody has ended.
                *(int*)(info + 16) = 0;
                if (Libc.waitid(Libc.P_ALL, 0, info, Libc.WEXITED | Libc.WNOHANG | Libc.WNOWAIT) != 0) return;
                var pid = *(int*)(info + 16);
                // One of ours hides those behind it: its own thread reaps it now and comes here again.
                if (pid == 0 || Own.Contains(pid)) return;
                int status;
                _ = Libc.waitpid(pid, &status, Libc.WNOHANG);
            }
        }
    }

    /// <summary>
    /// Becomes another program: for <c>stigmer internal spawn</c>, which a foreign executable is started through so that the
    /// kernel kills it when the thread that started us ends. Returns only by throwing.
    /// </summary>
    /// <param name="supervisor">The process that started us; we end at once where it has died already.</param>
    /// <param name="command">The executable, absolute, and its arguments.</param>
    [SupportedOSPlatform("linux")]
    public static void Become(int supervisor, IReadOnlyList<string> command)
    {
        _ = Libc.prctl(Libc.PR_SET_PDEATHSIG, Libc.SIGKILL, 0, 0, 0);
        if (Libc.getppid() != supervisor) throw new Failure("The supervisor has gone", $"process {supervisor} is not our parent any more");
        var set = stackalloc byte[Libc.StructSize];
        _ = Libc.sigemptyset(set);
        const int SIG_SETMASK = 2, SIG_DFL = 0;
        _ = Libc.pthread_sigmask(SIG_SETMASK, set, null);
        // exec resets handlers but hands on what is ignored, and .NET ignores SIGPIPE.
        for (var signal = 1; signal <= 31; signal++) _ = Libc.signal(signal, SIG_DFL);
        using var strings = new NativeStrings();
        var environment = new List<string>();
        foreach (System.Collections.DictionaryEntry entry in Environment.GetEnvironmentVariables()) environment.Add($"{entry.Key}={entry.Value}");
        _ = Libc.execve(strings.Add(command[0]), strings.AddList(command), strings.AddList(environment));
        throw new Failure($"{command[0]} cannot be started", Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError()));
    }

    static (string Path, IReadOnlyList<string> Arguments) CommandLine(ChildSpec spec)
    {
        if (!spec.DiesWithUs || !OperatingSystem.IsLinux()) return (spec.Path, spec.Arguments);
        // What cannot be executed is to be found now, not by the helper's exit.
        if (!File.Exists(spec.Path)) throw new FileNotFoundException("No such file or directory", spec.Path);
        var self = OwnExecutable.Command(["internal", "spawn", Environment.ProcessId.ToString(System.Globalization.CultureInfo.InvariantCulture), "--", spec.Path, .. spec.Arguments]);
        return (self[0], self.Skip(1).ToArray());
    }

    /// <summary>
    /// The child's descriptors 0 to 3 are made one after the other, and a source among those numbers would be overwritten
    /// before it is used: when we were started with a closed standard input, say.
    /// </summary>
    static int Raised(nint descriptor, List<int> raised)
    {
        if (descriptor > NotifyDescriptor || !OperatingSystem.IsLinux()) return (int)descriptor;
        var higher = Libc.fcntl((int)descriptor, Libc.F_DUPFD_CLOEXEC_LINUX, 10);
        if (higher < 0) throw new IOException(Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError()));
        raised.Add(higher);
        return higher;
    }

    static void Check(int error, string? call)
    {
        if (error == 0) return;
        var message = Marshal.GetPInvokeErrorMessage(error);
        throw new IOException(call is null ? message : $"{call}: {message}");
    }

    /// <summary>UTF-8 strings in memory that the C library may read, until disposed.</summary>
    ref struct NativeStrings()
    {
        readonly List<nint> allocated = [];

        public readonly byte* Add(string text)
        {
            var pointer = Marshal.StringToCoTaskMemUTF8(text);
            allocated.Add(pointer);
            return (byte*)pointer;
        }

        public readonly byte** AddList(IReadOnlyList<string> texts)
        {
            var list = (byte**)Marshal.AllocCoTaskMem((texts.Count + 1) * sizeof(byte*));
            allocated.Add((nint)list);
            for (var i = 0; i < texts.Count; i++) list[i] = Add(texts[i]);
            list[texts.Count] = null;
            return list;
        }

        public readonly void Dispose()
        {
            foreach (var pointer in allocated) Marshal.FreeCoTaskMem(pointer);
        }
    }
}
