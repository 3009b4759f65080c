using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Stigmer.Config;

namespace Stigmer.Runtime;

/// <summary>Whether a port is free: found out before anything starts, by binding as the server will bind.</summary>
static class Ports
{
    /// <summary>Why nobody can listen there, or null. For localhost both loopback families count, as for the server.</summary>
    /// <param name="address">A loopback address; port 0 is always free.</param>
    /// <param name="wantedBy">What wants to listen: stigmer-server, Temporal.</param>
    /// <param name="setting">The key in config.yaml that changes the port.</param>
    public static Failure? Check(HostPort address, string wantedBy, string setting)
    {
        if (address.Port == 0) return null;
        foreach (var ip in Addresses(address.Host))
        {
            if (Bind(ip, address.Port) is not { } error) continue;
            // A machine without IPv6 has no ::1 to listen on, and the server does without.
            if (error is SocketError.AddressNotAvailable or SocketError.AddressFamilyNotSupported && address.Host == "localhost" && ip.Equals(IPAddress.IPv6Loopback)) continue;
            return Describe(address, error, wantedBy, setting, error == SocketError.AddressAlreadyInUse ? PortHolder.Find(ip, address.Port) : null);
        }
        return null;
    }

    /// <summary>The failure in words.</summary>
    public static Failure Describe(HostPort address, SocketError error, string wantedBy, string setting, PortHolder? holder)
    {
        var port = address.Port.ToString(CultureInfo.InvariantCulture);
        var what = $"Port {port}, which {wantedBy} needs, is taken";
        return error switch
        {
            SocketError.AddressAlreadyInUse when holder is not null => new Failure(
                what, $"{holder} {(holder.Listens ? "listens on it" : "has a connection from it")}", $"End that process, or set {setting} to another port (0: any free one)"),
            SocketError.AddressAlreadyInUse => new Failure(
                what, "another process listens on it", $"`{(OperatingSystem.IsWindows() ? "netstat -ano" : $"lsof -i :{port}")}` shows which; or set {setting} to another port (0: any free one)"),
            // Windows reserves whole ranges, without any process (supabase/cli#4128): 50000-50059 is a usual one.
            SocketError.AccessDenied when OperatingSystem.IsWindows() => new Failure(
                $"Port {port}, which {wantedBy} needs, is reserved by Windows", "`netsh interface ipv4 show excludedportrange protocol=tcp` shows the reserved ranges",
                $"Set {setting} to a port outside of them (0: any free one)"),
            SocketError.AccessDenied => new Failure(
                $"Port {port}, which {wantedBy} needs, is not for this user", "ports below 1024 need privileges", $"Set {setting} to a higher port (0: any free one)"),
            _ => new Failure($"{address}, where {wantedBy} should listen, cannot be used", new SocketException((int)error).Message, $"Set {setting} to another address"),
        };
    }

    /// <summary>A port that is free now. Somebody may take it before its user does, who then says so.</summary>
    public static int PickFree()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }

    static IPAddress[] Addresses(string host) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase) ? [IPAddress.Loopback, IPAddress.IPv6Loopback]
        : IPAddress.TryParse(host.Trim('[', ']'), out var ip) ? [ip]
        : [];

    /// <summary>Null: it can be bound and listened on. Connections in TIME-WAIT do not count, as they do not for the server.</summary>
    static SocketError? Bind(IPAddress ip, int port)
    {
        try
        {
            using var socket = new Socket(ip.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            if (ip.AddressFamily == AddressFamily.InterNetworkV6) socket.DualMode = false;
            socket.Bind(new IPEndPoint(ip, port));
            socket.Listen();
            return null;
        }
        catch (SocketException e)
        {
            return e.SocketErrorCode;
        }
    }
}
