using System.Buffers;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Stigmer.Rpc;

namespace Stigmer.Runtime.Temporal;

/// <summary>The place cannot be reached, or breaks off: trying later, or elsewhere, may help.</summary>
/// <param name="why">For people.</param>
/// <param name="later">The server's wish: not before so long; null: it has none.</param>
/// <param name="lasting">Another attempt would end the same way.</param>
/// <param name="inner">What was caught.</param>
sealed class Unreachable(string why, TimeSpan? later = null, bool lasting = false, Exception? inner = null) : Exception(why, inner)
{
    public TimeSpan? Later { get; } = later;

    public bool Lasting { get; } = lasting;
}

/// <summary>The place says that there is no such thing (404, 410).</summary>
sealed class NotThere(string url, int code) : Exception($"{url} answered {code}");

/// <summary>
/// Fetches a release's files: HTTPS unless the user named an http mirror, few redirects and none from https to http, bounded in
/// size and in silence; a transfer that breaks off goes on where it was. Throws <see cref="Unreachable"/>,
/// <see cref="NotThere"/>, or a <see cref="Failure"/> for an answer that a release never gives.
/// </summary>
sealed class Download : IDisposable
{
    /// <summary>How much is read, hashed and written at a time, in bytes.</summary>
    public const int PieceSize = 128 * 1024;

    /// <summary>The most redirects that are followed; GitHub needs one.</summary>
    const int MaxRedirects = 5;

    readonly DownloadPatience patience;
    readonly TimeProvider time;
    readonly Action<string, TimeSpan>? retrying;
    readonly Proxy? proxy;
    readonly HttpMessageInvoker http;

    /// <summary>The connection of the latest request.</summary>
    Wire? wire;

    /// <summary>Somebody has answered something: there is a network.</summary>
    bool heard;

    /// <summary>What is wrong with the latest certificate; null: nothing.</summary>
    string? mistrust;

    /// <param name="handler">For tests; null: a connection of our own, through the proxy that the environment names.</param>
    /// <param name="patience">How long it waits and how often it tries.</param>
    /// <param name="time">The clock.</param>
    /// <param name="retrying">Is told before each further attempt.</param>
    public Download(HttpMessageHandler? handler, DownloadPatience patience, TimeProvider time, Action<string, TimeSpan>? retrying = null)
    {
        (this.patience, this.time, this.retrying) = (patience, time, retrying);
        if (handler is null) proxy = Proxy.ForDownloads;
        http = new HttpMessageInvoker(
            handler ?? new SocketsHttpHandler
            {
                AllowAutoRedirect = false,
                UseCookies = false,
                Proxy = proxy,
                SslOptions = { RemoteCertificateValidationCallback = (_, _, chain, errors) => (mistrust = Mistrust(chain, errors)) is null },
                PlaintextStreamFilter = (connection, _) => new(wire = new Wire(connection.PlaintextStream)),
            },
            disposeHandler: handler is null);
    }

    /// <summary>A small text.</summary>
    public async Task<string> Text(Uri url, CancellationToken cancel)
    {
        var text = new ReceivedText();
        await Into(text, url, null, 1 << 20, cancel);
        return text.ToString();
    }

    /// <summary>A file, as far as it is not there yet.</summary>
    /// <param name="into">Where its bytes go.</param>
    /// <param name="url">Where it is.</param>
    /// <param name="arrived">Bytes so far and in all, when the answer begins and then after every piece.</param>
    /// <param name="limit">The most bytes that are taken.</param>
    public async Task Into(IReceived into, Uri url, Action<long, long?>? arrived, long limit, CancellationToken cancel)
    {
        var farthest = into.Length;
        var failures = 0;
        for (var mayResume = true; ; )
        {
            if (into.Length > 0 && into.Length == into.Total)
            {
                arrived?.Invoke(into.Length, into.Total);
                await into.Resume(cancel);
                return;
            }
            try
            {
                await Once(into, url, mayResume && into is { Length: > 0, Validator: not null }, arrived, limit, cancel);
                return;
            }
            catch (NoContinuation)
            {
                // The next answer begins anew; that this one did not help is no failure of the network.
                mayResume = false;
            }
            catch (Unreachable e) when (!e.Lasting && (heard || patience.RetriesUnanswered) && !(e.Later > DownloadPatience.MostRetryAfter))
            {
                if (into.Length > farthest) (farthest, failures) = (into.Length, 0);
                if (patience.Pause(++failures) is not { } pause) throw;
                if (e.Later > pause) pause = e.Later.Value;
                retrying?.Invoke(e.Message, pause);
                await Task.Delay(pause, time, cancel);
            }
        }
    }

