using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;

namespace Stigmer.Agents.Tools;

/// <summary>Files on Linux. Numbers are those of asm-generic, which x64 and arm64 share but for O_NOFOLLOW and O_DIRECTORY.</summary>
[SupportedOSPlatform("linux")]
static unsafe partial class LinuxFiles
{
    const int ReadOnly = 0;
    const int NonBlocking = 0x800;
    const int NoTerminal = 0x100;
    const int CloseOnExec = 0x80000;
    const long OpenAt2Number = 437;
    const ulong ResolveNoMagicLinks = 0x02;
    const ulong ResolveNoSymlinks = 0x04;
    const ulong ResolveBeneath = 0x08;
    const int NoSuchEntry = 2;
    const int IsLink = 40;
    const int CrossesOut = 18;
    const int AtWorkingDirectory = -100;
    const int AtNoFollow = 0x100;
    const int AtEmptyPath = 0x1000;
    const uint StatxType = 1;

    static readonly int NoFollow = RuntimeInformation.ProcessArchitecture is Architecture.Arm64 or Architecture.Arm ? 0x8000 : 0x20000;
    static readonly int DirectoryOnly = RuntimeInformation.ProcessArchitecture is Architecture.Arm64 or Architecture.Arm ? 0x4000 : 0x10000;

    /// <summary>What the path itself names; a link is neither file nor folder.</summary>
    public static EntryKind KindOf(string real)
    {
        Statx found;
        return Stat(AtWorkingDirectory, real, AtNoFollow, StatxType, &found) == 0 ? UnixFiles.KindOf(found.Mode) : EntryKind.Other;
    }

    /// <summary>
    /// Opens by openat2 beneath the root, which lets nobody in between exchange a folder for a link; where a kernel before
    /// 5.6 or a container's filter refuses that call, by open, and the caller's look at the handle is the guard.
    /// </summary>
    public static SafeFileHandle Open(string root, string real)
    {
        var descriptor = OpenBeneath(root, real);
        if (descriptor < 0) descriptor = UnixFiles.Open(real, ReadOnly | NonBlocking | NoTerminal | CloseOnExec | NoFollow);
        if (descriptor < 0) throw UnixFiles.LastError();
        Statx opened;
        if (Stat(descriptor, "", AtEmptyPath, StatxType, &opened) == 0 && UnixFiles.KindOf(opened.Mode) == EntryKind.File) return new SafeFileHandle(descriptor, ownsHandle: true);
        _ = UnixFiles.Close(descriptor);
        throw new IOException("it is not an ordinary file any more");
    }

    /// <summary>Where the open file is, by /proc; null without it.</summary>
    public static string? PathOf(SafeFileHandle handle)
    {
        try
        {
            return new FileInfo($"/proc/self/fd/{handle.DangerousGetHandle().ToString(CultureInfo.InvariantCulture)}").LinkTarget;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null; // There is no /proc: openat2 has held the path beneath the root.
        }
    }

    /// <summary>Opens a folder beneath the root, so that what is made in it is made there whatever becomes of its path; null where that cannot be.</summary>
    public static SafeFileHandle? OpenFolder(string root, string real)
    {
        var descriptor = OpenBeneath(root, real, DirectoryOnly);
        return descriptor < 0 ? null : new SafeFileHandle(descriptor, ownsHandle: true);
    }

    static int OpenBeneath(string root, string real, int more = 0)
    {
        var folder = UnixFiles.Open(root, ReadOnly | DirectoryOnly | CloseOnExec);
        if (folder < 0) return -1;
        try
        {
            var how = new OpenHow
            {
                Flags = (ulong)(uint)(ReadOnly | NonBlocking | NoTerminal | CloseOnExec | more),
                Resolve = ResolveBeneath | ResolveNoSymlinks | ResolveNoMagicLinks,
            };
            var descriptor = (int)OpenAt2(OpenAt2Number, folder, Path.GetRelativePath(root, real), &how, sizeof(OpenHow));
            // These three mean what they say; all others, that the call is not to be had.
            return descriptor < 0 && Marshal.GetLastPInvokeError() is NoSuchEntry or IsLink or CrossesOut ? throw UnixFiles.LastError() : descriptor;
        }
        finally
        {
            _ = UnixFiles.Close(folder);
        }
    }

    /// <summary>struct open_how of openat2(2).</summary>
    struct OpenHow
    {
        public ulong Flags;
        public ulong Mode;
        public ulong Resolve;
    }

    /// <summary>struct statx of statx(2), which is the same on every architecture.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    struct Statx
    {
        [FieldOffset(28)]
        public ushort Mode;
    }

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Stat(int folder, string path, int flags, uint mask, Statx* found);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint OpenAt2(long number, int folder, string path, OpenHow* how, nint size);
}
