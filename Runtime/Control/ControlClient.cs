using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Stigmer.Config;
using Stigmer.Processes;

namespace Stigmer.Runtime.Control;

/// <summary>One connection to the daemon.</summary>
sealed class ControlClient : IDisposable
{
    readonly NetworkStream stream;
    readonly StreamReader reader;

    ControlClient(NetworkStream stream, StreamReader reader, ControlReply hello)
    {
        (this.stream, this.reader, Hello) = (stream, reader, hello);
        Daemon = hello.Pid is { } pid ? ProcessIdentity.Of(pid) : null;
    }

    /// <summary>What the daemon said first: its version, pid and phase.</summary>
    public ControlReply Hello { get; }

    /// <summary>The daemon's process; null where the system does not tell.</summary>
    public ProcessIdentity? Daemon { get; }

    /// <summary>How long a daemon may take to say hello; it does nothing else, so that more means that it hangs.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(6);

    /// <summary>Connects and reads the hello; null where nobody listens, or hangs up.</summary>
    public static async Task<ControlClient?> TryConnect(StigmerHome home, CancellationToken cancel)
    {
        if (await ControlSocket.TryConnect(home.ControlSocket, cancel) is not { } socket) return null;
        var stream = new NetworkStream(socket, ownsSocket: true);
        var reader = new StreamReader(stream, Encoding.UTF8);
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        patience.CancelAfter(Patience);
        try
        {
            if (await Read(reader, patience.Token) is { Type: ControlReply.Hello } hello) return new ControlClient(stream, reader, hello);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            // Listens and says nothing.
        }
        stream.Dispose();
        return null;
    }

    /// <summary>Asks.</summary>
    public async Task Send(ControlRequest request, CancellationToken cancel)
    {
        var line = JsonSerializer.SerializeToUtf8Bytes(request, ControlJson.Default.ControlRequest);
        try
        {
            await stream.WriteAsync((byte[])[.. line, (byte)'\n'], cancel);
        }
        catch (IOException)
        {
            // It hangs up: reading tells.
        }
    }

    /// <summary>The next line; null at the connection's end.</summary>
    public Task<ControlReply?> Next(CancellationToken cancel) => Read(reader, cancel);

    /// <summary>The stack's state; null where the daemon hangs up, or says nothing for so long.</summary>
    public async Task<StackState?> Status(TimeSpan limit, TimeProvider time, CancellationToken cancel)
    {
        using var patience = new CancellationTokenSource(limit, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancel);
        try
        {
            await Send(new ControlRequest(ControlRequest.Status), either.Token);
            while (await Next(either.Token) is { } reply)
            {
                if (reply is { Type: ControlReply.Status, State: { } state }) return state;
            }
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            // As good as its hanging up.
        }
        return null;
    }

    /// <summary>What the daemon sees of the engine when it looks now; null where it hangs up, or is of a release that does not look.</summary>
    public async Task<TemporalStatus?> Engine(CancellationToken cancel)
    {
        await Send(new ControlRequest(ControlRequest.Engine), cancel);
        while (await Next(cancel) is { } reply)
        {
            if (reply is { Type: ControlReply.Engine, Temporal: { } seen }) return seen;
        }
        return null;
    }

    /// <summary>Hangs up.</summary>
    public void Dispose() => stream.Dispose();

    static async Task<ControlReply?> Read(StreamReader reader, CancellationToken cancel)
    {
        try
        {
            return await reader.ReadLineAsync(cancel) is { } line ? JsonSerializer.Deserialize(line, ControlJson.Default.ControlReply) : null;
        }
        catch (Exception e) when (e is IOException or JsonException)
        {
            return null; // The daemon ended in the middle of a line.
        }
    }
}
