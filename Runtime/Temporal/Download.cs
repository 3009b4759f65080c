using System.Buffers;
using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Text;
using Stigmer.Rpc;

namespace Stigmer.Runtime.Temporal;

/// <summary>How far a download has come.</summary>
/// <param name="Version">Of the Temporal CLI.</param>
/// <param name="Bytes">Received so far; 0 when the first answer has come.</param>
/// <param name="Total">What the server announced; null: nothing.</param>
readonly record struct DownloadProgress(string Version, long Bytes, long? Total);

/// <summary>How long a download waits, and how often it tries.</summary>
/// <param name="FirstByte">For the first byte of an answer.</param>
/// <param name="Stall">For the next bytes, once some have come.</param>
/// <param name="Retries">The pauses before further attempts.</param>
/// <param name="RetriesUnanswered">False: a server that never answered is not tried again.</param>
sealed record DownloadPatience(TimeSpan FirstByte, TimeSpan Stall, IReadOnlyList<TimeSpan> Retries, bool RetriesUnanswered)
{
    /// <summary>For a download that somebody asked for.</summary>
    public static DownloadPatience Asked { get; } =
        new(TimeSpan.FromSeconds(30), TimeSpan.FromSeconds(30), [TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(4)], true);

    /// <summary>For one that is only the default, and that something else can take the place of.</summary>
    public static DownloadPatience Default { get; } = Asked with { FirstByte = TimeSpan.FromSeconds(5), RetriesUnanswered = false };
}

/// <summary>The place cannot be reached, or breaks off: trying later, or elsewhere, may help.</summary>
sealed class Unreachable(string why, bool answered, Exception? inner = null) : Exception(why, inner)
{
    /// <summary>The server has answered before it broke off.</summary>
    public bool Answered { get; } = answered;
}

/// <summary>The place says that there is no such thing (404, 410).</summary>
sealed class NotThere(string url) : Exception(url);

/// <summary>
/// Fetches a release's files: HTTPS unless the user named an http mirror, few redirects and none from https to http, bounded in
/// size and in silence. Throws <see cref="Unreachable"/>, <see cref="NotThere"/>, or a <see cref="Failure"/> for an answer
/// that a release never gives.
/// </summary>
/// <param name="handler">For tests; null: a connection of our own, through the proxy that the environment names.</param>
sealed class Download(HttpMessageHandler? handler, DownloadPatience patience, TimeProvider time) : IDisposable
{
    /// <summary>The most redirects that are followed; GitHub needs one.</summary>
    const int MaxRedirects = 5;

    readonly Proxy? proxy = handler is null ? Proxy.FromEnvironment : null;

