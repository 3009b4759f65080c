using System.Net;
using System.Net.Sockets;

namespace Stigmer.Rpc;

/// <summary>Opens the TCP connections of our channels.</summary>
static class Dial
{
    /// <summary>How long ::1 waits for 127.0.0.1's answer before it is tried beside it.</summary>
    static readonly TimeSpan HeadStart = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// Connects, and for <c>localhost</c> finds a server that listens on only one of 127.0.0.1 and ::1 without waiting:
    /// Windows takes two seconds to report a refused connection, and an empty machine has no /etc/hosts.
    /// </summary>
    public static Task<Stream> Connect(DnsEndPoint target, CancellationToken cancel) =>
        target.Host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
            ? ConnectLocalhost(target.Port, cancel)
            : Connect((EndPoint)target, cancel);

    static async Task<Stream> ConnectLocalhost(int port, CancellationToken cancel)
    {
        using var loser = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        var first = Connect(new IPEndPoint(IPAddress.Loopback, port), loser.Token);
        await Task.WhenAny(first, Task.Delay(HeadStart, loser.Token));
        if (first.IsCompletedSuccessfully || !Socket.OSSupportsIPv6) return await first;

        var second = Connect(new IPEndPoint(IPAddress.IPv6Loopback, port), loser.Token);
        var winner = await Task.WhenAny(first, second) == first ? first : second;
        var other = winner == first ? second : first;
        if (!winner.IsCompletedSuccessfully) (winner, other) = (other, winner);
        try
        {
            return await winner;
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException && winner == second)
        {
            // Neither answers: 127.0.0.1's reason is the one that people understand.
            return await first;
        }
        finally
        {
            await loser.CancelAsync();
            _ = other.ContinueWith(Discard, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        }
    }

    static void Discard(Task<Stream> connection)
    {
        // Reading the exception marks it as seen: the loser's failure is of no interest.
        if (connection.Exception is null && connection.IsCompletedSuccessfully) connection.Result.Dispose();
    }

    static async Task<Stream> Connect(EndPoint place, CancellationToken cancel)
    {
        // A name may stand for both families; the parameterless socket serves both.
        var socket = place is IPEndPoint { AddressFamily: var family } ? new Socket(family, SocketType.Stream, ProtocolType.Tcp) : new Socket(SocketType.Stream, ProtocolType.Tcp);
        socket.NoDelay = true;
        try
        {
            await socket.ConnectAsync(place, cancel);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
