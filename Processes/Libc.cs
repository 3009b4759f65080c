using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace Stigmer.Processes;

/// <summary>The C library's part in processes. Numbers are those of Linux's and macOS's headers; where they differ, both stand here.</summary>
[UnsupportedOSPlatform("windows")]
static unsafe partial class Libc
{
    public const int SIGINT = 2;
    public const int SIGKILL = 9;
    public const int SIGTERM = 15;
    public static int SIGCONT => OperatingSystem.IsMacOS() ? 19 : 18;
    public const int ENOENT = 2;
    public const int EINTR = 4;
    public const int ENOTDIR = 20;

    /// <summary>Flags of posix_spawnattr_setflags, from spawn.h.</summary>
    public const short POSIX_SPAWN_SETPGROUP = 0x02;
    public const short POSIX_SPAWN_SETSIGDEF = 0x04;
    public const short POSIX_SPAWN_SETSIGMASK = 0x08;
    public const short POSIX_SPAWN_SETSID_LINUX = 0x80;
    public const short POSIX_SPAWN_SETSID_MACOS = 0x400;
    public const short POSIX_SPAWN_CLOEXEC_DEFAULT_MACOS = 0x4000;

    /// <summary>Room for posix_spawnattr_t (336 bytes with glibc), posix_spawn_file_actions_t, sigset_t (128) or siginfo_t (128).</summary>
    public const int StructSize = 512;

    /// <summary>waitid's idtype and options, from sys/wait.h.</summary>
    public const int P_ALL = 0;
    public const int P_PID = 1;
    public const int WNOHANG = 1;
    public const int WEXITED = 4;
    public static int WNOWAIT => OperatingSystem.IsMacOS() ? 0x20 : 0x01000000;

    /// <summary>prctl's options, from linux/prctl.h.</summary>
    public const int PR_SET_PDEATHSIG = 1;
    public const int PR_SET_CHILD_SUBREAPER = 36;

    [LibraryImport("libc", SetLastError = true)]
    public static partial int kill(int pid, int signal);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int waitpid(int pid, int* status, int options);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int waitid(int idType, uint id, byte* info, int options);

    [LibraryImport("libc")]
    public static partial int getppid();

    /// <summary>Waits until something happens to one of the descriptors; -1: without limit.</summary>
    [LibraryImport("libc", SetLastError = true)]
    public static partial int poll(PollDescriptor* descriptors, nuint count, int milliseconds);

    /// <summary>struct pollfd: an error or a hang-up is told without being asked for.</summary>
    public struct PollDescriptor
    {
        public int Descriptor;
        public short Events, Happened;
    }

    [LibraryImport("libc", SetLastError = true)]
    public static partial int dup2(int from, int to);

    /// <summary>Opens what exists: without O_CREAT there is no third, variadic argument.</summary>
    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int open(string path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int close(int descriptor);

    /// <summary>Waits for the lock unless told otherwise.</summary>
    [LibraryImport("libc", SetLastError = true)]
    public static partial int flock(int descriptor, int operation);

    /// <summary>flock's operation, from sys/file.h.</summary>
    public const int LOCK_EX = 2;

    /// <summary>Flags of open, from fcntl.h.</summary>
    public const int O_RDONLY = 0;
    public const int O_WRONLY = 1;
    public const int O_RDWR = 2;
    public static int O_APPEND => OperatingSystem.IsMacOS() ? 0x8 : 0x400;
    public static int O_CLOEXEC => OperatingSystem.IsMacOS() ? 0x1000000 : 0x80000;

    [LibraryImport("libc", SetLastError = true)]
    [SupportedOSPlatform("linux")]
    public static partial int fstat(int descriptor, byte* status);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    [SupportedOSPlatform("linux")]
    public static partial int stat(string path, byte* status);

    [LibraryImport("libc")]
    [SupportedOSPlatform("linux")]
    public static partial int madvise(void* address, nuint length, int advice);

    [LibraryImport("libc")]
    public static partial int posix_spawn(int* pid, byte* path, byte* fileActions, byte* attributes, byte** arguments, byte** environment);

    [LibraryImport("libc")]
    public static partial int posix_spawnattr_init(byte* attributes);

    [LibraryImport("libc")]
    public static partial int posix_spawnattr_destroy(byte* attributes);

    [LibraryImport("libc")]
    public static partial int posix_spawnattr_setflags(byte* attributes, short flags);

    [LibraryImport("libc")]
    public static partial int posix_spawnattr_setpgroup(byte* attributes, int group);

    [LibraryImport("libc")]
    public static partial int posix_spawnattr_setsigdefault(byte* attributes, byte* set);

    [LibraryImport("libc")]
    public static partial int posix_spawnattr_setsigmask(byte* attributes, byte* set);

    [LibraryImport("libc")]
    public static partial int posix_spawn_file_actions_init(byte* fileActions);

    [LibraryImport("libc")]
    public static partial int posix_spawn_file_actions_destroy(byte* fileActions);

    [LibraryImport("libc")]
    public static partial int posix_spawn_file_actions_adddup2(byte* fileActions, int from, int to);

    [LibraryImport("libc")]
    public static partial int posix_spawn_file_actions_addopen(byte* fileActions, int descriptor, byte* path, int flags, uint mode);

    [LibraryImport("libc")]
    public static partial int posix_spawn_file_actions_addchdir_np(byte* fileActions, byte* path);

    [LibraryImport("libc")]
    [SupportedOSPlatform("linux")]
    public static partial int posix_spawn_file_actions_addclosefrom_np(byte* fileActions, int from);

    [LibraryImport("libc")]
    public static partial int sigemptyset(byte* set);

    [LibraryImport("libc")]
    public static partial int sigfillset(byte* set);

    [LibraryImport("libc")]
    public static partial int pthread_sigmask(int how, byte* set, byte* previous);

    [LibraryImport("libc")]
    public static partial nint signal(int signal, nint handler);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int execve(byte* path, byte** arguments, byte** environment);

    [LibraryImport("libc", SetLastError = true)]
    [SupportedOSPlatform("linux")]
    public static partial int prctl(int option, nuint a, nuint b, nuint c, nuint d);

    /// <summary>fcntl takes its third argument as a variadic one, which Linux passes like any other and macOS on arm64 does not.</summary>
    [LibraryImport("libc", SetLastError = true)]
    [SupportedOSPlatform("linux")]
    public static partial int fcntl(int descriptor, int command, int argument);

    /// <summary>fcntl's commands on Linux.</summary>
    public const int F_SETFD_LINUX = 2;
    public const int F_DUPFD_CLOEXEC_LINUX = 1030;
    public const int FD_CLOEXEC = 1;
}
