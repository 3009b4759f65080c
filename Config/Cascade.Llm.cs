using System.Globalization;

namespace Stigmer.Config;

sealed partial class Cascade
{
    LlmSettings Llm(RunnerMode mode)
    {
        var provider = ProviderOf(Layer.Flag, mode);
        Show(Schema.Provider, provider.Name(), ProviderFound());

        var modelFound = Flag("--model", flags.Model) ?? Owned(Schema.Model, provider, mode);
        modelFound = Valid(modelFound, Schema.Model.Kind);
        var model = provider.ModelId(modelFound?.Text ?? provider.DefaultModel());
        Show(Schema.Model, model, modelFound);

        var (url, urlFound) = BaseUrl(provider, mode);
        Show(Schema.BaseUrl, url.Length == 0 ? null : url, urlFound);

        var maxTokensFound = Of(Schema.MaxTokens);
        var maxTokens = maxTokensFound?.Whole ?? (mode == RunnerMode.Cloud ? 20000 : 8192);
        Show(Schema.MaxTokens, maxTokens.ToString(CultureInfo.InvariantCulture), maxTokensFound);

        var (temperature, temperatureFound) = Temperature(provider, model, mode);
        Show(Schema.Temperature, temperature is { } degrees ? Number(degrees) : null, temperatureFound);

        var windowFound = provider == LlmProvider.Ollama ? Owned(Schema.ContextWindow, provider, mode) : null;
        Show(Schema.ContextWindow, windowFound?.Text, windowFound);

        return new LlmSettings(provider, model, url, maxTokens, temperature, windowFound?.Whole, provider.Retirement(model, url));
    }

    enum Layer { File, Environment, Flag }

    /// <summary>
    /// The provider as far as a layer and those below it say. A model, a base URL, a temperature or a window belongs to the
    /// provider of its own layer: where a layer above names another provider it does not apply, or a switch by
    /// STIGMER_LLM_PROVIDER=anthropic alone would send an Ollama model's name, and a temperature that it refuses, to Anthropic.
    /// </summary>
    LlmProvider ProviderOf(Layer layer, RunnerMode mode)
    {
        var found = layer switch
        {
            Layer.File => InFile(Schema.Provider),
            Layer.Environment => Valid(Variable(Schema.Provider.Variable!), Schema.Provider.Kind) ?? InFile(Schema.Provider),
            _ => ProviderFound(),
        };
        return Providers.Find(found?.Text) ?? (mode == RunnerMode.Cloud ? LlmProvider.Anthropic : LlmProvider.Ollama);
    }

    Found? ProviderFound() => Valid(Flag("--provider", flags.Provider), Schema.Provider.Kind) ?? Of(Schema.Provider);

    /// <summary>The value of a key from the layers whose provider is the one given.</summary>
    Found? Owned(SchemaKey key, LlmProvider provider, RunnerMode mode) => InVariable(key, provider, mode) ?? OwnedInFile(key, provider, mode);

    Found? InVariable(SchemaKey key, LlmProvider provider, RunnerMode mode) =>
        ProviderOf(Layer.Environment, mode) == provider ? Valid(Variable(key.Variable!), key.Kind) : null;

    Found? OwnedInFile(SchemaKey key, LlmProvider provider, RunnerMode mode) => ProviderOf(Layer.File, mode) == provider ? InFile(key) : null;

    /// <summary>Where a provider is reached, whether or not it is the one in force; empty for demo.</summary>
    (string Url, Found? Found) BaseUrl(LlmProvider provider, RunnerMode mode = RunnerMode.Local)
    {
        if (provider == LlmProvider.Demo) return ("", null);
        var found = InVariable(Schema.BaseUrl, provider, mode);
        if (found is null && provider == LlmProvider.Ollama && Variable("OLLAMA_HOST") is { } host)
        {
            if (OllamaHost.ToUrl(host.Text, out var warning) is { } url)
            {
                if (warning is not null && !warnings.Contains(warning)) warnings.Add(warning);
                return (url, host);
            }
            Refuse(host, "must be an address, such as 127.0.0.1:11434 or http://gpu.example.com:11434");
        }
        found ??= OwnedInFile(Schema.BaseUrl, provider, mode);
        return (ValueKind.TryUrl(found?.Text ?? "", out var value) ? value : provider.DefaultBaseUrl(), found);
    }

    (double? Value, Found? Found) Temperature(LlmProvider provider, string model, RunnerMode mode)
    {
        if (provider == LlmProvider.Demo) return (null, null);
        if (Owned(Schema.Temperature, provider, mode) is not { } found) return (provider.DefaultTemperature(), null);
        var value = double.Parse(found.Text, CultureInfo.InvariantCulture);
        if (value > provider.MaxTemperature())
        {
            var most = Number(provider.MaxTemperature());
            Refuse(found, $"is {ValueKind.Quote(found.Text)}: for {provider.Title()} it must be a number from 0 to {most}");
        }
        if (!Providers.TakesTemperature(provider, model)) warnings.Add($"llm.temperature is {Number(value)} and is not sent: {model} takes none");
        return (value, found);
    }

    static string Number(double value) => value == Math.Floor(value)
        ? value.ToString("0.0", CultureInfo.InvariantCulture)
        : value.ToString("R", CultureInfo.InvariantCulture);
}