    readonly HttpMessageInvoker http = new(handler ?? new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, Proxy = Proxy.FromEnvironment }, handler is null);

    /// <summary>A small text.</summary>
    public async Task<string> Text(Uri url, CancellationToken cancel)
    {
        using var text = new MemoryStream();
        await Attempts(url, text, null, 1 << 20, cancel);
        return Encoding.UTF8.GetString(text.GetBuffer(), 0, (int)text.Length);
    }

    /// <summary>A file into a stream that can be begun again; answers its SHA-256 in small hex.</summary>
    /// <param name="arrived">Bytes so far and in all, when the answer begins and then after every piece.</param>
    /// <param name="limit">The most bytes that are taken.</param>
    public Task<string> File(Uri url, Stream target, Action<long, long?> arrived, long limit, CancellationToken cancel) => Attempts(url, target, arrived, limit, cancel);

    /// <summary>An address for people and for the record: without a login, and without the query that may hold a signature.</summary>
    public static string Shown(Uri url) => url.GetComponents(UriComponents.SchemeAndServer | UriComponents.Path, UriFormat.UriEscaped);

    public void Dispose() => http.Dispose();

    async Task<string> Attempts(Uri url, Stream target, Action<long, long?>? arrived, long limit, CancellationToken cancel)
    {
        for (var attempt = 0; ; attempt++)
        {
            try
            {
                // A later attempt begins anew. Going on where the last one broke off belongs here: keep what is in the
                // target, ask for the rest by Range with If-Range, and feed the hash with both.
                target.SetLength(0);
                return await Once(url, target, arrived, limit, cancel);
            }
            catch (Unreachable e) when (attempt < patience.Retries.Count && (e.Answered || patience.RetriesUnanswered))
            {
                await Task.Delay(patience.Retries[attempt], time, cancel);
            }
        }
    }

    async Task<string> Once(Uri url, Stream target, Action<long, long?>? arrived, long limit, CancellationToken cancel)
    {
        using var silence = new CancellationTokenSource(Timeout.InfiniteTimeSpan, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel, silence.Token);
        var answered = false;
        var place = url;
        try
        {
            using var response = await Answer(url, silence, next => (answered, place) = (true, next), either.Token);
            answered = true;
            var total = response.Content.Headers.ContentLength;
            if (total > limit) throw Refused(url, $"it is larger than {limit >> 20} MB");
            arrived?.Invoke(0, total);
            return await Body(response, url, target, arrived, limit, silence, either.Token);
        }
        catch (OperationCanceledException e) when (silence.IsCancellationRequested && !cancel.IsCancellationRequested)
        {
            throw new Unreachable($"{Named(place, answered)} {(answered ? $"sent nothing for {patience.Stall.TotalSeconds:0} s" : $"did not answer within {patience.FirstByte.TotalSeconds:0} s")}", answered, e);
        }
        catch (HttpRequestException e)
        {
            throw new Unreachable(Why(e, place), answered, e);
        }
        catch (HttpIOException e)
        {
            throw new Unreachable($"{place.Authority} broke off", answered, e);
        }
    }

    async Task<HttpResponseMessage> Answer(Uri url, CancellationTokenSource silence, Action<Uri> redirected, CancellationToken cancel)
    {
        var place = url;
        for (var redirects = 0; ; redirects++)
        {
            silence.CancelAfter(patience.FirstByte);
            using var request = new HttpRequestMessage(HttpMethod.Get, place);
            request.Headers.TryAddWithoutValidation("User-Agent", "stigmer");
            var response = await http.SendAsync(request, cancel);
            if (response.StatusCode == HttpStatusCode.OK) return response;
            using (response)
            {
                var code = (int)response.StatusCode;
                if (code is 404 or 410) throw new NotThere(Shown(place));
                if (code is 408 or 429 or >= 500) throw new Unreachable($"{place.Authority} answered {code}", true);
                if (code is not (301 or 302 or 303 or 307 or 308) || response.Headers.Location is not { } location) throw Refused(place, $"the answer was {code}");
                if (redirects == MaxRedirects) throw Refused(url, $"it was redirected more than {MaxRedirects} times");
                var next = new Uri(place, location);
                if (next.Scheme != "https" && (next.Scheme != "http" || place.Scheme == "https")) throw Refused(place, $"it redirects to {Shown(next)}, which is not https");
                redirected(next);
                place = next;
            }
        }
    }

    async Task<string> Body(
        HttpResponseMessage response, Uri url, Stream target, Action<long, long?>? arrived, long limit, CancellationTokenSource silence, CancellationToken cancel)
    {
        var total = response.Content.Headers.ContentLength;
        var isPage = response.Content.Headers.ContentType?.MediaType is "text/html" or "application/xhtml+xml";
        await using var body = await response.Content.ReadAsStreamAsync(cancel);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = ArrayPool<byte>.Shared.Rent(128 * 1024);
        try
        {
            long bytes = 0;
            while (true)
            {
                silence.CancelAfter(patience.Stall);
                int count;
                try
                {
                    count = await body.ReadAsync(buffer, cancel);
                }
                catch (IOException e) when (e is not HttpIOException)
                {
                    throw new Unreachable($"{url.Authority} broke off", true, e);
                }
                if (count == 0) break;
                if (bytes == 0 && IsPage(buffer.AsSpan(0, count), isPage))
                {
                    throw Refused(url, "the answer is an HTML page: a sign-in page of this network, perhaps");
                }
                bytes += count;
                if (bytes > total) throw Refused(url, $"it is longer than the {total} bytes that were announced");
                if (bytes > limit) throw Refused(url, $"it is larger than {limit >> 20} MB");
                hash.AppendData(buffer, 0, count);
                await target.WriteAsync(buffer.AsMemory(0, count), cancel);
                arrived?.Invoke(bytes, total);
            }
            if (bytes < total) throw new Unreachable($"{url.Authority} broke off", true);
            return Convert.ToHexStringLower(hash.GetHashAndReset());
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Whether a body that is said to be a page, or begins like one, is one: an archive begins with gzip's 1F 8B, whatever its type.</summary>
    static bool IsPage(ReadOnlySpan<byte> beginning, bool saysSo)
    {
        if (beginning.StartsWith((ReadOnlySpan<byte>)[0x1F, 0x8B])) return false;
        if (saysSo) return true;
        if (beginning.StartsWith("\uFEFF"u8)) beginning = beginning[3..];
        return beginning.TrimStart(" \t\r\n"u8).StartsWith("<"u8);
    }

    string Why(HttpRequestException e, Uri place) => (e.HttpRequestError, e.InnerException) switch
    {
        (HttpRequestError.NameResolutionError, _) => $"{Named(place)} cannot be resolved",
        (HttpRequestError.ProxyTunnelError, _) => $"{Named(place)} does not let us through to {place.Authority}",
        (HttpRequestError.SecureConnectionError, AuthenticationException) => $"{place.Authority} has no certificate that this machine trusts",
        (HttpRequestError.SecureConnectionError, _) => $"there is no secure connection to {place.Authority}",
        (_, SocketException socket) => $"{Named(place)}: {socket.Message}",
        _ => $"{Named(place)} broke off",
    };

    /// <summary>Whom we connect to: the proxy, where one stands before the place.</summary>
    string Named(Uri place, bool answered = false) =>
        !answered && proxy?.GetProxy(place) is { } between ? $"the proxy at {between.Host}:{between.Port}" : place.Authority;

    static Failure Refused(Uri url, string why) => new(
        $"{Shown(url)} is refused", why, "Check the network, STIGMER_TEMPORAL_MIRROR and the proxy, or start with --embedded; nothing was installed");
}
