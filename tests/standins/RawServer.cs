using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Stigmer.Standins;

/// <summary>A request as it came.</summary>
/// <param name="Path">Such as /v1.2.3/checksums.txt.</param>
/// <param name="Headers">By name, whatever its case.</param>
sealed record RawRequest(string Path, IReadOnlyDictionary<string, string> Headers)
{
    /// <summary>The first byte of the range that is asked for; null: no range.</summary>
    public long? From => Headers.TryGetValue("Range", out var range) ? long.Parse(range["bytes=".Length..^1]) : null;
}

/// <summary>An answer as it goes out, and how the connection ends after it.</summary>
/// <param name="Bytes">Head and body.</param>
/// <param name="Reset">RST in place of an end in order.</param>
sealed record RawAnswer(byte[] Bytes, bool Reset = false)
{
    /// <summary>Any head and any body, whether they go together or not.</summary>
    public static RawAnswer Of(string status, string headers, ReadOnlySpan<byte> body, bool reset = false) =>
        new([.. Encoding.ASCII.GetBytes($"HTTP/1.1 {status}\r\n{string.Concat(headers.Split('|', StringSplitOptions.RemoveEmptyEntries).Select(h => h.Trim() + "\r\n"))}\r\n"), .. body], reset);
}

/// <summary>Speaks what a web server's library would not let it speak: each connection gets one answer, of the bytes that the test gives.</summary>
sealed class RawServer : IAsyncDisposable
{
    readonly TcpListener listener;
    readonly Func<RawRequest, RawAnswer> answer;
    readonly CancellationTokenSource ending = new();
    readonly Task accepting;

    RawServer(IPAddress address, Func<RawRequest, RawAnswer> answer)
    {
        this.answer = answer;
        listener = new TcpListener(address, 0);
        listener.Start();
        accepting = Accept();
    }

    /// <summary>Without a slash at its end.</summary>
    public string Url => $"http://{listener.LocalEndpoint}";

    /// <summary>In order.</summary>
    public ConcurrentQueue<RawRequest> Requests { get; } = new();

    public static RawServer Start(Func<RawRequest, RawAnswer> answer, IPAddress? address = null) => new(address ?? IPAddress.Loopback, answer);

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
            while (true) _ = Serve(await listener.AcceptSocketAsync(ending.Token));
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The test is over.
        }
    }

    async Task Serve(Socket socket)
    {
        using (socket)
        {
            try
            {
                var head = new StringBuilder();
                var one = new byte[1];
                while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
                {
                    if (await socket.ReceiveAsync(one, ending.Token) == 0) return;
                    head.Append((char)one[0]);
                }
                var lines = head.ToString().Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
                var request = new RawRequest(
                    lines[0].Split(' ')[1],
                    lines.Skip(1).Select(line => line.Split(':', 2)).ToDictionary(parts => parts[0], parts => parts[1].Trim(), StringComparer.OrdinalIgnoreCase));
                Requests.Enqueue(request);
                var (bytes, reset) = answer(request);
                for (var sent = 0; sent < bytes.Length;) sent += await socket.SendAsync(bytes.AsMemory(sent), ending.Token);
                if (!reset)
                {
                    socket.Shutdown(SocketShutdown.Send);
                    while (await socket.ReceiveAsync(one, ending.Token) > 0)
                    {
                    }
                }
                else
                {
                    // A reset overtakes what is still on its way: first let the other side have it.
                    while (await Unsent(socket) > 0) await Task.Yield();
                    socket.LingerState = new LingerOption(true, 0);
                }
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException)
            {
                // The other side has gone, or the test is over.
            }
        }
    }

    /// <summary>Bytes that the other side has not taken yet (SIOCOUTQ); elsewhere than on Linux nobody tells.</summary>
    static Task<int> Unsent(Socket socket)
    {
        if (!OperatingSystem.IsLinux()) return Task.FromResult(0);
        var left = new byte[4];
        socket.IOControl(0x5411, null, left);
        return Task.FromResult(BitConverter.ToInt32(left));
    }
}
