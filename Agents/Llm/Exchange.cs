namespace Stigmer.Agents.Llm;

/// <summary>How a model's server is complained about.</summary>
interface IServerErrors
{
    /// <summary>Nothing answers there.</summary>
    ModelFailure NotAnswering(Exception caught);

    /// <summary>The stream ended, or fell silent, before the answer did.</summary>
    ModelFailure Broken(string why, bool retryable = true, Exception? caught = null);
}

/// <summary>
/// A request to a model's server and its streamed answer, with the two timers that take the place of HttpClient's: up to the
/// first byte, and between any two. Whatever goes wrong on the way is a <see cref="ModelFailure"/>.
/// </summary>
sealed class Exchange : IDisposable
{
    /// <summary>Between two pieces of an answer; a call of a tool may come whole, after the model has written all of it.</summary>
    static readonly TimeSpan DefaultIdle = TimeSpan.FromMinutes(5);

    /// <summary>For the body of a refusal.</summary>
    static readonly TimeSpan ForRefusal = TimeSpan.FromSeconds(30);

    /// <summary>The most that is read of a refusal's body, in bytes.</summary>
    const int MaxRefusal = 64 * 1024;

    readonly HttpClient http;
    readonly IServerErrors errors;
    readonly TimeSpan firstByte;
    readonly TimeSpan idle;
    readonly CancellationToken cancel;
    readonly CancellationTokenSource timer;
    readonly CancellationTokenSource either;
    HttpResponseMessage? response;

    /// <param name="firstByte">From the request to the first byte; at least five minutes.</param>
    /// <param name="idle">Between any two bytes; null: five minutes.</param>
    public Exchange(HttpClient http, IServerErrors errors, TimeSpan firstByte, TimeProvider time, CancellationToken cancel, TimeSpan? idle = null)
    {
        (this.http, this.errors, this.firstByte, this.cancel) = (http, errors, firstByte, cancel);
        this.idle = idle ?? DefaultIdle;
        timer = new CancellationTokenSource(firstByte, time);
        either = CancellationTokenSource.CreateLinkedTokenSource(cancel, timer.Token);
    }

    bool TimedOut => timer.IsCancellationRequested && !cancel.IsCancellationRequested;

    /// <summary>Sends a request; the headers of its answer. An earlier answer is dropped.</summary>
    public async Task<HttpResponseMessage> Send(HttpRequestMessage request)
    {
        response?.Dispose();
        timer.CancelAfter(firstByte);
        try
        {
            return response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, either.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException e) when (TimedOut)
        {
            throw errors.Broken($"it sent nothing for {firstByte.TotalMinutes:0} minutes", retryable: false, e);
        }
        catch (Exception e) when (IsOfConnection(e))
        {
            throw errors.NotAnswering(e);
        }
    }

    /// <summary>The body of an answer that is a refusal; what could be read of it.</summary>
    public async Task<string> Refusal()
    {
        timer.CancelAfter(ForRefusal);
        var body = new MemoryStream();
        try
        {
            using var stream = await response!.Content.ReadAsStreamAsync(either.Token).ConfigureAwait(false);
            var buffer = new byte[8 * 1024];
            while (body.Length < MaxRefusal && await stream.ReadAsync(buffer, either.Token).ConfigureAwait(false) is > 0 and var read) body.Write(buffer, 0, read);
        }
        catch (Exception e) when (IsOfConnection(e) || TimedOut)
        {
            // The status tells the most important.
        }
        return System.Text.Encoding.UTF8.GetString(body.GetBuffer(), 0, (int)body.Length);
    }

    /// <summary>The body of an answer that is no stream.</summary>
    public ValueTask<string> Whole() => Read(async stop => await response!.Content.ReadAsStringAsync(stop).ConfigureAwait(false));

    /// <summary>The body of the answer as lines.</summary>
    public async Task<LineReader> Lines() => new(await Body().ConfigureAwait(false), WindUp);

    /// <summary>The body of the answer as events.</summary>
    public async Task<SseReader> Events() => new(await Body().ConfigureAwait(false), WindUp);

    /// <summary>Reads on in the body.</summary>
    public async ValueTask<T> Read<T>(Func<CancellationToken, ValueTask<T>> read)
    {
        try
        {
            return await read(either.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException e) when (TimedOut)
        {
            throw errors.Broken($"it sent nothing for {idle.TotalMinutes:0} minutes", caught: e);
        }
        catch (InvalidDataException e)
        {
            throw errors.Broken(e.Message, retryable: false, e);
        }
        catch (Exception e) when (IsOfConnection(e))
        {
            throw errors.Broken("the connection broke", caught: e);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        response?.Dispose();
        either.Dispose();
        timer.Dispose();
    }

    Task<Stream> Body() => Read(async stop => await response!.Content.ReadAsStreamAsync(stop).ConfigureAwait(false)).AsTask();

    void WindUp() => timer.CancelAfter(idle);

    bool IsOfConnection(Exception e) =>
        e is HttpRequestException or IOException || (e is OperationCanceledException && !cancel.IsCancellationRequested);
}
