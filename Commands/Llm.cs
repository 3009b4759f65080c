using System.CommandLine;
using System.Text.Json.Serialization;
using Stigmer.Agents.Llm;
using Stigmer.Config;

namespace Stigmer.Commands;

/// <summary><c>stigmer llm</c>: the model provider, which needs no stack.</summary>
static class Llm
{
    /// <summary>The group.</summary>
    public static Command Create() => Group.Create("llm", "The model provider: whether it can be used, its models, and pulling one", LlmState.Create(), LlmList.Create(), LlmPull.Create());

    /// <summary>What is configured, its warnings said, and the key of its provider as the environment has it.</summary>
    public static (Settings Settings, Secret? Key) Resolve(Terminal terminal)
    {
        var settings = Configuration.Resolve(Environment.GetEnvironmentVariable, new Flags());
        foreach (var warning in settings.Warnings) terminal.Warn(warning);
        return (settings, Secrets.Find(settings.Llm.Provider, settings.Llm.Provider, Environment.GetEnvironmentVariable)?.Key);
    }
}

/// <summary><c>stigmer llm status</c>: exit 0 where the model can be used, else 1, the document being printed all the same.</summary>
static class LlmState
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("status", "Whether the provider answers, takes the key and has the model");
        command.SetAction((parsed, cancel) => Run(Terminal.From(parsed), cancel));
        return command;
    }

    static async Task<int> Run(Terminal terminal, CancellationToken cancel)
    {
        var (settings, key) = Llm.Resolve(terminal);
        var llm = settings.Llm;
        var status = await ProviderStatus.Check(llm, key, cancel);
        if (key is null && Providers.NeededKey(llm.Provider, llm.BaseUrl) is { } variable)
        {
            status = status with { KeyValid = false, Problem = status.Problem ?? new Failure($"{variable} is not set", null, $"Set it, or let `stigmer local` ask for the key at its start") };
        }
        var usable = status.Problem is null;
        if (terminal.Json)
        {
            terminal.Document(
                new LlmDocument(
                    llm.Provider.Name(), llm.Model, llm.BaseUrl.Length > 0 ? llm.BaseUrl : null, status.Reachable, status.KeyValid, status.ModelAvailable, status.Problem?.Message, status.Problem?.Remedy),
                LlmJson.Default.LlmDocument);
            return usable ? ExitCode.Done : ExitCode.Failed;
        }
        terminal.Line($"{llm.Provider.Title()}{(llm.BaseUrl.Length > 0 ? $" at {llm.BaseUrl}" : "")}");
        terminal.Line($"  Reachable: {Said(status.Reachable, "yes", "no", terminal)}");
        terminal.Line($"  API key:   {(status.KeyValid is null && Providers.NeededKey(llm.Provider, llm.BaseUrl) is null ? "none needed" : Said(status.KeyValid, "accepted", key is null ? "not set" : "not accepted", terminal))}");
        terminal.Line($"  Model:     {llm.Model} {Said(status.ModelAvailable, "is there", "is not there", terminal)}");
        if (status.Problem is { } problem) terminal.Fail(problem);
        return usable ? ExitCode.Done : ExitCode.Failed;
    }

    static string Said(bool? fact, string yes, string no, Terminal terminal) => fact switch
    {
        true => $"{terminal.InGreen(terminal.OkSymbol)} {yes}",
        false => $"{terminal.ErrorSymbol} {no}",
        null => "could not be told",
    };
}

/// <summary><c>stigmer llm list</c>.</summary>
static class LlmList
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("list", "List the provider's models; of Ollama, those that were pulled");
        command.SetAction((parsed, cancel) => Run(Terminal.From(parsed), cancel));
        return command;
    }

    static async Task<int> Run(Terminal terminal, CancellationToken cancel)
    {
        var (settings, key) = Llm.Resolve(terminal);
        if (key is null && Providers.NeededKey(settings.Llm.Provider, settings.Llm.BaseUrl) is { } variable)
        {
            throw new Failure($"{settings.Llm.Provider.Title()} needs an API key", $"{variable} is not set", $"Set {variable}");
        }
        var models = await ListedModel.All(settings.Llm, key, cancel);
        if (terminal.Json)
        {
            terminal.Document(new LlmModelsDocument(models), LlmJson.Default.LlmModelsDocument);
            return ExitCode.Done;
        }
        if (models.Count == 0)
        {
            terminal.Note(settings.Llm.Provider == LlmProvider.Ollama ? $"No models yet: `stigmer llm pull {settings.Llm.Model}` fetches one" : "No models");
            return ExitCode.Done;
        }
        var width = models.Max(model => model.Name.Length);
        terminal.Line($"{"NAME".PadRight(width)}  {"SIZE",9}  TOOLS");
        foreach (var model in models)
        {
            var size = model.Size is { } bytes ? FormattableString.Invariant($"{bytes / 1e9:0.0} GB") : "-";
            terminal.Line($"{model.Name.PadRight(width)}  {size,9}  {model.Tools switch { true => "yes", false => "no", null => "-" }}");
        }
        return ExitCode.Done;
    }
}

/// <summary><c>llm status --json</c>.</summary>
sealed record LlmDocument(string Provider, string Model, string? BaseUrl, bool? Reachable, bool? KeyValid, bool? ModelAvailable, string? Detail, string? Remedy);

/// <summary><c>llm list --json</c>.</summary>
sealed record LlmModelsDocument(IReadOnlyList<ListedModel> Models);

/// <summary><c>llm pull --json</c>.</summary>
sealed record LlmPulledDocument(string Model, bool Pulled, long? Size);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, GenerationMode = JsonSourceGenerationMode.Serialization)]
[JsonSerializable(typeof(LlmDocument))]
[JsonSerializable(typeof(LlmModelsDocument))]
[JsonSerializable(typeof(LlmPulledDocument))]
sealed partial class LlmJson : JsonSerializerContext;
