using System.Globalization;
using System.Net;
using System.Net.Sockets;

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

    /// <summary>What is known of a model.</summary>
    /// <param name="Provider">Whose.</param>
    /// <param name="Ids">Its id and its aliases.</param>
    /// <param name="Window">All that it reads and writes in one call, in tokens; null: not known.</param>
    /// <param name="Input">The most that it reads, in tokens; null: what the window leaves.</param>
    /// <param name="Output">The most that it writes, thinking included, in tokens; null: not known.</param>
    /// <param name="NoEffortNone">Refuses reasoning effort <c>none</c>: on Chat Completions it takes no tools.</param>
    internal sealed record Model(LlmProvider Provider, string[] Ids, int? Window, int? Input, int? Output, bool NoEffortNone = false);

    static readonly Model[] Models =
    [
        new(LlmProvider.Anthropic, ["claude-sonnet-5-5"], 1_000_000, null, 128_000),
        new(LlmProvider.Anthropic, ["claude-opus-5-5"], 1_000_000, null, 128_000),
        new(LlmProvider.Anthropic, ["claude-haiku-5-5"], 1_000_000, null, 128_000),
        new(LlmProvider.Anthropic, ["claude-fable-5-1"], null, null, null),
        new(LlmProvider.Anthropic, ["claude-sonnet-5"], null, null, null),
        new(LlmProvider.Anthropic, ["claude-opus-5"], null, null, null),
        new(LlmProvider.Anthropic, ["claude-sonnet-4-6"], null, null, null),
        new(LlmProvider.Anthropic, ["claude-sonnet-4-5", "claude-sonnet-4-5-20250929"], 200_000, null, 64_000),
        new(LlmProvider.OpenAI, ["gpt-6.2-sol"], 1_050_000, 922_000, 128_000, NoEffortNone: true),
        new(LlmProvider.OpenAI, ["gpt-6.2-astra"], 1_050_000, 922_000, 128_000, NoEffortNone: true),
        new(LlmProvider.OpenAI, ["gpt-6.1-terra"], 1_050_000, 922_000, 128_000),
        new(LlmProvider.OpenAI, ["gpt-6.1-sol"], 1_050_000, 922_000, 128_000, NoEffortNone: true),
        new(LlmProvider.OpenAI, ["gpt-6-astra"], 1_050_000, 922_000, 128_000, NoEffortNone: true),
        new(LlmProvider.OpenAI, ["gpt-6-luna"], 1_050_000, 922_000, 128_000),
        new(LlmProvider.OpenAI, ["gpt-6-sol"], 1_050_000, 922_000, 128_000),
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
        if (!IsOwnHost(provider, baseUrl)) return null;
        var (_, models, day, successor) =
            Retirements.FirstOrDefault(row => row.Provider == provider && row.Models.Contains(model, StringComparer.Ordinal));
        return models is null ? null : $"{Title(provider)} retires the model {model} on {day}: take {successor} instead";
    }

    /// <summary>What is known of a model of this provider; null: nothing.</summary>
    public static Model? Know(LlmProvider provider, string model) =>
        Models.FirstOrDefault(known => known.Provider == provider && known.Ids.Contains(Bare(model), StringComparer.OrdinalIgnoreCase));

    /// <summary>The known model whose name is nearest to one that the provider does not know: its successor, or a slip of the hand; else null.</summary>
    public static string? Nearest(LlmProvider provider, string model)
    {
        var retired = Retirements.FirstOrDefault(row => row.Provider == provider && row.Models.Contains(model, StringComparer.OrdinalIgnoreCase));
        if (retired.Models is not null) return retired.Successor;
        return Schema.Nearest(model, Models.Where(known => known.Provider == provider).SelectMany(known => known.Ids).Where(id => id != model));
    }

    /// <summary>
    /// Whether a model takes a temperature: Anthropic's do up to Opus 4.6, Sonnet 4.6 and all of 4.5; OpenAI's that reason (o1 and
    /// later, gpt-5 and later) do not. Of a model that is not its provider's, anything is taken to be possible.
    /// </summary>
    public static bool TakesTemperature(LlmProvider provider, string model) => provider switch
    {
        LlmProvider.Anthropic => !model.StartsWith("claude-", StringComparison.Ordinal) || ClaudeVersion(model) is { } version && version.CompareTo((4, 7)) < 0,
        LlmProvider.OpenAI => !Reasons(model),
        _ => true,
    };

    /// <summary>Whether this is a model of OpenAI's that reasons, by whatever name a gateway gives it.</summary>
    public static bool Reasons(string model)
    {
        var name = Bare(model);
        if (GptVersion(model) is { } version) return version.Major >= 5 && !name.Contains("-chat", StringComparison.Ordinal);
        return name.Length >= 2 && name[0] == 'o' && char.IsAsciiDigit(name[1]) && (name.Length == 2 || !char.IsAsciiLetter(name[2]));
    }

    /// <summary>The version in the name of one of OpenAI's GPT models: (6, 2) of <c>gpt-6.2-sol</c>; null for any other.</summary>
    public static (int Major, int Minor)? GptVersion(string model)
    {
        var name = Bare(model);
        if (!name.StartsWith("gpt-", StringComparison.OrdinalIgnoreCase)) return null;
        var parts = name[4..].Split('-')[0].Split('.');
        if (!int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var major)) return null;
        return (major, parts.Length > 1 && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out var minor) ? minor : 0);
    }

    /// <summary>Whether a base URL is the provider's own host, and not a server that speaks its protocol.</summary>
    public static bool IsOwnHost(LlmProvider provider, string baseUrl) => provider switch
    {
        LlmProvider.Anthropic => IsAt(baseUrl, "api.anthropic.com"),
        LlmProvider.OpenAI => IsAt(baseUrl, "api.openai.com"),
        _ => false,
    };

    /// <summary>Whether a base URL is on this machine or on a network that is not the internet.</summary>
    public static bool IsLocal(string baseUrl)
    {
        if (!Uri.TryCreate(baseUrl, UriKind.Absolute, out var url)) return false;
        if (url.IsLoopback) return true;
        if (!IPAddress.TryParse(url.IdnHost.Trim('[', ']'), out var address))
        {
            var host = url.IdnHost;
            return !host.Contains('.', StringComparison.Ordinal)
                || host.EndsWith(".local", StringComparison.OrdinalIgnoreCase) || host.EndsWith(".internal", StringComparison.OrdinalIgnoreCase)
                || host.EndsWith(".lan", StringComparison.OrdinalIgnoreCase) || host.EndsWith(".home.arpa", StringComparison.OrdinalIgnoreCase);
        }
        if (address.IsIPv6LinkLocal || address.IsIPv6UniqueLocal) return true;
        var bytes = address.MapToIPv4().GetAddressBytes();
        return (address.AddressFamily == AddressFamily.InterNetwork || address.IsIPv4MappedToIPv6)
            && (bytes[0] == 10 || (bytes[0] == 172 && bytes[1] is >= 16 and < 32) || (bytes[0] == 192 && bytes[1] == 168) || (bytes[0] == 169 && bytes[1] == 254));
    }

    /// <summary>The variable of the key without which a provider cannot be used there; null: it can. Servers of OpenAI's protocol on this network need none.</summary>
    public static string? NeededKey(LlmProvider provider, string baseUrl) =>
        provider == LlmProvider.OpenAI && IsLocal(baseUrl) ? null : KeyVariable(provider);

    static (int Major, int Minor)? ClaudeVersion(string model)
    {
        // claude-FAMILY-MAJOR[-MINOR][-DATE], and the older claude-MAJOR-MINOR-FAMILY.
        var numbers = model.Split('-').Where(part => part.Length is > 0 and < 3 && part.All(char.IsAsciiDigit)).Select(part => int.Parse(part, CultureInfo.InvariantCulture)).ToList();
        return numbers.Count == 0 ? null : (numbers[0], numbers.Count > 1 ? numbers[1] : 0);
    }

    static bool IsAt(string baseUrl, string host) =>
        Uri.TryCreate(baseUrl, UriKind.Absolute, out var url)
        && (url.IdnHost.Equals(host, StringComparison.OrdinalIgnoreCase) || url.IdnHost.EndsWith("." + host, StringComparison.OrdinalIgnoreCase));

    /// <summary>A model's name without what a gateway puts before it: openai/gpt-6-luna.</summary>
    static string Bare(string model) => model[(model.LastIndexOf('/') + 1)..];

    static Row Of(LlmProvider provider) => Rows.First(row => row.Provider == provider);
}
