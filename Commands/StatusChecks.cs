using Stigmer.Agents.Llm;
using Stigmer.Config;
using Stigmer.Rpc;
using Stigmer.Runtime;
using Stigmer.Runtime.Control;
using Stigmer.Runtime.Temporal;

namespace Stigmer.Commands;

/// <summary>What the daemon does not know because it asks nobody: whether the model and the engine answer.</summary>
static class StatusChecks
{
    /// <summary>How long the daemon may take for its look at an external engine, which it bounds itself.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    /// <summary>The document with what was found out.</summary>
    public static async Task<StatusDocument> Complete(StatusDocument document, CancellationToken cancel)
    {
        var llm = document.Llm is { } model ? Model(model, cancel) : null;
        var temporal = document.Temporal is { } engine ? Engine(engine, document, cancel) : null;
        return document with
        {
            Llm = llm is null ? null : (await llm).Status,
            Temporal = temporal is null ? null : await temporal,
        };
    }

    /// <summary>
    /// After a start: a model that cannot be used stops nothing, and is better known now than at the first run. Where Ollama only
    /// lacks it, a person at a terminal is offered to fetch it.
    /// </summary>
    public static async Task WarnOfModel(LlmStatus llm, Terminal terminal, CancellationToken cancel, bool offersPull = false)
    {
        var (status, remedy) = await Model(llm, cancel);
        if (status.Detail is not { } detail) return;
        terminal.Warn(remedy is null ? detail : $"{detail}\n  {remedy.Replace("\n", "\n  ", StringComparison.Ordinal)}");
        if (offersPull && status is { Reachable: true, ModelAvailable: false, BaseUrl: { } url } && llm.Provider == LlmProvider.Ollama.Name())
        {
            await LlmPull.Offer(url, llm.Model, terminal, cancel);
        }
    }

    static async Task<(LlmStatus Status, string? Remedy)> Model(LlmStatus llm, CancellationToken cancel)
    {
        if (Providers.Find(llm.Provider) is not { } provider) return (llm, null);
        // A key that was typed at the start is known to the stack alone: without one, whether anything answers is all that can be told.
        var key = Secrets.Find(provider, provider, Environment.GetEnvironmentVariable)?.Key;
        var found = await ProviderStatus.Check(new LlmSettings(provider, llm.Model, llm.BaseUrl ?? "", 1, null, null, null), key, cancel);
        return (llm with { Reachable = found.Reachable, ModelAvailable = found.ModelAvailable, Detail = found.Problem?.Message }, found.Problem?.Remedy);
    }

    static async Task<TemporalStatus> Engine(TemporalStatus temporal, StatusDocument document, CancellationToken cancel)
    {
        // The daemon knows already that ours is not ready.
        if (temporal.Reachable == false) return temporal;
        var home = new StigmerHome(document.Home);
        if (temporal.Mode == EngineName.External) return await External(temporal, home, cancel);
        if (!HostPort.TryParse(temporal.Address, out var address)) return temporal;
        var key = temporal.Mode == EngineName.Embedded ? home.ReadOrMakeToken() : null;
        var (reachable, running, why) = await TemporalReadiness.Look(new TemporalConnection(address, temporal.Namespace, key), TimeProvider.System, cancel);
        var detail = why is null ? temporal.Detail : temporal.Detail is null ? why : $"{why}; {temporal.Detail}";
        return temporal with { Reachable = reachable, RunningWorkflows = running, Detail = detail };
    }

    /// <summary>The daemon looks, which has the keys and certificates that the stack was started with.</summary>
    static async Task<TemporalStatus> External(TemporalStatus temporal, StigmerHome home, CancellationToken cancel)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        patience.CancelAfter(Patience);
        try
        {
            using var daemon = await ControlClient.TryConnect(home, patience.Token);
            return daemon is not null && await daemon.Engine(patience.Token) is { } seen ? seen : temporal;
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return temporal;
        }
    }
}
