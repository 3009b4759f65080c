namespace Stigmer.Agents.Tools.Mcp;

/// <summary>What an MCP server refused, or a connection to one that broke: a sentence for a model or a person.</summary>
/// <param name="message">The sentence.</param>
/// <param name="code">JSON-RPC's code of an error that the server answered; 0: it answered none.</param>
/// <param name="inner">What was caught.</param>
class McpException(string message, int code = 0, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>JSON-RPC's code (https://www.jsonrpc.org/specification#error_object); 0: the server answered no error.</summary>
    public int Code { get; } = code;
}

/// <summary>The server has forgotten the session, and did nothing of what it was asked: with a new one it can be asked again.</summary>
sealed class McpSessionLost() : McpException("The MCP server has forgotten the session");
