using System.Net.Http.Json;
using System.Text;
using System.Text.Json;

namespace Stigmer.Agents.Llm;

/// <summary>How far a pull is.</summary>
/// <param name="Status">What Ollama says that it does, such as <c>pulling manifest</c>.</param>
/// <param name="Done">Bytes of all layers that are here.</param>
/// <param name="Total">Bytes of all layers that are known so far; 0: none yet.</param>
sealed record PullProgress(string Status, long Done, long Total);

/// <summary>The models that Ollama has: listing and pulling them.</summary>
static class OllamaModels
{
    /// <summary>How often a pull whose stream broke goes on by itself.</summary>
    const int MostTries = 5;

    /// <summary>For what Ollama knows by heart.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>Up to the first line of a pull: a registry that is slow or far away.</summary>
    static readonly TimeSpan FirstLine = TimeSpan.FromMinutes(5);

    /// <summary>All that were pulled, with their sizes, and whether each takes tools, where Ollama tells.</summary>
    /// <param name="baseUrl">Where Ollama is said to be.</param>
    /// <param name="model">The configured model, for what is said where nobody answers.</param>
    /// <param name="cancel">Ends it.</param>
    /// <exception cref="ModelFailure">Ollama does not answer.</exception>
    public static async Task<IReadOnlyList<ListedModel>> List(string baseUrl, string model, CancellationToken cancel)
    {
        var errors = new OllamaErrors(baseUrl, model);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(Patience);
        try
        {
            var root = LlmHttp.OllamaRoot(baseUrl);
            using var http = LlmHttp.Client(handler: null);
            using var answer = await http.GetAsync(new Uri(root, "api/tags"), limit.Token).ConfigureAwait(false);
            if (!answer.IsSuccessStatusCode) throw errors.From(answer.StatusCode, await answer.Content.ReadAsStringAsync(limit.Token).ConfigureAwait(false), null, 0);
            var tags = await answer.Content.ReadFromJsonAsync(OllamaJson.Default.OllamaTags, limit.Token).ConfigureAwait(false);
            var models = new List<ListedModel>();
            foreach (var tag in tags?.Models ?? [])
            {
                if ((tag.Name ?? tag.Model) is { } name) models.Add(new ListedModel(name, tag.Size, await TakesTools(http, root, name, limit.Token).ConfigureAwait(false)));
            }
            return models;
        }
        catch (JsonException e)
        {
            throw errors.NotUnderstood("the list of models", retryable: false, e);
        }
        catch (Exception e) when (e is HttpRequestException or IOException || (e is OperationCanceledException && !cancel.IsCancellationRequested))
        {
            throw errors.NotAnswering(e);
        }
    }

    /// <summary>
    /// Pulls a model; what is here already is not fetched again. A stream that breaks is taken up again where it was, for as
    /// long as it gets on.
    /// </summary>
    /// <param name="baseUrl">Where Ollama is said to be.</param>
    /// <param name="model">The model's name.</param>
    /// <param name="progress">Told of every step.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancel">Ends it; Ollama keeps what it has.</param>
    /// <exception cref="ModelFailure">Ollama does not answer, knows no such model, or cannot fetch it.</exception>
    public static async Task Pull(string baseUrl, string model, Action<PullProgress> progress, TimeProvider time, CancellationToken cancel)
    {
        var errors = new OllamaErrors(baseUrl, model);
        var root = LlmHttp.OllamaRoot(baseUrl);
        using var http = LlmHttp.Client(handler: null);
        long furthest = 0;
        for (var tries = 1; ; tries++)
        {
            var layers = new Dictionary<string, (long Done, long Total)>(StringComparer.Ordinal);
            try
            {
                using var exchange = new Exchange(http, errors, FirstLine, time, cancel);
                using var message = new HttpRequestMessage(HttpMethod.Post, new Uri(root, "api/pull"));
                message.Content = LlmHttp.Json(new OllamaShowRequest(model), OllamaJson.Default.OllamaShowRequest);
                var response = await exchange.Send(message).ConfigureAwait(false);
                if (!response.IsSuccessStatusCode) throw errors.NotPullable(ServerSaid.Read(await exchange.Refusal().ConfigureAwait(false)), (int)response.StatusCode);
                var lines = await exchange.Lines().ConfigureAwait(false);
                while (await exchange.Read(lines.NextFilled).ConfigureAwait(false) is { } line)
                {
                    if (Read(line, errors) is not { } step) continue;
                    if (step.Error is { ValueKind: not (JsonValueKind.Null or JsonValueKind.Undefined) } error) throw errors.NotPullable(ServerSaid.Read(error), status: 0);
                    if (step.Digest is { } digest) layers[digest] = (step.Completed ?? 0, step.Total ?? 0);
                    progress(new PullProgress(step.Status ?? "", layers.Values.Sum(layer => layer.Done), layers.Values.Sum(layer => layer.Total)));
                    if (step.Status == "success") return;
                }
                throw errors.Broken("the stream ended before the model was there");
            }
            catch (ModelFailure e) when (e.Retryable && tries < MostTries)
            {
                // A pull that gets on is not given up.
                var now = layers.Values.Sum(layer => layer.Done);
                if (now > furthest) (tries, furthest) = (1, now);
                await Task.Delay(TimeSpan.FromSeconds(Math.Min(tries, 3)), time, cancel).ConfigureAwait(false);
            }
        }
    }

    static OllamaPullLine? Read(ReadOnlyMemory<byte> line, OllamaErrors errors)
    {
        try
        {
            return JsonSerializer.Deserialize(line.Span, OllamaJson.Default.OllamaPullLine);
        }
        catch (JsonException e)
        {
            var text = Encoding.UTF8.GetString(line.Span);
            throw errors.NotUnderstood(text, retryable: !text.TrimStart().StartsWith('<'), e);
        }
    }

    static async Task<bool?> TakesTools(HttpClient http, Uri root, string name, CancellationToken cancel)
    {
        using var asked = LlmHttp.Json(new OllamaShowRequest(name), OllamaJson.Default.OllamaShowRequest);
        using var answer = await http.PostAsync(new Uri(root, "api/show"), asked, cancel).ConfigureAwait(false);
        if (!answer.IsSuccessStatusCode) return null;
        var show = await answer.Content.ReadFromJsonAsync(OllamaJson.Default.OllamaShow, cancel).ConfigureAwait(false);
        // Old servers do not tell, which is not to say no.
        return show?.Capabilities?.Contains("tools", StringComparer.OrdinalIgnoreCase);
    }
}
