using System.Collections.Concurrent;
using Microsoft.Extensions.AI;
using Stigmer.Config;
using Stigmer.Rpc.V1;

namespace Stigmer.Agents.Activities;

/// <summary>The models of runs: the runner's own, or the one that a run names.</summary>
/// <param name="environment">What the runner was started with: its own model, and the keys of every provider that is known.</param>
/// <param name="create">Makes a client, with the provider's key; a test's may speak to a script.</param>
sealed class RunModels(Func<string, string?> environment, Func<LlmSettings, Secret?, IChatClient> create)
{
    readonly ConcurrentDictionary<LlmSettings, IChatClient> clients = new();

    /// <summary>The model of a run. What is meant for one provider never goes to another.</summary>
    /// <exception cref="Failure">No such provider, or no key: making the call again cannot help.</exception>
    public (LlmSettings Settings, IChatClient Client) Of(RunSpec spec)
    {
        var settings = RunnerEnvironment.Read(environment, NullIfEmpty(spec.Provider), NullIfEmpty(spec.Model));
        var key = RunnerEnvironment.Key(environment, settings);
        if (key is null && Providers.NeededKey(settings.Provider, settings.BaseUrl) is { } variable)
        {
            throw new Failure(
                $"There is no key for {settings.Provider.Title()}", $"{variable} is not set for this runner", $"Set {variable}, then run: stigmer local restart");
        }
        return (settings, clients.GetOrAdd(settings, _ => create(settings, key)));
    }

    static string? NullIfEmpty(string text) => text.Length > 0 ? text : null;
}
