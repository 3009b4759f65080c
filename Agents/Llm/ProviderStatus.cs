using Stigmer.Config;

namespace Stigmer.Agents.Llm;

/// <summary>Whether a model can be used: what <c>llm status</c>, <c>local</c> and <c>local status</c> say, in the words of a failing run.</summary>
/// <param name="Reachable">The provider answers; null: nobody asked.</param>
/// <param name="KeyValid">The key is taken; null: none is needed, or nobody could tell.</param>
/// <param name="ModelAvailable">The model is there; null: nobody could tell.</param>
/// <param name="Problem">What is wrong and what helps; null: nothing.</param>
sealed record ProviderStatus(bool? Reachable, bool? KeyValid, bool? ModelAvailable, Failure? Problem)
{
    /// <summary>How long the provider may take.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>Asks the provider, which costs nothing and loads no model; takes 5 s at most and fails with nothing but cancellation.</summary>
    /// <param name="llm">The model.</param>
    /// <param name="key">The provider's key; null: it is not known here.</param>
    /// <param name="cancel">Ends the question.</param>
    public static async Task<ProviderStatus> Check(LlmSettings llm, Secret? key, CancellationToken cancel)
    {
        switch (llm.Provider)
        {
            case LlmProvider.Demo:
                return new ProviderStatus(true, null, true, null);
            case LlmProvider.Ollama:
                var ollama = await OllamaStatus.Check(llm.BaseUrl, llm.Model, cancel).ConfigureAwait(false);
                return new ProviderStatus(ollama.Reachable, null, ollama.ModelAvailable, ollama.Problem);
            default:
                return await HostedModels.Check(llm, key, cancel).ConfigureAwait(false);
        }
    }
}

/// <summary>A model that a provider has.</summary>
/// <param name="Name">As llm.model names it.</param>
/// <param name="Size">On disk, in bytes; null: not known, or nowhere here.</param>
/// <param name="Tools">Whether it takes tools; null: not known.</param>
sealed record ListedModel(string Name, long? Size, bool? Tools)
{
    /// <summary>What the provider has.</summary>
    /// <exception cref="ModelFailure">It does not answer, or refuses.</exception>
    public static async Task<IReadOnlyList<ListedModel>> All(LlmSettings llm, Secret? key, CancellationToken cancel) => llm.Provider switch
    {
        LlmProvider.Demo => [new ListedModel(llm.Model, null, true)],
        LlmProvider.Ollama => await OllamaModels.List(llm.BaseUrl, llm.Model, cancel).ConfigureAwait(false),
        _ => await HostedModels.List(llm, key, cancel).ConfigureAwait(false),
    };
}