    /// <summary>An address for people and for the record: without a login, and without the query that may hold a signature.</summary>
    public static string Shown(Uri url) => url.GetComponents(UriComponents.SchemeAndServer | UriComponents.Path, UriFormat.UriEscaped);

    public void Dispose()
    {
        http.Dispose();
        wire?.Abandon();
    }

    async Task Once(IReceived into, Uri url, bool resume, Action<long, long?>? arrived, long limit, CancellationToken cancel)
    {
        using var silence = new CancellationTokenSource(Timeout.InfiniteTimeSpan, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel, silence.Token);
        var answered = false;
        var place = url;
        try
        {
            using var response = await Answer(into, url, resume, silence, next => (answered, place) = (true, next), either.Token);
            answered = true;
            silence.CancelAfter(Timeout.InfiniteTimeSpan);
            if (response.StatusCode == HttpStatusCode.PartialContent)
            {
                await into.Resume(cancel);
            }
            else
            {
                var total = response.Content.Headers.ContentLength;
                if (total > limit) throw Refused(place, $"it is larger than {limit >> 20} MB");
                await into.Restart(Validator(response, time.GetUtcNow()), total);
            }
            arrived?.Invoke(into.Length, into.Total);
            await Body(response, into, place, arrived, limit, silence, either.Token);
        }
        catch (OperationCanceledException e) when (silence.IsCancellationRequested && !cancel.IsCancellationRequested)
        {
            throw new Unreachable(answered ? $"{place.Authority} sent nothing for {patience.Stall.TotalSeconds:0} s" : $"{Named(place)} did not answer within {FirstByte.TotalSeconds:0} s", inner: e);
        }
        catch (HttpRequestException e)
        {
            throw Broken(e, place);
        }
        catch (HttpIOException e)
        {
            throw new Unreachable($"{place.Authority} broke off", inner: e);
        }
    }

    TimeSpan FirstByte => heard ? patience.Stall : patience.FirstByte;

