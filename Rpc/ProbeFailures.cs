using System.Globalization;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;

namespace Stigmer.Rpc;

/// <summary>What can stand between us and a Temporal that others run, in words.</summary>
/// <param name="connection">Where we want to go.</param>
/// <param name="host">Where that begins: there, or at a proxy.</param>
sealed class ProbeFailures(TemporalConnection connection, string host)
{
    const string CheckAddress = "Check TEMPORAL_SERVICE_ADDRESS or temporal.address, and that Temporal runs there";

    const string CheckName = "Check TEMPORAL_SERVICE_ADDRESS or temporal.address, and this machine's name service";

    const string NameAuthority = "TEMPORAL_TLS_SERVER_CA_CERT_PATH (temporal.tls.ca_file)";

    /// <summary>Alerts by which a server refuses a client's certificate (RFC 8446, 6), as OpenSSL words them.</summary>
    static readonly string[] CertificateAlerts =
        ["certificate required", "bad certificate", "unknown ca", "certificate expired", "certificate unknown", "unsupported certificate", "certificate revoked", "access denied"];

    string Where => $"Temporal at {connection.Address}";

    public Failure NoName(Exception e) => Unreachable(
        e is SocketException { SocketErrorCode: SocketError.TryAgain } ? $"the name {host} cannot be looked up: no name server answers" : $"the name {host} does not resolve", CheckName, e);

    public Failure NoAnswerToName(TimeSpan waited) => Unreachable($"the name {host} cannot be looked up: no name server answers within {Seconds(waited)}", CheckName, null);

    public Failure NoConnection(TimeSpan waited) => Unreachable(
        $"it did not answer within {Seconds(waited)}: a firewall on the way drops the connection, or the machine is off", CheckAddress, null);

    public Failure NotConnected(Exception e, Uri? proxy) => e switch
    {
        SocketException socket when proxy is not null => Unreachable($"the proxy at {proxy.Host}:{proxy.Port}: {Why(socket)}", "Check HTTPS_PROXY and NO_PROXY", e),
        SocketException socket => Unreachable(Why(socket), CheckAddress, e),
        _ => Unreachable(e.Message, "Check HTTPS_PROXY and NO_PROXY", e),
    };

    public Failure Silent(TimeSpan waited) => new(
        $"{Where} cannot be used", $"it takes the connection and does not answer within {Seconds(waited)}", "Check that the address is Temporal's gRPC port, and that it is well");

    public Failure HangsUp() => new($"{Where} cannot be used", "it takes the connection and hangs up", "Check that the address is Temporal's gRPC port");

    public Failure NoGrpc(bool web) => new(
        $"What answers at {connection.Address} is no Temporal", web ? "it is a web server: it speaks HTTP/1.1, and gRPC needs HTTP/2" : "it does not speak HTTP/2, which gRPC needs",
        "Check that the address is Temporal's gRPC port (usually 7233), not its web UI's");

    public Failure WantsTls() => new(
        $"{Where} wants TLS", "plaintext was tried, since nothing says that it is TLS",
        $"Set TEMPORAL_TLS=true (temporal.tls.enabled: true), and where its authority is not a public one, {NameAuthority}");

    public Failure SpeaksPlaintext() => new(
        $"There is no TLS with {Where}", "it speaks plaintext",
        "Use its TLS port, or set TEMPORAL_TLS=false (temporal.tls.enabled: false)" + (connection.ApiKey is null ? "" : ": the API key then travels readable by anyone on the way"));

    public Failure NoTls(Exception e) => new(
        $"There is no TLS with {Where}", Innermost(e), $"Check that the port speaks TLS, and TEMPORAL_TLS_SERVER_NAME; TEMPORAL_TLS=false is plaintext", inner: e);

