using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace Stigmer.Agents.Tools;

/// <summary>What Linux and macOS have in common.</summary>
[UnsupportedOSPlatform("windows")]
static unsafe partial class UnixFiles
{
    /// <summary>realpath(3), which needs no /proc; null where there is nothing, or it may not be looked at.</summary>
    public static string? RealPath(string path)
    {
        var resolved = RealPath(path, null);
        if (resolved is null) return null;
        try
        {
            return Marshal.PtrToStringUTF8((nint)resolved);
        }
        finally
        {
            Free(resolved);
        }
    }

    /// <summary>The kind that st_mode tells, as sys/stat.h has it.</summary>
    public static EntryKind KindOf(int mode) => (mode & 0xF000) switch { 0x8000 => EntryKind.File, 0x4000 => EntryKind.Folder, _ => EntryKind.Other };

    /// <summary>The error of the last call as an exception with the system's words.</summary>
    public static IOException LastError() => new(Marshal.GetLastPInvokeErrorMessage());

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "close")]
    public static partial int Close(int descriptor);

    [LibraryImport("libc", EntryPoint = "realpath", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial byte* RealPath(string path, byte* buffer);

    [LibraryImport("libc", EntryPoint = "free")]
    private static partial void Free(byte* memory);
}
