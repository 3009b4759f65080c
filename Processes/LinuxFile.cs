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
}
