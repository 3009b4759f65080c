using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;

namespace Stigmer.Processes;

/// <summary>What Linux tells about an open file, and .NET does not.</summary>
[SupportedOSPlatform("linux")]
static unsafe class LinuxFile
{
    /// <summary>The inode: the same for as long as the file is open, whatever its name; null where the system refuses to tell.</summary>
    public static ulong? Number(SafeFileHandle file)
    {
        // Of struct stat only its beginning: st_dev and st_ino, eight bytes each on every 64-bit Linux.
        var status = stackalloc byte[Libc.StructSize];
        return Libc.fstat((int)file.DangerousGetHandle(), status) == 0 ? *(ulong*)(status + 8) : null;
    }

    /// <summary>Where a path leads, as one file tells itself from others: device and inode; null where it leads nowhere.</summary>
    public static (ulong Device, ulong Number)? Identity(string path)
    {
        var status = stackalloc byte[Libc.StructSize];
        return Libc.stat(path, status) == 0 ? (*(ulong*)status, *(ulong*)(status + 8)) : null;
    }

    /// <summary>False where the path names nothing or another file; where the system refuses to tell, it is taken for the same.</summary>
    public static bool IsNamed(SafeFileHandle file, string path)
    {
        var status = stackalloc byte[Libc.StructSize];
        if (Libc.stat(path, status) != 0) return Marshal.GetLastPInvokeError() is not (Libc.ENOENT or Libc.ENOTDIR);
        var (device, number) = (*(ulong*)status, *(ulong*)(status + 8));
        return Libc.fstat((int)file.DangerousGetHandle(), status) != 0 || (*(ulong*)status == device && *(ulong*)(status + 8) == number);
    }
}
