namespace Stigmer.Config;

/// <summary>The keys of the providers, as far as they are known: those in the environment, and the one that was typed.</summary>
/// <param name="Anthropic">ANTHROPIC_API_KEY.</param>
/// <param name="OpenAI">OPENAI_API_KEY.</param>
sealed record LlmKeys(Secret? Anthropic = null, Secret? OpenAI = null)
{
    /// <summary>A provider's key; null where it is unknown or none is needed.</summary>
    public Secret? Of(LlmProvider provider) => provider switch
    {
        LlmProvider.Anthropic => Anthropic,
        LlmProvider.OpenAI => OpenAI,
        _ => null,
    };

    /// <summary>These keys and one more.</summary>
    public LlmKeys With(LlmProvider provider, Secret key) => provider switch
    {
        LlmProvider.Anthropic => this with { Anthropic = key },
        LlmProvider.OpenAI => this with { OpenAI = key },
        _ => this,
    };
}

/// <summary>Where keys come from: the environment, or a person at a terminal. Never a file, never a command line.</summary>
static class Secrets
{
    /// <summary>The variable that holds the key of the chosen provider, whichever that is; it comes before the provider's own.</summary>
    public const string ChosenKeyVariable = "STIGMER_LLM_API_KEY";

    /// <summary>
    /// The key of a provider in the environment, and the variable that holds it. Keys are pasted: what surrounds them, white
    /// space and quotes, is dropped. Fails with exit code 2 where what is left cannot be a key, without showing it.
    /// </summary>
    /// <param name="provider">Whose key.</param>
    /// <param name="chosen">The provider in force, whose key STIGMER_LLM_API_KEY is.</param>
    /// <param name="environment">A variable's value.</param>
    public static (Secret Key, string Variable)? Find(LlmProvider provider, LlmProvider chosen, Func<string, string?> environment)
    {
        if (provider.KeyVariable() is not { } own) return null;
        foreach (var variable in provider == chosen ? [ChosenKeyVariable, own] : (string[])[own])
        {
            if (Clean(environment(variable), variable) is { } key) return (key, variable);
        }
        return null;
    }

    /// <summary>All keys that the environment holds.</summary>
    public static LlmKeys Known(LlmProvider chosen, Func<string, string?> environment) => new(
        Find(LlmProvider.Anthropic, chosen, environment)?.Key, Find(LlmProvider.OpenAI, chosen, environment)?.Key);

    /// <summary>
    /// All keys for a start, and the line that the start prints about them. The chosen provider's key is asked for where the
    /// environment has none; it is then kept in memory only. Fails with exit code 2, naming the variable, where nobody can be
    /// asked or nothing was typed.
    /// </summary>
    /// <param name="chosen">The provider in force.</param>
    /// <param name="baseUrl">Where it is: a server on this network needs no key.</param>
    /// <param name="environment">A variable's value.</param>
    /// <param name="ask">Asks for a secret with a prompt; answers null at the end of input. Null itself: nobody is there to ask.</param>
    public static async Task<(LlmKeys Keys, string Line)> Obtain(
        LlmProvider chosen, string baseUrl, Func<string, string?> environment, Func<string, CancellationToken, Task<string?>>? ask, CancellationToken cancel)
    {
        var keys = Known(chosen, environment);
        if (chosen.KeyVariable() is not { } variable)
        {
            return (keys, chosen == LlmProvider.Demo ? $"Using {chosen.Title()}" : $"Using {chosen.Title()} (no API key required)");
        }
        if (Find(chosen, chosen, environment) is { } found) return (keys, $"Using {found.Variable} from environment");
        if (Providers.NeededKey(chosen, baseUrl) is null) return (keys, $"Using the model server at {baseUrl} (no API key required)");
        if (ask is null)
        {
            throw new Failure(
                $"{chosen.Title()} needs an API key", $"{variable} is not set, and there is no terminal to ask on",
                $"Set {variable}, or choose a model that needs none: STIGMER_LLM_PROVIDER=ollama", ExitCode.Usage);
        }
        var typed = Clean(await ask($"Enter {chosen.Title()} API key: ", cancel).ConfigureAwait(false), "The key");
        if (typed is null)
        {
            throw new Failure($"{chosen.Title()} needs an API key", "nothing was entered", $"Enter the key, or set {variable}", ExitCode.Usage);
        }
        return (keys.With(chosen, typed), $"{chosen.Title()} API key configured");
    }

    /// <summary>
    /// A secret without the white space and quotes around it; null where nothing is left. Fails with exit code 2 where it holds
    /// what no header can carry.
    /// </summary>
    /// <param name="text">As it was set or typed.</param>
    /// <param name="source">Where it stands, for the error.</param>
    public static Secret? Clean(string? text, string source)
    {
        var clean = text?.Trim().Trim('"', '\'').Trim();
        if (string.IsNullOrEmpty(clean)) return null;
        if (clean.Any(symbol => symbol is <= ' ' or > '~'))
        {
            throw new Failure(
                $"{source} cannot be used", "it holds a space, a line break or a character outside ASCII, which no key has",
                "Copy the key once more", ExitCode.Usage);
        }
        return new Secret(clean);
    }
}
