using System.Net;
using System.Net.Sockets;
using Stigmer.Config;

namespace Stigmer.Server.Api;

/// <summary>The sockets on which the API listens, bound before the server is built: so that port 0 is one port for both addresses of localhost.</summary>
sealed class Listener : IDisposable
{
    readonly List<Socket> sockets;

    Listener(List<Socket> sockets) => this.sockets = sockets;

    /// <summary>The port that it really has.</summary>
    public int Port => ((IPEndPoint)sockets[0].LocalEndPoint!).Port;

    /// <summary>The first address: 127.0.0.1 for <c>localhost</c>.</summary>
    public HostPort Address => sockets[0].LocalEndPoint is IPEndPoint { AddressFamily: AddressFamily.InterNetworkV6 } six ? new($"[{six.Address}]", Port) : new($"{((IPEndPoint)sockets[0].LocalEndPoint!).Address}", Port);

    /// <summary>Each bound address; <see cref="Find"/> gives its socket.</summary>
    public IEnumerable<IPEndPoint> Addresses => sockets.Select(s => (IPEndPoint)s.LocalEndPoint!);

    /// <summary>Binds; a <see cref="Failure"/> says why not. <c>localhost</c> is 127.0.0.1, and ::1 where that exists.</summary>
    public static Listener Bind(HostPort address)
    {
        for (var attempt = 1; ; attempt++)
        {
            var bound = new List<Socket>();
            try
            {
                foreach (var ip in Resolve(address))
                {
                    var port = bound.Count == 0 ? address.Port : ((IPEndPoint)bound[0].LocalEndPoint!).Port;
                    try
                    {
                        bound.Add(BindOne(new IPEndPoint(ip, port)));
                    }
                    catch (SocketException e) when (bound.Count > 0 && e.SocketErrorCode is SocketError.AddressNotAvailable or SocketError.AddressFamilyNotSupported or SocketError.OperationNotSupported)
                    {
                        // This machine has no ::1.
                    }
                }
                return new Listener(bound);
            }
            catch (SocketException e)
            {
                var second = bound.Count > 0;
                bound.ForEach(s => s.Dispose());
                // The free port of 127.0.0.1 was not free on ::1: another one may be.
                if (second && address.Port == 0 && attempt < 20) continue;
                throw CannotListen(address, e);
            }
        }
    }

    /// <summary>The socket that is bound to the address; null where it is not one of these.</summary>
    public Socket? Find(EndPoint address) => sockets.Find(s => s.LocalEndPoint!.Equals(address));

    /// <inheritdoc/>
    public void Dispose() => sockets.ForEach(s => s.Dispose());

    static Socket BindOne(IPEndPoint endpoint)
    {
        var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (endpoint.AddressFamily == AddressFamily.InterNetworkV6 && !endpoint.Address.Equals(IPAddress.IPv6Any)) socket.DualMode = false;
            // Windows would let another process take the port over.
            if (OperatingSystem.IsWindows()) socket.ExclusiveAddressUse = true;
            socket.Bind(endpoint);
            // From here on nobody is refused: who comes before Kestrel accepts waits in the queue (Kestrel sets its length).
            socket.Listen();
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    static IEnumerable<IPAddress> Resolve(HostPort address)
    {
        if (address.Host.Equals("localhost", StringComparison.OrdinalIgnoreCase)) return Socket.OSSupportsIPv6 ? [IPAddress.Loopback, IPAddress.IPv6Loopback] : [IPAddress.Loopback];
        if (IPAddress.TryParse(address.Host.Trim('[', ']'), out var ip)) return [ip];
        var found = Dns.GetHostAddresses(address.Host);
        return found.Length > 0 ? found : throw new SocketException((int)SocketError.HostNotFound);
    }

    static Failure CannotListen(HostPort address, SocketException e) => e.SocketErrorCode switch
    {
        SocketError.AddressAlreadyInUse => new Failure(
            $"Port {address.Port} is in use", $"another process listens on {address}", "Stop it, or choose another port (backend.local.endpoint, --listen; 0: a free one)", inner: e),
        SocketError.AccessDenied when OperatingSystem.IsWindows() => new Failure(
            $"Port {address.Port} is reserved", "Windows keeps it for itself: `netsh int ipv4 show excludedportrange protocol=tcp` lists such ports",
            "Choose another port (backend.local.endpoint, --listen; 0: a free one)", inner: e),
        _ => new Failure($"stigmer-server cannot listen on {address}", e.Message, "Choose an address of this machine (backend.local.endpoint, --listen)", inner: e),
    };
}
