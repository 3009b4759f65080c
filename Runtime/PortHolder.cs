using System.Globalization;
using System.Net;
using System.Runtime.InteropServices;
using Stigmer.Processes;

namespace Stigmer.Runtime;

/// <summary>The process that has a port, as far as the system tells.</summary>
/// <param name="Pid">Null: it is another user's, whose processes we may not look into.</param>
/// <param name="Name">Its name.</param>
/// <param name="User">Its user's id, where <paramref name="Pid"/> is null.</param>
/// <param name="Listens">False: its end of a connection has the port, as any port above 32767 may happen to be one's.</param>
sealed record PortHolder(int? Pid, string? Name, int? User, bool Listens = true)
{
    /// <inheritdoc/>
    public override string ToString() => Pid is { } pid
        ? string.Create(CultureInfo.InvariantCulture, $"{Name ?? "a process"} (pid {pid})")
        : string.Create(CultureInfo.InvariantCulture, $"a process of another user (uid {User})");

    /// <summary>Who keeps us from listening there; null where the system does not tell: without /proc.</summary>
    public static PortHolder? Find(IPAddress address, int port)
    {
        if (!OperatingSystem.IsLinux()) return null;
        try
        {
            if (Holder([.. File.ReadLines("/proc/net/tcp"), .. Tcp6()], address, port) is not var (inode, user, listens)) return null;
            return Owner(inode) is { } pid ? new PortHolder(pid, LinuxProcessTable.Name(pid), null, listens) : new PortHolder(null, null, user, listens);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null; // Without /proc nobody is named.
        }
    }

    /// <summary>
    /// The inode and the user of the socket in the way: one that listens on the address or on all, else one end of a
    /// connection, from the lines of /proc/net/tcp and tcp6 (proc(5)).
    /// </summary>
    public static (string Inode, int User, bool Listens)? Holder(IEnumerable<string> table, IPAddress address, int port)
    {
        const string Listening = "0A", TimeWait = "06";
        var suffix = ":" + port.ToString("X4", CultureInfo.InvariantCulture);
        (string, int, bool)? other = null;
        foreach (var line in table)
        {
            var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length < 10 || fields[3] == TimeWait || !fields[1].EndsWith(suffix, StringComparison.Ordinal)) continue;
            if (Address(fields[1].AsSpan()[..^5]) is not { } local || !Meet(local, address)) continue;
            var found = (fields[9], int.TryParse(fields[7], NumberStyles.None, CultureInfo.InvariantCulture, out var user) ? user : 0, fields[3] == Listening);
            if (found.Item3) return found;
            other ??= found;
        }
        return other;
    }

    static IEnumerable<string> Tcp6() => File.Exists("/proc/net/tcp6") ? File.ReadLines("/proc/net/tcp6") : [];

    /// <summary>Who has the one keeps others from the other. An IPv6 socket on all addresses may have those of IPv4 as well.</summary>
    static bool Meet(IPAddress held, IPAddress wanted)
    {
        if (held.IsIPv4MappedToIPv6) held = held.MapToIPv4();
        return held.Equals(wanted) || held.Equals(IPAddress.IPv6Any) || wanted.Equals(IPAddress.IPv6Any)
            || (held.AddressFamily == wanted.AddressFamily && (held.Equals(IPAddress.Any) || wanted.Equals(IPAddress.Any)));
    }

    /// <summary>The kernel prints an address as its 32-bit words, each in the machine's own order.</summary>
    static IPAddress? Address(ReadOnlySpan<char> digits)
    {
        if (digits.Length is not (8 or 32)) return null;
        var words = new uint[digits.Length / 8];
        for (var i = 0; i < words.Length; i++)
        {
            if (!uint.TryParse(digits.Slice(i * 8, 8), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out words[i])) return null;
        }
        return new IPAddress(MemoryMarshal.AsBytes(words.AsSpan()));
    }

    static int? Owner(string inode)
    {
        var wanted = $"socket:[{inode}]";
        foreach (var process in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(process), NumberStyles.None, CultureInfo.InvariantCulture, out var pid)) continue;
            try
            {
                foreach (var descriptor in Directory.EnumerateFileSystemEntries(Path.Combine(process, "fd")))
                {
                    if (new FileInfo(descriptor).LinkTarget == wanted) return pid;
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Another user's, or it ended meanwhile.
            }
        }
        return null;
    }
}
