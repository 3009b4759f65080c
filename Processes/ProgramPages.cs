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
    /// in microseconds. Nothing happens where /proc does not tell enough.
    /// </summary>
    public static void Release()
    {
        try
        {
            foreach (var (from, to) in Unwritten(File.ReadLines("/proc/self/smaps"), Environment.ProcessPath!)) _ = Libc.madvise((void*)from, to - from, MADV_DONTNEED);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // They stay.
        }
    }

    /// <summary>
    /// The mappings of a file that hold nothing but what is in it: those that cannot be written to, and of which not a single
    /// page was (the runtime does so to what the file calls constants), be that page in memory or swapped out. None at all where
    /// the file's data, which every program writes to, counts as unwritten: an emulator's smaps is full of zeros.
    /// </summary>
    /// <param name="smaps">Lines as in /proc/PID/smaps.</param>
    /// <param name="file">Its path.</param>
    internal static IReadOnlyList<(nuint From, nuint To)> Unwritten(IEnumerable<string> smaps, string file)
    {
        var unwritten = new List<(nuint, nuint)>();
        var (mapping, counts) = ("", false);
        var (inMemory, swapped) = (default(bool?), default(bool?));
        foreach (var line in smaps.Append("end"))
        {
            if (Written(line, "Anonymous:") is { } some) inMemory = some;
            else if (Written(line, "Swap:") is { } more) swapped = more;
            else if (line.Split(' ', 2)[0] is var first && first.EndsWith(':')) continue;
            else
            {
                if (mapping.EndsWith($" {file}", StringComparison.Ordinal))
                {
                    if (Unwritable(mapping) is not { } range) counts |= inMemory == true || swapped == true;
                    else if (inMemory == false && swapped == false) unwritten.Add(range);
                }
                (mapping, inMemory, swapped) = (line, null, null);
            }
        }
        return counts ? unwritten : [];
    }

    static bool? Written(string line, string field) => line.StartsWith(field, StringComparison.Ordinal) ? !line.EndsWith(" 0 kB", StringComparison.Ordinal) : null;

    /// <summary>The range of <c>00406000-0113a000 r-xp 00006000 fe:00 123  /path</c>; null where it may be written to.</summary>
    static (nuint From, nuint To)? Unwritable(string mapping)
    {
        var words = mapping.Split(' ', 3);
        var ends = words[0].Split('-');
        if (words[1] is not ("r--p" or "r-xp")) return null;
        return (nuint.Parse(ends[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture), nuint.Parse(ends[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture));
    }
}
