using System.Text.Json;

namespace Stigmer.Agents.Tools.Mcp;

/// <summary>Carries messages to a server. What comes from it goes to the callback that the transport was made with.</summary>
interface IMcpTransport : IAsyncDisposable
{
    /// <summary>Completes when no message will come any more; never fails.</summary>
    Task Ended { get; }

    /// <summary>
    /// Sends a message. Over HTTP a request's answer comes with it: it is handed on before this returns. Cancelling leaves
    /// an answer unread.
    /// </summary>
    /// <param name="message">JSON, without line feeds.</param>
    /// <param name="request">The id of a request, whose answer is to come; null: none is.</param>
    /// <exception cref="McpException">It could not be sent, or was not answered.</exception>
    Task Send(ReadOnlyMemory<byte> message, long? request, CancellationToken cancel);

    /// <summary>The handshake is done: from now on the server speaks this version of the protocol.</summary>
    void Agreed(string protocolVersion);
}

/// <summary>Takes a message from a server; true: it was the answer to the request with that id.</summary>
delegate bool McpReceived(JsonElement message, long? request);
