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

    /// <summary>The processes of a group that had exactly this NAME=VALUE in their environment when they began; none without /proc.</summary>
    public static IReadOnlyList<ProcessIdentity> InGroup(int group, string variable)
    {
        var found = new List<ProcessIdentity>();
        if (!Directory.Exists("/proc/self")) return found;
        foreach (var folder in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder), NumberStyles.None, CultureInfo.InvariantCulture, out var pid)) continue;
            // Who it is comes first: what is read then is read of that process, or of none.
            if (Identity(pid) is not { } identity || Read($"{folder}/stat") is not { } stat || ParseStat(stat)?.Group != group) continue;
            if (Read($"{folder}/environ")?.Split('\0').Contains(variable) == true && identity.IsAlive) found.Add(identity);
        }
        return found;
    }

    /// <summary>The processes of a group of that session that began at that time or later; none without /proc.</summary>
    public static IReadOnlyList<ProcessIdentity> InGroup(int group, int session, long since)
    {
        var found = new List<ProcessIdentity>();
        if (!Directory.Exists("/proc/self")) return found;
        foreach (var folder in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder), NumberStyles.None, CultureInfo.InvariantCulture, out var pid)) continue;
            if (Identity(pid) is not { } identity || identity.Start < since || Read($"{folder}/stat") is not { } stat) continue;
            if (ParseStat(stat)?.Group == group && Field(stat, 3) == session && identity.IsAlive) found.Add(identity);
        }
        return found;
    }

    /// <summary>The session of a process; null where it has ended or there is no /proc.</summary>
    public static int? SessionOf(int pid) => Read($"/proc/{pid.ToString(CultureInfo.InvariantCulture)}/stat") is { } stat ? Field(stat, 3) : null;

    /// <summary>What a process has started, and what that has started, as far as it lives; none without /proc.</summary>
    public static IReadOnlyList<int> DescendantsOf(int pid)
    {
        if (!Directory.Exists("/proc/self")) return [];
        var children = new Dictionary<int, List<int>>();
        foreach (var folder in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder), NumberStyles.None, CultureInfo.InvariantCulture, out var child)) continue;
            if (Read($"{folder}/stat") is not { } stat || ParseStat(stat) is not { State: not ('Z' or 'X') } || Field(stat, 1) is not { } parent) continue;
            if (!children.TryGetValue(parent, out var siblings)) children[parent] = siblings = [];
            siblings.Add(child);
        }
        var found = new List<int>();
        var open = new Stack<int>([pid]);
        while (open.TryPop(out var next))
        {
            foreach (var child in children.GetValueOrDefault(next) ?? [])
            {
                found.Add(child);
                open.Push(child);
            }
        }
        return found;
    }

    /// <summary>A number behind the name: 1 the parent, 3 the session.</summary>
    static int? Field(string stat, int index)
    {
        var fields = stat[(stat.LastIndexOf(')') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return fields.Length > index && int.TryParse(fields[index], NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;
    }

    /// <summary>The process that has locked the file for itself alone, as flock(2) does; null where none has, or /proc does not tell.</summary>
    public static ProcessIdentity? LockHolder(string file)
    {
        if (!OperatingSystem.IsLinux() || LinuxFile.Identity(file) is not { } wanted || Read("/proc/locks") is not { } locks) return null;
        foreach (var pid in LockHolders(locks, wanted.Number))
        {
            // The number is one file system's: what the process has open tells whether it is this file.
            if (Identity(pid) is { } identity && HasOpen(pid, wanted) && identity.IsAlive) return identity;
        }
        return null;
    }

    /// <summary>The processes that hold an exclusive flock on a file of this inode, from the lines of /proc/locks (proc(5)).</summary>
    public static IEnumerable<int> LockHolders(string locks, ulong inode)
    {
        foreach (var line in locks.Split('\n'))
        {
            // 1: FLOCK  ADVISORY  WRITE 4711 fe:00:884738 0 EOF; one that waits has an arrow behind its number.
            var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (fields is not [_, "FLOCK", _, "WRITE", var process, var place, ..]) continue;
            if (!ulong.TryParse(place.AsSpan(place.LastIndexOf(':') + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var number) || number != inode) continue;
            if (int.TryParse(process, NumberStyles.None, CultureInfo.InvariantCulture, out var pid)) yield return pid;
        }
    }

    [System.Runtime.Versioning.SupportedOSPlatform("linux")]
    static bool HasOpen(int pid, (ulong, ulong) file)
    {
        try
        {
            return Directory.EnumerateFileSystemEntries($"/proc/{pid.ToString(CultureInfo.InvariantCulture)}/fd").Any(descriptor => LinuxFile.Identity(descriptor) == file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false; // It ended meanwhile, or is another user's.
        }
    }

    /// <summary>
    /// State, process group and start time (fields 3, 5 and 22 of proc(5)) of a stat line; null where it is none. The name, in parentheses, may
    /// hold blanks and parentheses itself: fields count from the last closing one.
    /// </summary>
    public static (char State, int Group, long Start)? ParseStat(string stat)
    {
        var close = stat.LastIndexOf(')');
        if (close < 0) return null;
        var fields = stat[(close + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        if (fields.Length < 20 || fields[0].Length != 1) return null;
        return int.TryParse(fields[2], NumberStyles.None, CultureInfo.InvariantCulture, out var group)
            && long.TryParse(fields[19], NumberStyles.None, CultureInfo.InvariantCulture, out var start) ? (fields[0][0], group, start) : null;
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
