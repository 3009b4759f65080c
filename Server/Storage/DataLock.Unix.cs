using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using System.Text;

namespace Stigmer.Server.Storage;

/// <summary>.NET takes a lock of its own with every file it opens and so cannot read one that is locked; the C library can.</summary>
[UnsupportedOSPlatform("windows")]
static partial class DataLockUnix
{
    /// <summary>The first 64 bytes of the file as text; null where it cannot be read.</summary>
    public static unsafe string? ReadIgnoringLocks(string file)
    {
        var descriptor = Open(file, flags: 0);
        if (descriptor < 0) return null;
        var buffer = stackalloc byte[64];
        var count = Read(descriptor, buffer, 64);
        _ = Close(descriptor);
        return count < 0 ? null : Encoding.ASCII.GetString(buffer, (int)count);
    }

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "read")]
    private static unsafe partial nint Read(int descriptor, byte* buffer, nint count);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int descriptor);
}
