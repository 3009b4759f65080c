using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace Stigmer.Processes;

/// <summary>The pages of our own executable that are in memory because something of them was used once.</summary>
[SupportedOSPlatform("linux")]
static unsafe class ProgramPages
{
    /// <summary>From elf.h and sys/mman.h.</summary>
    const nuint AT_PHDR = 3, AT_PHNUM = 5;
    const uint PT_LOAD = 1, PT_PHDR = 6, PF_W = 2;
    const int MADV_DONTNEED = 4;

    /// <summary>
    /// Lets go of all code and constants. The kernel maps far more of them than a start touches, sixteen pages at a time, and a
    /// mapped page is the last that it takes back when memory is short. What is used again comes back from the file's cache,
    /// in microseconds. What can be written to is left alone: it may differ from the file.
    /// </summary>
    public static void Release()
    {
        var headers = new ReadOnlySpan<ProgramHeader>((void*)Libc.getauxval(AT_PHDR), (int)Libc.getauxval(AT_PHNUM));
        nuint moved = 0;
        foreach (var header in headers)
        {
            // Where the headers are, against where the file says that they are: the executable may lie anywhere.
            if (header.Type == PT_PHDR) moved = Libc.getauxval(AT_PHDR) - header.Address;
        }
        var page = (nuint)Environment.SystemPageSize;
        foreach (var header in headers)
        {
            if (header.Type != PT_LOAD || (header.Flags & PF_W) != 0) continue;
            var from = (moved + header.Address) / page * page;
            var to = (moved + header.Address + header.Size) / page * page;
            if (to > from) _ = Libc.madvise((void*)from, to - from, MADV_DONTNEED);
        }
    }

    /// <summary>Elf64_Phdr.</summary>
    [StructLayout(LayoutKind.Sequential)]
    readonly struct ProgramHeader
    {
        public readonly uint Type;
        public readonly uint Flags;
        public readonly nuint Offset;
        public readonly nuint Address;
        public readonly nuint PhysicalAddress;
        public readonly nuint SizeInFile;
        public readonly nuint Size;
        public readonly nuint Alignment;
    }
}
