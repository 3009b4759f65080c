using System.Globalization;
using System.Net;

namespace Stigmer.Config;

/// <summary>
/// OLLAMA_HOST as Ollama's own client reads it (envconfig/config.go): the variable is the server's bind address at the same
/// time, which is why it may lack a scheme, a host or a port, and may name an address that cannot be connected to.
/// </summary>
static class OllamaHost
{
    const int DefaultPort = 11434;

    /// <summary>The base URL that a client uses; null where the text is no address at all.</summary>
    /// <param name="text">The variable's value.</param>
    /// <param name="warning">A port that Ollama would not take, and what is used instead; else null.</param>
    public static string? ToUrl(string text, out string? warning)
    {
        warning = null;
        var rest = text.Trim(' ', '\t', '\r', '\n', '"', '\'');
        if (rest.Contains('@', StringComparison.Ordinal)) return null;
        var (scheme, port) = ("http", DefaultPort);
        if (rest.IndexOf("://", StringComparison.Ordinal) is var colon and >= 0)
        {
            scheme = rest[..colon].ToLowerInvariant();
            rest = rest[(colon + 3)..];
            if (scheme is not ("http" or "https")) return null;
            port = scheme == "http" ? 80 : 443;
        }
        var slash = rest.IndexOf('/', StringComparison.Ordinal);
        var path = slash < 0 ? "" : rest[slash..].TrimEnd('/');
        var (host, written) = Split(slash < 0 ? rest : rest[..slash]);
        if (written is not null)
        {
            if (int.TryParse(written, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number <= 65535) port = number;
            else warning = $"OLLAMA_HOST has the port {ValueKind.Quote(written)}, which is none: {port} is used";
        }
        var url = $"{scheme}://{Reachable(host)}:{port}{path}";
        return ValueKind.TryUrl(url, out var value) ? value : null;
    }

    static (string Host, string? Port) Split(string text)
    {
        // An IPv6 address without brackets has no port.
        if (text.EndsWith(']') || (!text.StartsWith('[') && IPAddress.TryParse(text, out _))) return (text, null);
        var colon = text.LastIndexOf(':');
        return colon < 0 ? (text, null) : (text[..colon], text[(colon + 1)..]);
    }

    // A server binds to "every address"; a client that connects to it fails on Windows.
    static string Reachable(string host)
    {
        if (host.Length == 0) return "127.0.0.1";
        if (!IPAddress.TryParse(host.Trim('[', ']'), out var address) || host.All(char.IsAsciiDigit)) return host;
        if (address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any)) return "127.0.0.1";
        return address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 ? $"[{address}]" : address.ToString();
    }
}
