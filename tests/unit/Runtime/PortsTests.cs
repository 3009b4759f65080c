using System.Net;
using System.Net.Sockets;
using Stigmer.Config;
using Stigmer.Runtime;

namespace Stigmer.Tests.Runtime;

public sealed class PortsTests
{
    static Socket Listen(IPAddress address, int port = 0)
    {
        var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(address, port));
        socket.Listen();
        return socket;
    }

    static int PortOf(Socket socket) => ((IPEndPoint)socket.LocalEndPoint!).Port;

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("::1")]
    [InlineData("0.0.0.0")]
    [InlineData("::")]
    public void A_taken_port_is_found_whichever_address_holds_it_and_its_holder_is_named(string holder)
    {
        if (holder is "::1" or "::" && !Socket.OSSupportsIPv6) return;
        using var taken = Listen(IPAddress.Parse(holder));
        var failure = Ports.Check(new HostPort("localhost", PortOf(taken)), "stigmer-server", "backend.local.endpoint");
        Assert.NotNull(failure);
        Assert.Contains(PortOf(taken).ToString(System.Globalization.CultureInfo.InvariantCulture), failure.What, StringComparison.Ordinal);
        Assert.Contains("stigmer-server", failure.What, StringComparison.Ordinal);
        Assert.Contains("backend.local.endpoint", failure.Remedy, StringComparison.Ordinal);
        if (OperatingSystem.IsLinux()) Assert.Contains($"(pid {Environment.ProcessId})", failure.Why, StringComparison.Ordinal);
    }

    [Fact]
    public void A_port_whose_connections_are_in_time_wait_is_free()
    {
        int port;
        using (var listener = Listen(IPAddress.Loopback))
        {
            port = PortOf(listener);
            using var client = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            client.Connect(new IPEndPoint(IPAddress.Loopback, port));
            // Who closes first waits: the server's side of the port.
            listener.Accept().Close();
            Assert.Equal(0, client.Receive(new byte[1]));
        }
        Assert.Null(Ports.Check(new HostPort("127.0.0.1", port), "stigmer-server", "backend.local.endpoint"));
    }

    [Fact]
    public void Port_0_is_always_free() => Assert.Null(Ports.Check(new HostPort("localhost", 0), "stigmer-server", "x"));

    [Fact]
    public void The_listener_of_a_port_is_found_among_connections_to_it()
    {
        string[] table =
        [
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
            "   0: 0100007F:C383 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 111 1 0 20 0 0 10 -1",
            "   1: 00000000:1C41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0 100 0 0 10 0",
            "   2: 0100007F:C383 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 333 1 0 100 0 0 10 0",
        ];
        Assert.Equal(("333", 1000, true), PortHolder.Holder(table, IPAddress.Loopback, 50051));
        Assert.Null(PortHolder.Holder(table, IPAddress.Parse("10.0.0.1"), 50051));
        Assert.Equal(("222", 0, true), PortHolder.Holder(table, IPAddress.Loopback, 0x1C41));
        Assert.Null(PortHolder.Holder(table, IPAddress.IPv6Loopback, 0x1C41));
    }

    [Fact]
    public void A_port_that_Windows_reserved_is_no_ones()
    {
        if (!OperatingSystem.IsWindows()) return;
        var failure = Ports.Describe(new HostPort("localhost", 50051), SocketError.AccessDenied, "stigmer-server", "backend.local.endpoint", null);
        Assert.Contains("excludedportrange", failure.Why, StringComparison.Ordinal);
    }
}
