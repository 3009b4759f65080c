using System.Text;
using System.Text.Json;
using Stigmer.Agents.Llm;

namespace Stigmer.Agents.Tools.Mcp;

/// <summary>
/// MCP's stdio transport: one message a line, over the streams of a process that somebody else owns
/// (https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#stdio).
/// </summary>
sealed class McpStreams : IMcpTransport
{
    readonly Stream toServer;
    readonly Stream fromServer;
    readonly McpReceived received;
    readonly Log log;
    readonly SemaphoreSlim writing = new(1);
    readonly CancellationTokenSource stop = new();

    public McpStreams(Stream toServer, Stream fromServer, McpReceived received, Log log)
    {
        (this.toServer, this.fromServer, this.received, this.log) = (toServer, fromServer, received, log);
        Ended = Task.Run(Read);
    }

    public Task Ended { get; }

    public async Task Send(ReadOnlyMemory<byte> message, long? request, CancellationToken cancel)
    {
        await writing.WaitAsync(cancel).ConfigureAwait(false);
        try
        {
            var line = new byte[message.Length + 1];
            message.CopyTo(line);
            line[^1] = (byte)'\n';
            // Half a message would spoil the next one: once begun it is written whole, or the connection has ended.
            await toServer.WriteAsync(line, stop.Token).ConfigureAwait(false);
            await toServer.FlushAsync(stop.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or OperationCanceledException)
        {
            throw new McpException("The MCP server has ended", inner: e);
        }
        finally
        {
            writing.Release();
        }
    }

    public void Agreed(string protocolVersion)
    {
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync().ConfigureAwait(false);
        await Ended.ConfigureAwait(false);
        stop.Dispose();
    }

    async Task Read()
    {
        var lines = new LineReader(fromServer);
        try
        {
            while (await lines.NextFilled(stop.Token).ConfigureAwait(false) is { } line)
            {
                if (Parse(line.Span) is { } message) received(message, request: null);
            }
        }
        catch (Exception e) when (e is IOException or InvalidDataException or ObjectDisposedException or OperationCanceledException)
        {
            if (!stop.IsCancellationRequested) log.Warn("an MCP server's output could not be read on", ("error", e.Message));
        }
    }

    /// <summary>Null: servers print what they should not, a banner say.</summary>
    JsonElement? Parse(ReadOnlySpan<byte> line)
    {
        try
        {
            return JsonElement.Parse(line);
        }
        catch (JsonException)
        {
            log.Warn("an MCP server printed a line that is no message", ("line", Encoding.UTF8.GetString(line[..Math.Min(line.Length, 200)])));
            return null;
        }
    }
}
