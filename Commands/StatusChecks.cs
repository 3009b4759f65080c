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

    /// <summary>After a start: a model that cannot be used stops nothing, and is better known now than at the first run.</summary>
    public static async Task WarnOfModel(LlmStatus llm, Terminal terminal, CancellationToken cancel)
    {
        var (status, remedy) = await Model(llm, cancel);
        if (status.Detail is not { } detail) return;
        terminal.Warn(remedy is null ? detail : $"{detail}\n  {remedy.Replace("\n", "\n  ", StringComparison.Ordinal)}");
    }

    static async Task<(LlmStatus Status, string? Remedy)> Model(LlmStatus llm, CancellationToken cancel)
    {
        if (llm.Provider == LlmProvider.Demo.Name()) return (llm with { Reachable = true, ModelAvailable = true }, null);
        if (llm.Provider != LlmProvider.Ollama.Name() || llm.BaseUrl is not { } url) return (llm, null);
        var ollama = await OllamaStatus.Check(url, llm.Model, cancel);
        return (llm with { Reachable = ollama.Reachable, ModelAvailable = ollama.ModelAvailable, Detail = ollama.Detail }, ollama.Remedy);
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
