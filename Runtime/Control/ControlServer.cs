using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;

namespace Stigmer.Runtime.Control;

/// <summary>One connection of a command.</summary>
sealed class ControlConnection
{
    readonly Channel<ControlReply> outgoing = Channel.CreateUnbounded<ControlReply>(new() { SingleReader = true });

    /// <summary>Puts a line into the connection's queue; one that hung up loses it.</summary>
    public void Send(ControlReply reply) => outgoing.Writer.TryWrite(reply);

    /// <summary>Ends the connection when what was sent is out.</summary>
    public void Finish() => outgoing.Writer.TryComplete();

    internal ChannelReader<ControlReply> Outgoing => outgoing.Reader;
}

/// <summary>The daemon's end of run/control.sock. What is asked is handled by <paramref name="asked"/>, one request after the other.</summary>
/// <param name="listen">Makes the listening socket.</param>
/// <param name="hello">What each connection is told first.</param>
/// <param name="asked">A request came.</param>
/// <param name="left">A connection ended.</param>
/// <param name="time">The clock.</param>
sealed class ControlServer(
    Func<Socket> listen, Func<ControlReply> hello, Action<ControlConnection, ControlRequest> asked, Action<ControlConnection> left, TimeProvider time) : IDisposable
{
    readonly Lock gate = new();
    readonly Dictionary<ControlConnection, Task> open = [];
    volatile Socket listener = listen();
    volatile bool disposed;

    /// <summary>Nothing stands any more where the socket was, or something that is none: nobody can connect.</summary>
    public bool IsLost(string path) => !disposed && (!File.Exists(path) || (File.GetAttributes(path) & FileAttributes.Directory) != 0);

    /// <summary>Listens anew; connections that are open stay.</summary>
    public void Renew()
    {
        // First: it takes along whatever stands where it was bound.
        listener.Dispose();
        try
        {
            listener = listen();
        }
        catch (Exception e) when (e is SocketException or IOException or UnauthorizedAccessException or Failure)
        {
            // Tried again at the next look.
        }
    }

    /// <summary>Accepts connections until disposed.</summary>
    public async Task Run()
    {
        while (true)
        {
            Socket socket;
            var accepting = listener;
            try
            {
                socket = await accepting.AcceptAsync();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                if (disposed) return;
                if (accepting != listener) continue;
                // One that hung up while it waited, or no descriptor is left for the moment, of whose end no event tells.
                await Task.Delay(TimeSpan.FromMilliseconds(100), time);
                continue;
            }
            var connection = new ControlConnection();
            lock (gate) open.Add(connection, Serve(connection, socket));
        }
    }

    /// <summary>Ends every connection when what was sent is out, at the latest after <paramref name="patience"/>.</summary>
    public async Task Drain(TimeSpan patience)
    {
        Task[] rest;
        lock (gate)
        {
            foreach (var connection in open.Keys) connection.Finish();
            rest = [.. open.Values];
        }
        try
        {
            await Task.WhenAll(rest).WaitAsync(patience, time);
        }
        catch (TimeoutException)
        {
            // Who does not read what it asked for does not keep us.
        }
    }

    /// <summary>Stops listening.</summary>
    public void Dispose()
    {
        disposed = true;
        listener.Dispose();
    }

    async Task Serve(ControlConnection connection, Socket socket)
    {
        // Its place in the list of the open ones comes first.
        await Task.Yield();
        await using var stream = new NetworkStream(socket, ownsSocket: true);
        connection.Send(hello());
        var writing = Write(connection, stream);
        var reading = Read(connection, stream);
        // Either end ends it: the other side hung up, or everything that was to be said is out.
        await Task.WhenAny(writing, reading);
        connection.Finish();
        left(connection);
        stream.Close();
        await Task.WhenAll(writing, reading);
        lock (gate) open.Remove(connection);
    }

    static async Task Write(ControlConnection connection, NetworkStream stream)
    {
        try
        {
            await foreach (var reply in connection.Outgoing.ReadAllAsync())
            {
                await stream.WriteAsync(Encoding.UTF8.GetBytes(reply.ToJson() + "\n"));
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // It hung up.
        }
    }

    async Task Read(ControlConnection connection, NetworkStream stream)
    {
        try
        {
            using var reader = new StreamReader(stream, Encoding.UTF8, false, 1024, leaveOpen: true);
            while (await reader.ReadLineAsync() is { } line)
            {
                if (JsonSerializer.Deserialize(line, ControlJson.Default.ControlRequest) is { } request) asked(connection, request);
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or JsonException)
        {
            // It hung up, or speaks another language.
        }
    }
}
