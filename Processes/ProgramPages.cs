using System.Globalization;
using System.Runtime.Versioning;

namespace Stigmer.Processes;

/// <summary>The pages of our own executable that are in memory because something of them was used once.</summary>
[SupportedOSPlatform("linux")]
static unsafe class ProgramPages
{
    /// <summary>From sys/mman.h.</summary>
    const int MADV_DONTNEED = 4;

    /// <summary>
    /// Lets go of code and constants. The kernel maps far more of them than a start touches, sixteen pages at a time, and a
    /// mapped page is the last that it takes back when memory is short. What is used again comes back from the file's cache,
    /// in microseconds. A mapping that can be written to, or of which a single page was (the runtime does so to what the file
    /// calls constants), is left alone: it may differ from the file. Nothing happens without /proc.
    /// </summary>
    public static void Release()
    {
        try
        {
            var clean = default((nuint From, nuint To)?);
            foreach (var line in File.ReadLines("/proc/self/smaps"))
            {
                if (line.StartsWith("Anonymous:", StringComparison.Ordinal))
                {
                    if (clean is { } pages && line.EndsWith(" 0 kB", StringComparison.Ordinal)) _ = Libc.madvise((void*)pages.From, pages.To - pages.From, MADV_DONTNEED);
                    clean = null;
                }
                else if (line.EndsWith(Environment.ProcessPath!, StringComparison.Ordinal))
                {
                    clean = Unwritable(line);
                }
            }
        }
        catch (IOException)
        {
            // They stay.
        }
    }

    /// <summary>The range of <c>00406000-0113a000 r-xp 00006000 fe:00 123  /path</c>; null where it may be written to.</summary>
    static (nuint From, nuint To)? Unwritable(string mapping)
    {
        var words = mapping.Split(' ', 3);
        var ends = words[0].Split('-');
        if (words[1] is not ("r--p" or "r-xp")) return null;
        return (nuint.Parse(ends[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture), nuint.Parse(ends[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture));
    }
}
