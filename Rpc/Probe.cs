using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Stigmer.Rpc;

/// <summary>
/// Whether there is a gRPC server at an address, found out step by step as a gRPC channel would go, since the channel itself tells
/// these apart badly or late: the name, the connection, TLS, HTTP/2's first frame (RFC 9113, 3.4). Nothing is asked of the server.
/// </summary>
sealed class Probe
{
    /// <summary>What HTTP/2 begins with: the preface and an empty SETTINGS frame.</summary>
    static readonly byte[] Greeting = [.. "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8, 0, 0, 0, 4, 0, 0, 0, 0, 0];

    readonly TemporalConnection connection;
    readonly Proxy proxy;
    readonly ProbeFailures failures;
    readonly DnsEndPoint target;
    readonly Uri? through;

    Probe(TemporalConnection connection, Proxy proxy)
    {
        (this.connection, this.proxy) = (connection, proxy);
        target = new DnsEndPoint(connection.Address.Host.Trim('[', ']'), connection.Address.Port);
        through = proxy.ForTunnel(target);
        failures = new ProbeFailures(connection, Next.Host);
    }

    /// <summary>Whom we connect to: the proxy, where one stands before the target.</summary>
    DnsEndPoint Next => through is null ? target : new DnsEndPoint(through.Host, through.Port);

    /// <summary>What a server says to HTTP/2's greeting.</summary>
    enum Answer { Http2, Web, Tls, Other, Closed }

    /// <summary>Completes where a gRPC server may be; fails with a <see cref="Failure"/> that says what is in the way.</summary>
    /// <param name="patience">How long the connection may take, and then its first answer.</param>
    public static async Task Run(TemporalConnection connection, TimeSpan patience, TimeProvider time, CancellationToken cancel, Proxy? proxy = null)
    {
        var probe = new Probe(connection, proxy ?? Proxy.FromEnvironment);
        var options = connection.Tls is { } tls ? Tls.Options(tls) : null;
        await Within(patience, time, async limit => { await probe.LookUp(limit); return true; }, probe.failures.NoAnswerToName, cancel);
        await using var stream = await Within(patience, time, probe.Connect, probe.failures.NoConnection, cancel);
        await Within(patience, time, async limit => { await (options is null ? probe.Plaintext(stream, limit) : probe.Secure(stream, options, limit)); return true; }, probe.failures.Silent, cancel);
    }

    static async Task<T> Within<T>(TimeSpan patience, TimeProvider time, Func<CancellationToken, Task<T>> work, Func<TimeSpan, Failure> late, CancellationToken cancel)
    {
        using var limit = new CancellationTokenSource(patience, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel, limit.Token);
        try
        {
            // Looking up a name cannot be cancelled everywhere.
            return await work(either.Token).WaitAsync(either.Token);
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested && !cancel.IsCancellationRequested)
        {
            throw late(patience);
        }
    }

    async Task LookUp(CancellationToken cancel)
    {
        // Dial knows localhost without asking.
        if (IPAddress.TryParse(Next.Host, out _) || Next.Host == "localhost") return;
        try
        {
            await Dns.GetHostAddressesAsync(Next.Host, cancel);
        }
        catch (SocketException e)
        {
            throw failures.NoName(e);
        }
        catch (ArgumentException e)
        {
            // Too long to be one.
            throw failures.NoName(e);
        }
    }

    async Task<Stream> Connect(CancellationToken cancel)
    {
        Stream? stream = null;
        try
        {
            stream = await Dial.Connect(Next, cancel);
            if (through is not null) await proxy.OpenTunnel(stream, through, target, cancel);
            return stream;
        }
        catch (Exception e) when (e is SocketException or IOException or HttpRequestException)
        {
            if (stream is not null) await stream.DisposeAsync();
            throw failures.NotConnected(e, through);
        }
    }

    async Task Plaintext(Stream stream, CancellationToken cancel)
    {
        var answer = await Greet(stream, cancel);
        if (answer == Answer.Http2) return;
        // A TLS server hangs up on plaintext without a word, or answers as a web server does.
        if (answer == Answer.Tls || await SpeaksTls(cancel)) throw failures.WantsTls();
        throw answer == Answer.Closed ? failures.HangsUp() : failures.NoGrpc(answer == Answer.Web);
    }

    async Task Secure(Stream stream, SslClientAuthenticationOptions options, CancellationToken cancel)
    {
        var seen = new Seen(options);
        await using var ssl = new SslStream(stream, leaveInnerStreamOpen: true);
        try
        {
            await ssl.AuthenticateAsClientAsync(seen.Options(connection.Tls!.ServerName ?? target.Host), cancel);
        }
        catch (Exception e) when (e is AuthenticationException or IOException or SocketException)
        {
            if (seen.Refused) throw failures.Certificate(seen.Certificate!, seen.Errors, seen.Status);
            if (failures.ClientCertificate(e, seen.Asked, seen.Own) is { } certificate) throw certificate;
            if (ProbeFailures.IsAlert(e)) throw ProbeFailures.WantsOtherProtocol(e) ? failures.NoGrpc(web: true) : failures.NoTls(e);
            throw await SpeaksPlaintext(cancel) switch
            {
                Answer.Http2 => failures.SpeaksPlaintext(),
                Answer.Web => failures.NoGrpc(web: true),
                _ => failures.NoTls(e),
            };
        }
        Answer answer;
        try
        {
            answer = await Greet(ssl, cancel);
        }
        catch (Exception e) when (e is AuthenticationException or IOException)
        {
            // By TLS 1.3 a server says only now what it thinks of our certificate.
            throw failures.ClientCertificate(e, seen.Asked, seen.Own) ?? failures.NoTls(e);
        }
        if (answer == Answer.Closed) throw failures.ClientCertificate(null, seen.Asked, seen.Own) ?? failures.HangsUp();
        if (ssl.NegotiatedApplicationProtocol != SslApplicationProtocol.Http2 || answer != Answer.Http2) throw failures.NoGrpc(answer == Answer.Web);
    }

    /// <summary>Whether the server, asked by TLS and trusted whoever it is, answers by TLS.</summary>
    async Task<bool> SpeaksTls(CancellationToken cancel)
    {
        await using var stream = await Connect(cancel);
        await using var ssl = new SslStream(stream, leaveInnerStreamOpen: true);
        try
        {
            await ssl.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = target.Host, RemoteCertificateValidationCallback = (_, _, _, _) => true }, cancel);
            return true;
        }
        catch (Exception e) when (e is AuthenticationException or IOException or SocketException)
        {
            return ProbeFailures.IsAlert(e);
        }
    }

    async Task<Answer> SpeaksPlaintext(CancellationToken cancel)
    {
        try
        {
            await using var stream = await Connect(cancel);
            return await Greet(stream, cancel);
        }
        catch (Exception e) when (e is Failure or IOException)
        {
            return Answer.Closed;
        }
    }

    static async Task<Answer> Greet(Stream stream, CancellationToken cancel)
    {
        var frame = new byte[9];
        int count;
        try
        {
            await stream.WriteAsync(Greeting, cancel);
            count = await stream.ReadAtLeastAsync(frame, frame.Length, throwOnEndOfStream: false, cancel);
        }
        catch (IOException) when (stream is not SslStream)
        {
            return Answer.Closed;
        }
        return frame.AsSpan(0, count) switch
        {
            [] => Answer.Closed,
            [_, _, _, 4, _, 0, 0, 0, 0] => Answer.Http2,
            [0x15, 3, ..] => Answer.Tls,
            // GOAWAY, HTTP_1_1_REQUIRED: so says Kestrel where it is told to speak HTTP/1.1 only.
            [_, _, _, 7, _, 0, 0, 0, 0] => Answer.Web,
            [(byte)'H', (byte)'T', (byte)'T', (byte)'P', ..] or [(byte)'<', ..] => Answer.Web,
            _ => Answer.Other,
        };
    }

    /// <summary>What came up during a handshake.</summary>
    sealed class Seen(SslClientAuthenticationOptions configured)
    {
        /// <summary>The server's certificate was looked at and not taken.</summary>
        public bool Refused { get; private set; }

        public SslPolicyErrors Errors { get; private set; }

        public X509ChainStatusFlags Status { get; private set; }

        public X509Certificate2? Certificate { get; private set; }

        /// <summary>The server asked for a certificate of ours, and there is none.</summary>
        public bool Asked { get; private set; }

        /// <summary>Our certificate; null: there is none.</summary>
        public X509Certificate2? Own => configured.ClientCertificateContext?.TargetCertificate;

        public SslClientAuthenticationOptions Options(string host)
        {
            var options = new SslClientAuthenticationOptions
            {
                TargetHost = host,
                ApplicationProtocols = [SslApplicationProtocol.Http2],
                CertificateChainPolicy = configured.CertificateChainPolicy,
                ClientCertificateContext = configured.ClientCertificateContext,
                RemoteCertificateValidationCallback = Verify,
            };
            if (Own is null)
            {
                options.LocalCertificateSelectionCallback = (_, _, _, server, _) =>
                {
                    // Called before the handshake as well, when nobody has asked yet.
                    Asked |= server is not null;
                    return null!;
                };
            }
            return options;
        }

        bool Verify(object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors)
        {
            Errors = errors;
            Certificate = certificate is null ? null : X509CertificateLoader.LoadCertificate(certificate.GetRawCertData());
            foreach (var status in chain?.ChainStatus ?? []) Status |= status.Status;
            var taken = configured.RemoteCertificateValidationCallback?.Invoke(sender, certificate, chain, errors) ?? errors == SslPolicyErrors.None;
            Refused = !taken;
            return taken;
        }
    }
}
