using Grpc.Core;
using Stigmer.Agents.Llm;
using Stigmer.Config;
using Stigmer.Rpc;
using Stigmer.Rpc.Temporal;
using Stigmer.Runtime;

namespace Stigmer.Commands;

/// <summary>What the daemon does not know because it asks nobody: whether the model and the engine answer.</summary>
static class StatusChecks
{
    /// <summary>How long an engine may take to say how many workflows run.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

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
        try
        {
            if (!HostPort.TryParse(temporal.Address, out var address)) return temporal;
            using var channel = Channels.ToTemporal(Connection(temporal, address, document));
            var service = new WorkflowService.WorkflowServiceClient(channel);
            var request = new CountWorkflowExecutionsRequest { Namespace = temporal.Namespace, Query = $"WorkflowType = '{TurnWorkflow.Type}' AND ExecutionStatus = 'Running'" };
            var answer = await service.CountWorkflowExecutionsAsync(request, CallTime.Within(Patience, cancel));
            return temporal with { Reachable = true, RunningWorkflows = (int)answer.Count };
        }
        catch (RpcException e) when (!cancel.IsCancellationRequested)
        {
            // An engine that cannot count answers all the same.
            var answers = e.StatusCode is StatusCode.Unimplemented or StatusCode.InvalidArgument or StatusCode.NotFound;
            return temporal with { Reachable = answers, Detail = temporal.Detail ?? (answers ? null : $"{e.StatusCode}: {e.Status.Detail}") };
        }
        catch (Failure e)
        {
            return temporal with { Reachable = false, Detail = temporal.Detail ?? e.Message };
        }
    }

    static TemporalConnection Connection(TemporalStatus temporal, HostPort address, StatusDocument document)
    {
        if (temporal.Mode == EngineName.Embedded) return new TemporalConnection(address, temporal.Namespace, new StigmerHome(document.Home).ReadOrMakeToken());
        if (temporal.Mode == EngineName.Managed) return new TemporalConnection(address, temporal.Namespace);
        // The daemon keeps the key to itself; the configuration has it as well.
        var settings = Configuration.Resolve(Environment.GetEnvironmentVariable, new Flags()).Temporal;
        return new TemporalConnection(address, temporal.Namespace, settings.ApiKey?.Reveal(), settings.Tls);
    }
}
