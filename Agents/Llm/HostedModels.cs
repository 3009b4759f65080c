using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Serialization;
using Stigmer.Config;

namespace Stigmer.Agents.Llm;

/// <summary>The models of Anthropic, of OpenAI and of servers that speak their protocols: listing them is free, and proves a key.</summary>
static class HostedModels
{
    /// <summary>More models than anybody has: one page of Anthropic's list.</summary>
    const string Page = "?limit=1000";

    /// <summary>Whether the provider answers, takes the key and has the model. A balance that is used up shows only in a call.</summary>
    public static async Task<ProviderStatus> Check(LlmSettings llm, Secret? key, CancellationToken cancel)
    {
        var errors = new HostedErrors(llm, key, TimeProvider.System);
        var own = Providers.IsOwnHost(llm.Provider, llm.BaseUrl);
        try
        {
            // On its own host one model can be asked for, aliases included; compatible servers list what they have.
            var one = own || llm.Provider == LlmProvider.Anthropic;
            var answer = await Get(llm, key, errors, one ? "/" + Uri.EscapeDataString(llm.Model) : "", ProviderStatus.Patience, cancel).ConfigureAwait(false);
            var needsKey = Providers.NeededKey(llm.Provider, llm.BaseUrl) is not null;
            switch (answer.Status)
            {
                case 200 when one:
                    return new ProviderStatus(true, key is null ? null : true, true, null);
                case 200:
                    var names = Names(answer.Body);
                    var has = names.Contains(llm.Model, StringComparer.Ordinal);
                    return new ProviderStatus(true, key is null ? null : true, has, has ? null : errors.NotListed(names));
                case 401 when key is null && needsKey:
                    // Whoever asks may not know the key that the stack was started with.
                    return new ProviderStatus(true, null, null, null);
                case 401:
                    return new ProviderStatus(true, false, null, errors.From(answer.Status, answer.Body, answer.Headers));
                // A restricted key may call models and not list them.
                case 403 or 405:
                    return new ProviderStatus(true, null, null, null);
                case 404 when !one:
                    return new ProviderStatus(true, null, null, null);
                default:
                    var failure = errors.From(answer.Status, answer.Body, answer.Headers);
                    return new ProviderStatus(answer.Status < 500, answer.Status == 404 && key is not null ? true : null, answer.Status == 404 ? false : null, failure);
            }
        }
        catch (ModelFailure failure)
        {
            return new ProviderStatus(false, null, null, failure);
        }
    }

    /// <summary>The names of what the provider has.</summary>
    /// <exception cref="ModelFailure">It does not answer, or refuses.</exception>
    public static async Task<IReadOnlyList<ListedModel>> List(LlmSettings llm, Secret? key, CancellationToken cancel)
    {
        var errors = new HostedErrors(llm, key, TimeProvider.System);
        var answer = await Get(llm, key, errors, llm.Provider == LlmProvider.Anthropic ? Page : "", TimeSpan.FromSeconds(30), cancel).ConfigureAwait(false);
        if (answer.Status != 200) throw errors.From(answer.Status, answer.Body, answer.Headers);
        // All of Anthropic's take tools; OpenAI's list holds models for other things as well, without a word on it.
        return [.. Names(answer.Body).Select(name => new ListedModel(name, null, llm.Provider == LlmProvider.Anthropic ? true : null))];
    }

    static async Task<(int Status, string Body, HttpResponseHeaders Headers)> Get(
        LlmSettings llm, Secret? key, HostedErrors errors, string what, TimeSpan patience, CancellationToken cancel)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(patience);
        try
        {
            using var http = LlmHttp.Client(handler: null);
            IReadOnlyList<Uri> roots = llm.Provider == LlmProvider.Anthropic
                ? [new Uri(AnthropicClient.Root(llm.BaseUrl), "v1/")]
                : OpenAiChatClient.Roots(llm.BaseUrl);
            for (var at = 0; ; at++)
            {
                using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(roots[at], "models" + what));
                if (llm.Provider == LlmProvider.Anthropic) AnthropicClient.Authorize(request, key);
                else LlmHttp.Bearer(request, key);
                using var response = await http.SendAsync(request, limit.Token).ConfigureAwait(false);
                if ((int)response.StatusCode == 404 && at + 1 < roots.Count) continue;
                return ((int)response.StatusCode, await response.Content.ReadAsStringAsync(limit.Token).ConfigureAwait(false), response.Headers);
            }
        }
        catch (Exception e) when (e is HttpRequestException or IOException || (e is OperationCanceledException && !cancel.IsCancellationRequested))
        {
            throw errors.NotAnswering(e);
        }
    }

    static List<string> Names(string body)
    {
        try
        {
            return [.. JsonSerializer.Deserialize(body, HostedModelsJson.Default.HostedList)?.Data?.Select(model => model.Id).OfType<string>() ?? []];
        }
        catch (JsonException)
        {
            // Not a list that we know: nothing is said of the model then.
            return [];
        }
    }
}

/// <summary>The answer of GET /v1/models.</summary>
sealed record HostedList(IReadOnlyList<HostedListed>? Data);

/// <summary>One model of it.</summary>
sealed record HostedListed(string? Id);

/// <summary>JSON of <see cref="HostedList"/>.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(HostedList))]
sealed partial class HostedModelsJson : JsonSerializerContext;
