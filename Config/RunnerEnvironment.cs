using System.Globalization;

namespace Stigmer.Config;

/// <summary>The model's part of a runner's environment: what the daemon writes, and what anyone who starts a runner by hand sets.</summary>
static class RunnerEnvironment
{
    /// <summary>The variables for a runner of a local stack: MODE, STIGMER_LLM_*, where Ollama is, and every key that is known.</summary>
    public static IEnumerable<KeyValuePair<string, string>> Write(Settings settings, LlmKeys keys)
    {
        var llm = settings.Llm;
        yield return new("MODE", "local");
        yield return new("STIGMER_LLM_PROVIDER", llm.Provider.Name());
        yield return new("STIGMER_LLM_MODEL", llm.Model);
        if (llm.BaseUrl.Length > 0) yield return new("STIGMER_LLM_BASE_URL", llm.BaseUrl);
        yield return new("STIGMER_LLM_MAX_TOKENS", llm.MaxTokens.ToString(CultureInfo.InvariantCulture));
        if (llm.Temperature is { } temperature) yield return new("STIGMER_LLM_TEMPERATURE", temperature.ToString("R", CultureInfo.InvariantCulture));
        if (llm.ContextWindow is { } window) yield return new("STIGMER_LLM_CONTEXT_WINDOW", window.ToString(CultureInfo.InvariantCulture));
        // A run may choose Ollama where the stack's model is another's.
        yield return new("OLLAMA_HOST", settings.OllamaBaseUrl);
        foreach (var provider in Enum.GetValues<LlmProvider>())
        {
            if (keys.Of(provider) is { } key) yield return new(provider.KeyVariable()!, key.Reveal());
        }
    }

    /// <summary>
    /// Reads the model back; MODE=local|cloud chooses the defaults. Fails with exit code 2, naming each variable that is wrong.
    /// </summary>
    /// <param name="environment">A variable's value; empty counts as unset.</param>
    /// <param name="provider">
    /// The provider that a run or an agent names; null: the stack's. With another than the stack's, the stack's model, base URL,
    /// temperature and window do not apply.
    /// </param>
    /// <param name="model">The model that a run or an agent names; null: the stack's, or the named provider's default.</param>
    public static LlmSettings Read(Func<string, string?> environment, string? provider = null, string? model = null) =>
        new Cascade(environment, ConfigFile.Absent(""), new Flags(Provider: provider, Model: model)).LlmAlone();

    /// <summary>The key of a model's provider; null: there is none. STIGMER_LLM_API_KEY counts for the runner's own provider.</summary>
    public static Secret? Key(Func<string, string?> environment, LlmSettings llm) =>
        Secrets.Find(llm.Provider, Read(environment).Provider, environment)?.Key;
}
