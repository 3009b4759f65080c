using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Stigmer.Standins;

/// <summary>A proxy that tunnels (CONNECT) for whoever logs in, always to the same port of this machine, whatever the name.</summary>
sealed class TunnelProxy : IAsyncDisposable
{
    readonly TcpListener listener = new(IPAddress.Loopback, 0);
    readonly CancellationTokenSource ending = new();
    readonly string login;
    readonly int target;
    readonly Task accepting;

    TunnelProxy(string login, int target)
    {
        (this.login, this.target) = (login, target);
        listener.Start();
        accepting = Accept();
    }

    /// <summary>HOST:PORT.</summary>
    public string Address => $"{listener.LocalEndpoint}";

    /// <summary>The places for which a tunnel was opened.</summary>
    public ConcurrentQueue<string> Opened { get; } = new();

    /// <param name="login">USER:PASSWORD.</param>
    /// <param name="target">The port that all tunnels lead to.</param>
    public static TunnelProxy Start(string login, int target) => new(login, target);

    public async ValueTask DisposeAsync()
    {
        await ending.CancelAsync();
        listener.Stop();
        await accepting;
        ending.Dispose();
    }

    async Task Accept()
    {
        try
        {
            while (true) _ = Serve(await listener.AcceptTcpClientAsync(ending.Token));
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The test is over.
        }
    }

    async Task Serve(TcpClient client)
    {
        using (client)
        {
            try
            {
                var stream = client.GetStream();
                var head = new StringBuilder();
                var one = new byte[1];
                while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
                {
                    if (await stream.ReadAsync(one, ending.Token) == 0) return;
                    head.Append((char)one[0]);
                }
                if (!head.ToString().Contains($"Proxy-Authorization: Basic {Convert.ToBase64String(Encoding.ASCII.GetBytes(login))}\r\n", StringComparison.OrdinalIgnoreCase))
                {
                    await stream.WriteAsync("HTTP/1.1 407 Login\r\nProxy-Authenticate: Basic realm=\"here\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"u8.ToArray(), ending.Token);
                    return;
                }
                Opened.Enqueue(head.ToString().Split(' ')[1]);
                await stream.WriteAsync("HTTP/1.1 200 Open\r\n\r\n"u8.ToArray(), ending.Token);
                using var server = new TcpClient();
                await server.ConnectAsync(IPAddress.Loopback, target, ending.Token);
                await Task.WhenAny(stream.CopyToAsync(server.GetStream(), ending.Token), server.GetStream().CopyToAsync(stream, ending.Token));
            }
            catch (Exception e) when (e is IOException or OperationCanceledException or SocketException)
            {
                // One of the two sides has gone.
            }
        }
    }
}
