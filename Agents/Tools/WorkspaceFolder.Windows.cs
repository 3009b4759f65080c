using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Stigmer.Agents.Tools;

/// <summary>Files on Windows; numbers from winnt.h and winbase.h.</summary>
static unsafe partial class WindowsFiles
{
    const uint ReadAttributes = 0x80;
    const uint ReadData = 0x80000000;
    const uint ShareAll = 7;
    const uint OpenExisting = 3;
    const uint BackupSemantics = 0x02000000;
    const uint DoNotFollow = 0x00200000;
    const uint TypeDisk = 1;
    const int MaxPath = 32768;

    /// <summary>What the path itself names; a link is neither file nor folder.</summary>
    public static EntryKind KindOf(string real)
    {
        try
        {
            var attributes = File.GetAttributes(real);
            if (attributes.HasFlag(FileAttributes.ReparsePoint) || attributes.HasFlag(FileAttributes.Device)) return EntryKind.Other;
            return attributes.HasFlag(FileAttributes.Directory) ? EntryKind.Folder : EntryKind.File;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return EntryKind.Other; // Gone, or not to be looked at: either way not to be opened.
        }
    }

    /// <summary>Opens the file; names such as NUL or COM1 open devices, which are told by the handle's type.</summary>
    public static SafeFileHandle Open(string real)
    {
        var handle = CreateFile(real, ReadData, ShareAll, null, OpenExisting, DoNotFollow, 0);
        if (handle.IsInvalid) throw new IOException(Marshal.GetLastPInvokeErrorMessage());
        if (GetFileType(handle) == TypeDisk) return handle;
        handle.Dispose();
        throw new IOException("it is a device");
    }

    /// <summary>The path with every link followed; null where there is nothing.</summary>
    public static string? RealPath(string path)
    {
        using var handle = CreateFile(path, ReadAttributes, ShareAll, null, OpenExisting, BackupSemantics, 0);
        return handle.IsInvalid || GetFileType(handle) != TypeDisk ? null : PathOf(handle);
    }

    /// <summary>Where the open file is.</summary>
    public static string? PathOf(SafeFileHandle handle)
    {
        var buffer = new char[MaxPath];
        fixed (char* start = buffer)
        {
            var length = GetFinalPathNameByHandle(handle, start, MaxPath, 0);
            if (length is 0 or > MaxPath) return null;
            var path = new string(start, 0, (int)length);
            if (path.StartsWith(@"\\?\UNC\", StringComparison.Ordinal)) return @"\\" + path[8..];
            return path.StartsWith(@"\\?\", StringComparison.Ordinal) ? path[4..] : path;
        }
    }

    [LibraryImport("kernel32", EntryPoint = "CreateFileW", SetLastError = true, StringMarshalling = StringMarshalling.Utf16)]
    private static partial SafeFileHandle CreateFile(string path, uint access, uint share, void* security, uint disposition, uint flags, nint template);

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial uint GetFileType(SafeFileHandle handle);

    [LibraryImport("kernel32", EntryPoint = "GetFinalPathNameByHandleW", SetLastError = true)]
    private static partial uint GetFinalPathNameByHandle(SafeFileHandle handle, char* path, uint length, uint flags);
}
