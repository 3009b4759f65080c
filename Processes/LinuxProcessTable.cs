using System.Globalization;

namespace Stigmer.Processes;

/// <summary>What Linux's /proc tells about processes.</summary>
static class LinuxProcessTable
{
    static string? boot;

    /// <summary>The process as it is now; null where it has ended or there is no /proc.</summary>
    public static ProcessIdentity? Identity(int pid)
    {
        if (Read($"/proc/{pid.ToString(CultureInfo.InvariantCulture)}/stat") is not { } stat) return null;
        // The start time counts from boot, so it is worth nothing without knowing which.
        boot ??= Read("/proc/sys/kernel/random/boot_id")?.Trim();
        if (boot is null || ParseStat(stat) is not { } parsed || parsed.State is 'Z' or 'X') return null;
        return new ProcessIdentity(pid, parsed.Start, boot);
    }

    /// <summary>
    /// State and start time (fields 3 and 22 of proc(5)) of a stat line; null where it is none. The name, in parentheses, may
    /// hold blanks and parentheses itself: fields count from the last closing one.
    /// </summary>
    public static (char State, long Start)? ParseStat(string stat)
    {
        var close = stat.LastIndexOf(')');
        if (close < 0) return null;
        var fields = stat[(close + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        if (fields.Length < 20 || fields[0].Length != 1) return null;
        return long.TryParse(fields[19], NumberStyles.None, CultureInfo.InvariantCulture, out var start) ? (fields[0][0], start) : null;
    }

    /// <summary>The process's name as the kernel knows it, at most 15 characters; null where it has ended.</summary>
    public static string? Name(int pid) => Read($"/proc/{pid.ToString(CultureInfo.InvariantCulture)}/comm")?.TrimEnd('\n');

    static string? Read(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null; // It ended meanwhile, or there is no /proc.
        }
    }
}
