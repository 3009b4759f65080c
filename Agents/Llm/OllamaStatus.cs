using System.Net.Http.Json;
using System.Text.Json;

namespace Stigmer.Agents.Llm;

/// <summary>Whether Ollama answers and has the model: what <c>local</c> and <c>status</c> say, in the words of a failing run.</summary>
/// <param name="Reachable">It answers.</param>
/// <param name="ModelAvailable">It has the model.</param>
/// <param name="Problem">What is wrong and what helps; null: nothing.</param>
sealed record OllamaStatus(bool Reachable, bool ModelAvailable, ModelFailure? Problem)
{
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>What is wrong, as a sentence; null: nothing.</summary>
    public string? Detail => Problem?.Message;

    /// <summary>What helps.</summary>
    public string? Remedy => Problem?.Remedy;

    /// <summary>Asks Ollama, which loads no model for it; takes 5 s at most and fails with nothing but cancellation.</summary>
    /// <param name="baseUrl">Where Ollama is said to be.</param>
    /// <param name="model">The model as configured; without a tag it means <c>:latest</c>.</param>
    /// <param name="cancel">Ends the question.</param>
    public static async Task<OllamaStatus> Check(string baseUrl, string model, CancellationToken cancel)
    {
        var errors = new OllamaErrors(baseUrl, model);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(Patience);
        try
        {
            var root = LlmHttp.OllamaRoot(baseUrl);
            using var http = LlmHttp.Client(handler: null);
            using var answer = await http.GetAsync(new Uri(root, "api/tags"), limit.Token).ConfigureAwait(false);
            if (!answer.IsSuccessStatusCode)
            {
                var body = await answer.Content.ReadAsStringAsync(limit.Token).ConfigureAwait(false);
                return new OllamaStatus(false, false, errors.From(answer.StatusCode, body, null, 0));
            }
            var tags = await answer.Content.ReadFromJsonAsync(OllamaJson.Default.OllamaTags, limit.Token).ConfigureAwait(false);
            if (tags?.Models?.Any(tag => IsSame(tag.Name ?? tag.Model, model)) == true) return new OllamaStatus(true, true, null);

            // Cloud models and aliases need not be in the list: what show knows can be used.
            using var asked = LlmHttp.Json(new OllamaShowRequest(model), OllamaJson.Default.OllamaShowRequest);
            using var show = await http.PostAsync(new Uri(root, "api/show"), asked, limit.Token).ConfigureAwait(false);
            return show.IsSuccessStatusCode ? new OllamaStatus(true, true, null) : new OllamaStatus(true, false, errors.NotPulled());
        }
        catch (ModelFailure failure)
        {
            return new OllamaStatus(false, false, failure);
        }
        catch (JsonException e)
        {
            return new OllamaStatus(false, false, errors.NotUnderstood("the list of models", retryable: false, e));
        }
        catch (OperationCanceledException e) when (!cancel.IsCancellationRequested)
        {
            return new OllamaStatus(false, false, errors.NotAnswering($"no answer within {Patience.TotalSeconds:0} s", retryable: true, e));
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            return new OllamaStatus(false, false, errors.NotAnswering(e));
        }
    }

    /// <summary>Names are compared with their tags, without regard to case; none means latest.</summary>
    internal static bool IsSame(string? listed, string model)
    {
        static string Tagged(string name) => name.AsSpan(name.LastIndexOf('/') + 1).Contains(':') ? name : name + ":latest";
        return listed is not null && Tagged(listed.Trim()).Equals(Tagged(model.Trim()), StringComparison.OrdinalIgnoreCase);
    }
}
