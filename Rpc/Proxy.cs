using System.Net;
using System.Text;

namespace Stigmer.Rpc;

/// <summary>
/// HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY as .NET reads them, but never for this machine itself: .NET's own would
/// send http://localhost through the proxy. For every HTTP client that we make; downloads have one of their own.
/// </summary>
/// <param name="environment">As .NET reads it.</param>
/// <param name="exceptions">NO_PROXY, of which .NET takes whole names and those that begin with a dot only; null: there is none.</param>
/// <param name="hereToo">For this machine as well.</param>
sealed class Proxy(IWebProxy environment, string? exceptions = null, bool hereToo = false) : IWebProxy
{
    /// <summary>What this process's environment says.</summary>
    public static Proxy FromEnvironment { get; } =
        new(HttpClient.DefaultProxy, Exceptions);

    /// <summary>
    /// The same for downloads, which go through it to a mirror on this machine too unless NO_PROXY names it, as curl's and uv's
    /// do: a mirror is set by hand, often as the near end of a tunnel that the proxy opens, and no default ever leads there.
    /// </summary>
    public static Proxy ForDownloads { get; } = new(HttpClient.DefaultProxy, Exceptions, hereToo: true);

    static string? Exceptions => Environment.GetEnvironmentVariable("no_proxy") ?? Environment.GetEnvironmentVariable("NO_PROXY");

    /// <inheritdoc/>
    public ICredentials? Credentials { get => environment.Credentials; set => environment.Credentials = value; }

    /// <inheritdoc/>
    public Uri? GetProxy(Uri destination) => IsBypassed(destination) ? null : environment.GetProxy(destination);

    /// <inheritdoc/>
    public bool IsBypassed(Uri host) => (host.IsLoopback && !hereToo) || environment.IsBypassed(host) || IsExcepted(host, exceptions);

    /// <summary>
    /// Whether NO_PROXY names a place, as curl reads it: <c>*</c>; a name with all names below it, with or without a dot or
    /// <c>*.</c> before it; an address, or a range of them as in <c>10.0.0.0/8</c>; each with a port behind or without.
    /// </summary>
    public static bool IsExcepted(Uri place, string? exceptions)
    {
        if (string.IsNullOrWhiteSpace(exceptions)) return false;
        var host = place.IdnHost.Trim('[', ']').TrimEnd('.');
        var isAddress = IPAddress.TryParse(host, out var address);
        foreach (var written in exceptions.Split((char[])[',', ' ', '\t'], StringSplitOptions.RemoveEmptyEntries))
        {
            if (written == "*") return true;
            if (isAddress && IPNetwork.TryParse(written, out var network) && network.Contains(address!)) return true;
            var name = written;
            var colon = written.LastIndexOf(':');
            // An address of IPv6 has colons of its own: with a port it stands in brackets.
            if (colon > 0 && (written.IndexOf(':', StringComparison.Ordinal) == colon || written[colon - 1] == ']') && ushort.TryParse(written.AsSpan(colon + 1), out var port))
            {
                if (port != place.Port) continue;
                name = written[..colon];
            }
            name = name.Trim('[', ']').TrimEnd('.');
            if (isAddress)
            {
                if (IPAddress.TryParse(name, out var one) && one.Equals(address)) return true;
                continue;
            }
            name = (name.StartsWith("*.", StringComparison.Ordinal) ? name[1..] : name).TrimStart('.');
            if (name.Length > 0 && host.EndsWith(name, StringComparison.OrdinalIgnoreCase) && (host.Length == name.Length || host[^(name.Length + 1)] == '.')) return true;
        }
        return false;
    }

    /// <summary>
    /// The proxy through which a plaintext gRPC connection to that place is tunnelled; null: none. HTTP/2 without TLS
    /// cannot be forwarded by a proxy, only tunnelled, so the proxy for https counts first, as with other gRPC clients.
    /// </summary>
    public Uri? ForTunnel(DnsEndPoint target)
    {
        var place = Written(target);
        return GetProxy(new Uri($"https://{place}")) ?? GetProxy(new Uri($"http://{place}"));
    }

    /// <summary>Asks the proxy at the other end of a fresh connection for a tunnel. Throws HttpRequestException when it will not.</summary>
    public async Task OpenTunnel(Stream connection, Uri proxy, DnsEndPoint target, CancellationToken cancel)
    {
        var place = Written(target);
        var request = new StringBuilder($"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n");
        if (Login(proxy) is { } login)
        {
            request.Append("Proxy-Authorization: Basic ").Append(Convert.ToBase64String(Encoding.UTF8.GetBytes(login))).Append("\r\n");
        }
        await connection.WriteAsync(Encoding.ASCII.GetBytes(request.Append("\r\n").ToString()), cancel);

        // Byte by byte: what follows the answer's empty line already belongs to the tunnel.
        var answer = new StringBuilder();
        var one = new byte[1];
        while (!EndsWithEmptyLine(answer))
        {
            if (answer.Length > 16 * 1024 || await connection.ReadAsync(one, cancel) == 0)
            {
                throw new HttpRequestException(HttpRequestError.ProxyTunnelError, $"The proxy at {proxy.Host}:{proxy.Port} did not answer CONNECT {place}");
            }
            answer.Append((char)one[0]);
        }
        var status = answer.ToString().Split('\r', 2)[0];
        if (status.Split(' ') is not [_, ['2', _, _], ..])
        {
            throw new HttpRequestException(HttpRequestError.ProxyTunnelError, $"The proxy at {proxy.Host}:{proxy.Port} answered CONNECT {place} with '{status}'");
        }
    }

    static string Written(DnsEndPoint target) =>
        target.Host.Contains(':', StringComparison.Ordinal) ? $"[{target.Host.Trim('[', ']')}]:{target.Port}" : $"{target.Host}:{target.Port}";

    static bool EndsWithEmptyLine(StringBuilder text) =>
        text.Length >= 4 && text[^1] == '\n' && text[^2] == '\r' && text[^3] == '\n' && text[^4] == '\r';

    string? Login(Uri proxy)
    {
        if (proxy.UserInfo.Length > 0) return Uri.UnescapeDataString(proxy.UserInfo);
        return Credentials?.GetCredential(proxy, "Basic") is { } found ? $"{found.UserName}:{found.Password}" : null;
    }
}