    /// <summary>The server's certificate is not taken.</summary>
    public Failure Certificate(X509Certificate2 certificate, SslPolicyErrors errors, X509ChainStatusFlags status)
    {
        var invalid = $"The certificate of {Where}";
        const X509ChainStatusFlags Unknown = X509ChainStatusFlags.UntrustedRoot | X509ChainStatusFlags.PartialChain | X509ChainStatusFlags.NotSignatureValid;
        if ((status & Unknown) != 0)
        {
            var known = connection.Tls is { CaFile: null, CaData: null } ? "which this machine does not know" : "which is not the authority that is configured";
            return new Failure(
                $"{invalid} is of an authority that is not trusted", $"it was issued by {certificate.Issuer}, {known}", $"Set {NameAuthority} to the authority's certificate");
        }
        if ((status & X509ChainStatusFlags.NotTimeValid) != 0)
        {
            var (what, until) = certificate.NotBefore > DateTime.Now ? ("is not valid yet", $"it is valid from {Day(certificate.NotBefore)}")
                : certificate.NotAfter < DateTime.Now ? ("has expired", $"it was valid until {Day(certificate.NotAfter)}")
                : ("has an authority that has expired", certificate.Issuer);
            return new Failure($"{invalid} {what}", $"{until}, and this machine's clock says {Day(DateTime.Now)}", "It has to be renewed there; or set this machine's clock");
        }
        if ((errors & SslPolicyErrors.RemoteCertificateNameMismatch) != 0)
        {
            return new Failure(
                $"{invalid} is not for the name {connection.Tls!.ServerName ?? connection.Address.Host.Trim('[', ']')}", $"it is for {Names(certificate)}",
                "Set TEMPORAL_TLS_SERVER_NAME (temporal.tls.server_name) to that name, if this is the Temporal that you mean");
        }
        return new Failure($"{invalid} is not valid", $"{(status == 0 ? errors.ToString() : status.ToString())}", $"Check it, and {NameAuthority}");
    }

    /// <summary>The server wants a certificate of ours, or another than ours; null: that is not what hinders it.</summary>
    /// <param name="said">What ended the connection; null: the server hung up.</param>
    public Failure? ClientCertificate(Exception? said, bool asked, X509Certificate2? own)
    {
        var alert = said is null ? null : CertificateAlerts.FirstOrDefault(Innermost(said).Contains);
        if (own is null)
        {
            return asked || alert == "certificate required"
                ? new Failure(
                    $"{Where} wants a client certificate", "it asked for one, and none is configured",
                    "Set TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH (temporal.tls.cert_file and key_file)")
                : null;
        }
        // Many say nothing and hang up, which nobody does to a client that they let in.
        if (said is not null && alert is null && !HungUp(said)) return null;
        var expired = own.NotAfter < DateTime.Now ? $"it was valid until {Day(own.NotAfter)}" : null;
        return new Failure(
            $"{Where} does not take our client certificate", $"{own.Subject}, issued by {own.Issuer}: {expired ?? (alert is null ? "it hung up" : $"it says '{alert}'")}",
            "Set TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH (temporal.tls.cert_file and key_file) to one of an authority that it trusts");
    }

    /// <summary>Whether the other side spoke TLS when it refused.</summary>
    public static bool IsAlert(Exception e) => Innermost(e).Contains("alert", StringComparison.OrdinalIgnoreCase);

    /// <summary>The alert of a server that was offered HTTP/2 alone and does not speak it.</summary>
    public static bool WantsOtherProtocol(Exception e) => Innermost(e).Contains("no application protocol", StringComparison.Ordinal);

    static bool HungUp(Exception e) => e is IOException or SocketException && !IsAlert(e);

    static string Why(SocketException e) => e.SocketErrorCode switch
    {
        SocketError.ConnectionRefused => "the connection is refused: nobody listens on that port",
        SocketError.HostUnreachable or SocketError.NetworkUnreachable or SocketError.NetworkDown or SocketError.HostDown => "there is no route to it from this machine",
        SocketError.TimedOut => "it did not answer: a firewall on the way drops the connection, or the machine is off",
        SocketError.HostNotFound or SocketError.NoData => "the name does not resolve",
        _ => e.Message,
    };

    static string Innermost(Exception e)
    {
        while (e.InnerException is { } inner) e = inner;
        return e.Message;
    }

    static string Names(X509Certificate2 certificate)
    {
        var names = certificate.Extensions.OfType<X509SubjectAlternativeNameExtension>()
            .SelectMany(extension => extension.EnumerateDnsNames().Concat(extension.EnumerateIPAddresses().Select(address => address.ToString())))
            .ToList();
        return names.Count == 0 ? certificate.Subject : string.Join(", ", names);
    }

    Failure Unreachable(string why, string remedy, Exception? e) => new($"{Where} cannot be reached", why, remedy, inner: e);

    static string Day(DateTime time) => time.ToUniversalTime().ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture);

    static string Seconds(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.#} s");
}
