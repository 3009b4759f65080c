using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;

namespace Stigmer.Agents.Tools;

/// <summary>Files on macOS; numbers from sys/fcntl.h.</summary>
[SupportedOSPlatform("macos")]
static unsafe partial class MacFiles
{
    const int ReadOnly = 0;
    const int NonBlocking = 0x4;
    const int NoFollow = 0x100;
    const int NoTerminal = 0x20000;
    const int CloseOnExec = 0x1000000;
    const int GetPath = 50;
    const int MaxPath = 1024;

    /// <summary>The size of struct stat, rounded up, and where its st_mode stands (after the 32 bits of st_dev).</summary>
    const int StatSize = 256;
    const int ModeOffset = 4;

    /// <summary>What the path itself names; a link is neither file nor folder.</summary>
    public static EntryKind KindOf(string real)
    {
        var found = stackalloc byte[StatSize];
        var answer = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? LStat(real, found) : LStatInode64(real, found);
        return answer == 0 ? UnixFiles.KindOf(*(ushort*)(found + ModeOffset)) : EntryKind.Other;
    }

    /// <summary>Opens without following a link at the end of the path and without waiting.</summary>
    public static SafeFileHandle Open(string real)
    {
        var descriptor = UnixFiles.Open(real, ReadOnly | NonBlocking | NoFollow | NoTerminal | CloseOnExec);
        return descriptor < 0 ? throw UnixFiles.LastError() : new SafeFileHandle(descriptor, ownsHandle: true);
    }

    /// <summary>Where the open file is.</summary>
    public static string? PathOf(SafeFileHandle handle)
    {
        var path = stackalloc byte[MaxPath];
        // fcntl is variadic, and on arm64 such arguments go over the stack: eight of them fill the registers first.
        var answer = RuntimeInformation.ProcessArchitecture == Architecture.Arm64
            ? ControlArm64((int)handle.DangerousGetHandle(), GetPath, 0, 0, 0, 0, 0, 0, path)
            : Control((int)handle.DangerousGetHandle(), GetPath, path);
        return answer < 0 ? null : Marshal.PtrToStringUTF8((nint)path);
    }

    [LibraryImport("libc", EntryPoint = "lstat", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int LStat(string path, byte* found);

    [LibraryImport("libc", EntryPoint = "lstat$INODE64", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int LStatInode64(string path, byte* found);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int Control(int descriptor, int command, byte* path);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int ControlArm64(int descriptor, int command, nint a2, nint a3, nint a4, nint a5, nint a6, nint a7, byte* path);
}
