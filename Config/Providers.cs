namespace Stigmer.Config;

/// <summary>
/// What is known about model providers and their models, all in one place. It ages fast.
/// Gathered on 2026-11-24 from Anthropic's pages models/overview and about-claude/models/model-ids-and-versions,
/// OpenAI's pages codex/model-selection and api/docs/deprecations, and reports about Ollama's library; nothing was called live.
/// The successor is the vendor's word for claude-sonnet-4-5 and our reading of their model pages for the others.
/// </summary>
static class Providers
{
    /// <param name="Provider">Whose protocol.</param>
    /// <param name="Name">As config.yaml and flags write it.</param>
    /// <param name="Title">As people read it.</param>
    /// <param name="KeyVariable">The environment variable of its key; null: it needs none.</param>
    /// <param name="BaseUrl">Its own host; empty where there is none.</param>
    /// <param name="Model">The model where none is named.</param>
    /// <param name="Temperature">What is sent where nothing is said. Null: nothing, since current models refuse it.</param>
    /// <param name="MaxTemperature">The highest that its API takes.</param>
    sealed record Row(
        LlmProvider Provider, string Name, string Title, string? KeyVariable, string BaseUrl, string Model, double? Temperature, double MaxTemperature);

    static readonly Row[] Rows =
    [
        new(LlmProvider.Ollama, "ollama", "Ollama", null, "http://localhost:11434", "qwen2.5-coder:7b", 0.0, 2),
        new(LlmProvider.Anthropic, "anthropic", "Anthropic", "ANTHROPIC_API_KEY", "https://api.anthropic.com", "claude-sonnet-5-5", null, 1),
        new(LlmProvider.OpenAI, "openai", "OpenAI", "OPENAI_API_KEY", "https://api.openai.com/v1", "gpt-6.2-sol", null, 2),
        new(LlmProvider.Demo, "demo", "the built-in demo model", null, "", "demo", null, 2),
    ];

    /// <summary>Models that were or will be switched off: provider, ids, the day, what to take instead.</summary>
    static readonly (LlmProvider Provider, string[] Models, string Day, string Successor)[] Retirements =
    [
        (LlmProvider.Anthropic, ["claude-sonnet-4-5", "claude-sonnet-4-5-20250929"], "2026-11-30", "claude-sonnet-5-5"),
        (LlmProvider.Anthropic, ["claude-opus-4-1", "claude-opus-4-1-20250805"], "2026-08-05", "claude-opus-5-5"),
        (LlmProvider.Anthropic, ["claude-sonnet-4", "claude-sonnet-4-0", "claude-sonnet-4-20250514"], "2026-06-15", "claude-sonnet-5-5"),
        (LlmProvider.Anthropic, ["claude-opus-4", "claude-opus-4-0", "claude-opus-4-20250514"], "2026-06-15", "claude-opus-5-5"),
        (LlmProvider.OpenAI, ["gpt-5.1"], "2027-04-01", "gpt-6.2-sol"),
        (LlmProvider.OpenAI, ["gpt-4o", "gpt-4.1"], "2027-01-14", "gpt-6.2-sol"),
        (LlmProvider.OpenAI, ["gpt-4o-mini", "gpt-4.1-mini"], "2027-01-14", "gpt-6-luna"),
        (LlmProvider.OpenAI, ["gpt-5", "gpt-5-pro", "o3", "o3-pro"], "2026-12-11", "gpt-6.2-sol"),
        (LlmProvider.OpenAI, ["gpt-5-mini", "gpt-5-nano"], "2026-12-11", "gpt-6-luna"),
        (LlmProvider.OpenAI, ["o1", "gpt-4", "gpt-4-turbo"], "2026-10-23", "gpt-6.2-sol"),
        (LlmProvider.OpenAI, ["o3-mini", "o4-mini", "gpt-3.5-turbo", "gpt-4.1-nano"], "2026-10-23", "gpt-6-luna"),
    ];

    /// <summary>The names that config.yaml, variables and flags take.</summary>
    public static IEnumerable<string> Names => Rows.Select(row => row.Name);

    /// <summary>The provider of a name, whatever its case; null for no provider's name.</summary>
    public static LlmProvider? Find(string? name) =>
        Rows.FirstOrDefault(row => row.Name.Equals(name?.Trim(), StringComparison.OrdinalIgnoreCase))?.Provider;

    /// <summary>As config.yaml and flags write it: <c>ollama</c>.</summary>
    public static string Name(this LlmProvider provider) => Of(provider).Name;

    /// <summary>As people read it: <c>Ollama</c>.</summary>
    public static string Title(this LlmProvider provider) => Of(provider).Title;

    /// <summary>The environment variable of its key; null: it needs none.</summary>
    public static string? KeyVariable(this LlmProvider provider) => Of(provider).KeyVariable;

    /// <summary>Its own host; empty where there is none.</summary>
    public static string DefaultBaseUrl(this LlmProvider provider) => Of(provider).BaseUrl;

    /// <summary>The model where none is named.</summary>
    public static string DefaultModel(this LlmProvider provider) => Of(provider).Model;

    /// <summary>What is sent where nothing is said; null: nothing.</summary>
    public static double? DefaultTemperature(this LlmProvider provider) => Of(provider).Temperature;

    /// <summary>The highest temperature that its API takes.</summary>
    public static double MaxTemperature(this LlmProvider provider) => Of(provider).MaxTemperature;

    /// <summary>
    /// The id that the provider's API takes. Gateways and older documentation write <c>claude-sonnet-4.5</c>, which
    /// Anthropic's API answers with 404: its ids have hyphens.
    /// </summary>
    public static string ModelId(this LlmProvider provider, string model) =>
        provider == LlmProvider.Anthropic && model.StartsWith("claude-", StringComparison.Ordinal) ? model.Replace('.', '-') : model;

    /// <summary>
    /// A sentence about a model that is retired or will be, with its successor; null for any other, and for a server that is
    /// not the provider's own, which may keep a name for as long as it likes.
    /// </summary>
    public static string? Retirement(this LlmProvider provider, string model, string baseUrl)
    {
        if (baseUrl != DefaultBaseUrl(provider)) return null;
        var (_, models, day, successor) =
            Retirements.FirstOrDefault(row => row.Provider == provider && row.Models.Contains(model, StringComparer.Ordinal));
        return models is null ? null : $"{Title(provider)} retires the model {model} on {day}: take {successor} instead";
    }

    static Row Of(LlmProvider provider) => Rows.First(row => row.Provider == provider);
}