    async Task<HttpResponseMessage> Answer(IReceived into, Uri url, bool resume, CancellationTokenSource silence, Action<Uri> redirected, CancellationToken cancel)
    {
        var place = url;
        for (var redirects = 0; ; redirects++)
        {
            silence.CancelAfter(FirstByte);
            wire?.Abandon();
            using var request = new HttpRequestMessage(HttpMethod.Get, place);
            request.Headers.TryAddWithoutValidation("User-Agent", "stigmer");
            request.Headers.ConnectionClose = true;
            // The bytes that were hashed when the release was made, and no other form of them.
            request.Headers.TryAddWithoutValidation("Accept-Encoding", "identity");
            if (place.UserInfo.Length > 0) request.Headers.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(Uri.UnescapeDataString(place.UserInfo))));
            if (resume)
            {
                request.Headers.Range = new RangeHeaderValue(into.Length, null);
                request.Headers.TryAddWithoutValidation("If-Range", into.Validator);
            }
            var response = await http.SendAsync(request, cancel);
            heard = true;
            if (response.StatusCode == HttpStatusCode.OK) return response;
            if (response.StatusCode == HttpStatusCode.PartialContent && resume && Continues(response, into)) return response;
            using (response)
            {
                if (response.StatusCode is HttpStatusCode.PartialContent or HttpStatusCode.RequestedRangeNotSatisfiable && resume) throw new NoContinuation();
                place = Next(response, place) ?? throw Refused(place, Explained(response));
                if (redirects == MaxRedirects) throw Refused(url, $"it was redirected more than {MaxRedirects} times");
                redirected(place);
            }
        }
    }

    /// <summary>Where an answer sends us; null: nowhere. Throws on an answer that says that the file is not to be had, or not now.</summary>
    Uri? Next(HttpResponseMessage response, Uri place)
    {
        var code = (int)response.StatusCode;
        if (code is 404 or 410) throw new NotThere(Shown(place), code);
        if (code is 408 or 425 or 429 or >= 500)
        {
            var later = RetryAfter(response, time.GetUtcNow());
            throw new Unreachable($"{place.Authority} answered {code}{(later > DownloadPatience.MostRetryAfter ? $", and wants to be asked again in {Words(later.Value)}" : "")}", later);
        }
        if (code is not (301 or 302 or 303 or 307 or 308) || !response.Headers.TryGetValues("Location", out var locations)) return null;
        if (!Uri.TryCreate(place, string.Join(',', locations), out var next)) throw Refused(place, "it redirects to something that is no address");
        if (next.Scheme != "https" && (next.Scheme != "http" || place.Scheme == "https")) throw Refused(place, $"it redirects to {Shown(next)}, which is not https");
        return next;
    }

    static string Explained(HttpResponseMessage response) => (int)response.StatusCode switch
    {
        401 => "the answer was 401: it asks for a login (STIGMER_TEMPORAL_MIRROR takes one, https://USER:PASSWORD@HOST)",
        403 => "the answer was 403: it is forbidden from here",
        407 => "the answer was 407: the proxy asks for a login (https_proxy takes one, http://USER:PASSWORD@HOST:PORT)",
        451 => "the answer was 451: it is not given out where you are",
        var code => $"the answer was {code}",
    };

    async Task Body(HttpResponseMessage response, IReceived into, Uri place, Action<long, long?>? arrived, long limit, CancellationTokenSource silence, CancellationToken cancel)
    {
        if (wire is not null) wire.Announced = response.Content.Headers.ContentLength;
        var isPage = response.Content.Headers.ContentType?.MediaType is "text/html" or "application/xhtml+xml";
        await using var body = await response.Content.ReadAsStreamAsync(cancel);
        var buffer = ArrayPool<byte>.Shared.Rent(PieceSize);
        try
        {
            while (true)
            {
                silence.CancelAfter(patience.Stall);
                int count;
                try
                {
                    count = await body.ReadAsync(buffer.AsMemory(0, PieceSize), cancel);
                }
                catch (IOException e) when (e is not HttpIOException)
                {
                    throw new Unreachable($"{place.Authority} broke off", inner: e);
                }
                // A slow disk is no silence of the server.
                silence.CancelAfter(Timeout.InfiniteTimeSpan);
                if (count == 0) break;
                if (into.Length == 0 && IsPage(buffer.AsSpan(0, count), isPage)) throw Refused(place, "the answer is an HTML page: a sign-in page of this network, perhaps");
                if (into.Length + count > into.Total) throw Refused(place, $"it is longer than the {into.Total} bytes that were announced");
                if (into.Length + count > limit) throw Refused(place, $"it is larger than {limit >> 20} MB");
                await into.Append(buffer.AsMemory(0, count), cancel);
                arrived?.Invoke(into.Length, into.Total);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
        if (into.Length < into.Total) throw new Unreachable($"{place.Authority} broke off");
        if (wire is { Announced: { } announced } && await wire.HasMore(time, cancel)) throw Refused(place, $"it is longer than the {announced} bytes that were announced");
        if (into.Length == 0) throw Refused(place, "the answer is empty");
    }

    /// <summary>Whether an answer is the rest of what is there, and of the very same thing.</summary>
    static bool Continues(HttpResponseMessage response, IReceived into)
    {
        if (response.Content.Headers.ContentRange is not { Unit: "bytes", From: { } from, To: { } to } range || from != into.Length) return false;
        if (range.Length is { } whole && (to >= whole || (into.Total is { } total && whole != total))) return false;
        if (response.Content.Headers.ContentLength is { } length && length != to - from + 1) return false;
        var name = into.Validator!.StartsWith('"') ? "ETag" : "Last-Modified";
        return Header(response, name) is not { } now || now == into.Validator;
    }

    /// <summary>
    /// What names the bytes of an answer (RFC 9110, 8.8 and 13.1.5): an ETag that is not weak, else a Last-Modified that is at
    /// least a second before the answer, as there may have been two versions in one second.
    /// </summary>
    static string? Validator(HttpResponseMessage response, DateTimeOffset now)
    {
        if (Header(response, "ETag") is { } tag && EntityTagHeaderValue.TryParse(tag, out var parsed) && !parsed.IsWeak) return tag;
        return response.Content.Headers.LastModified is { } modified && (response.Headers.Date ?? now) - modified >= TimeSpan.FromSeconds(1) ? Header(response, "Last-Modified") : null;
    }

    static string? Header(HttpResponseMessage response, string name) =>
        response.Headers.TryGetValues(name, out var values) || response.Content.Headers.TryGetValues(name, out values) ? string.Join(',', values) : null;

    /// <summary>Seconds, or a date; null: not said, or in the past. Numbers that are beyond all measure count as a day.</summary>
    static TimeSpan? RetryAfter(HttpResponseMessage response, DateTimeOffset now)
    {
        if (Header(response, "Retry-After") is not { } text) return null;
        if (text.Length > 0 && text.All(char.IsAsciiDigit)) return TimeSpan.FromSeconds(text.Length < 6 ? int.Parse(text, CultureInfo.InvariantCulture) : 86_400);
        return response.Headers.RetryAfter?.Date is { } date && date > now ? date - now : null;
    }

    static string Words(TimeSpan time) => time.TotalMinutes < 120 ? $"{time.TotalMinutes:0} min" : $"{time.TotalHours:0} h";

    /// <summary>Whether a body that is said to be a page, or begins like one, is one: an archive begins with gzip's 1F 8B, whatever its type.</summary>
    static bool IsPage(ReadOnlySpan<byte> beginning, bool saysSo)
    {
        if (beginning.StartsWith((ReadOnlySpan<byte>)[0x1F, 0x8B])) return false;
        if (saysSo) return true;
        if (beginning.StartsWith("\uFEFF"u8)) beginning = beginning[3..];
        return beginning.TrimStart(" \t\r\n"u8).StartsWith("<"u8);
    }

    Unreachable Broken(HttpRequestException e, Uri place) => (e.HttpRequestError, e.InnerException) switch
    {
        (HttpRequestError.NameResolutionError, _) => new($"{Named(place)} cannot be resolved", inner: e),
        (HttpRequestError.ProxyTunnelError, _) when e.StatusCode == HttpStatusCode.ProxyAuthenticationRequired =>
            new($"{Named(place)} asks for a login, or does not take the one in https_proxy (407)", lasting: true, inner: e),
        (HttpRequestError.ProxyTunnelError, _) => new($"{Named(place)} does not let us through to {place.Authority}{(e.StatusCode is { } code ? $" ({(int)code})" : "")}", inner: e),
        (HttpRequestError.SecureConnectionError, AuthenticationException) when mistrust is not null => new($"{place.Authority} {mistrust}", lasting: true, inner: e),
        (HttpRequestError.SecureConnectionError, _) => new($"there is no secure connection to {place.Authority}", inner: e),
        (_, SocketException socket) => new($"{Named(place)}: {socket.Message}", inner: e),
        _ => new($"{(heard ? place.Authority : Named(place))} broke off", inner: e),
    };

    static string? Mistrust(X509Chain? chain, SslPolicyErrors errors)
    {
        if (errors == SslPolicyErrors.None) return null;
        if (errors == SslPolicyErrors.RemoteCertificateNameMismatch) return "has a certificate for another name";
        return chain?.ChainStatus is [{ Status: X509ChainStatusFlags.NotTimeValid }, ..] status && status.All(one => one.Status == X509ChainStatusFlags.NotTimeValid)
            ? "has a certificate that is out of date by this machine's clock"
            : "has no certificate that this machine trusts (SSL_CERT_FILE names a file with further authorities)";
    }

    /// <summary>Whom we connect to: the proxy, where one stands before the place.</summary>
    string Named(Uri place) => proxy?.GetProxy(place) is { } between ? $"the proxy at {between.Host}:{between.Port}" : place.Authority;

    static Failure Refused(Uri url, string why) => new(
        $"{Shown(url)} is refused", why, "Check the network, STIGMER_TEMPORAL_MIRROR and the proxy, or start with --embedded; nothing was installed");

    /// <summary>An answer does not go on where the last one broke off.</summary>
    sealed class NoContinuation : Exception;
}
