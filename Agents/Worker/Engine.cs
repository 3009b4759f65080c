using Grpc.Core;
using Grpc.Net.Client;
using Stigmer.Rpc;
using Stigmer.Rpc.Temporal;

namespace Stigmer.Agents.Worker;

/// <summary>The workflow engine, as a worker of one namespace sees it.</summary>
/// <param name="channel">From <c>Channels.ToTemporal</c>.</param>
/// <param name="name">The namespace.</param>
/// <param name="identity">This runner's life.</param>
/// <param name="missing">Told a workflow's id when the engine does not know its task: the server is to look.</param>
sealed class Engine(GrpcChannel channel, string name, string identity, Action<string> missing, Log log, TimeProvider time)
{
    /// <summary>A poll hangs for about a minute at the server.</summary>
    static readonly TimeSpan PollLimit = TimeSpan.FromSeconds(70);

    static readonly TimeSpan CallLimit = TimeSpan.FromSeconds(10);

    /// <summary>The calls themselves.</summary>
    public WorkflowService.WorkflowServiceClient Calls { get; } = new(channel);

    /// <summary>The namespace.</summary>
    public string Namespace => name;

    /// <summary>This runner's life.</summary>
    public string Identity => identity;

    /// <summary>The engine does not know a task of this workflow.</summary>
    public void Missing(string workflowId) => missing(workflowId);

    /// <summary>What a poll is called with.</summary>
    public CallOptions PollOptions(CancellationToken cancel) => CallTime.Within(PollLimit, cancel);

    /// <summary>What any other call is called with.</summary>
    public CallOptions Options(CancellationToken cancel) => CallTime.Within(CallLimit, cancel);

    /// <summary>
    /// Waits until the namespace can be used: a dev server takes calls a moment before that. Fails with <see cref="Failure"/>
    /// where the engine does not let us in.
    /// </summary>
    public async Task WaitUntilUsable(CancellationToken cancel)
    {
        var backoff = Backoff.ForOutage(time);
        while (true)
        {
            try
            {
                await Calls.DescribeNamespaceAsync(new DescribeNamespaceRequest { Namespace = name }, Options(cancel));
                return;
            }
            catch (RpcException e) when (!cancel.IsCancellationRequested)
            {
                if (IsRefusal(e.StatusCode)) throw Refused(e);
                if (backoff.Failures == 0) log.Warn("the workflow engine is not usable yet", ("why", e.Status.Detail));
            }
            await backoff.Wait(cancel);
        }
    }

    /// <summary>
    /// Hands an answer to the engine, again and again while it is away, until it is taken or <paramref name="cancel"/>. That the
    /// task is no longer ours is fine: what matters stands at the server.
    /// </summary>
    public async Task Answer(string what, string workflowId, Func<CallOptions, Task> answer, CancellationToken cancel)
    {
        var backoff = Backoff.ForOutage(time);
        while (true)
        {
            try
            {
                await answer(Options(cancel));
                return;
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.NotFound)
            {
                log.Debug("the task is no longer ours", ("answer", what), ("workflow", workflowId));
                missing(workflowId);
                return;
            }
            catch (RpcException e) when (!cancel.IsCancellationRequested)
            {
                if (e.Status.Detail.StartsWith("UnhandledCommand", StringComparison.Ordinal))
                {
                    // Something happened while this was decided: the task comes again at once, with it in its history.
                    log.Debug("the decision was overtaken", ("answer", what), ("workflow", workflowId));
                    return;
                }
                if (e.StatusCode is StatusCode.InvalidArgument or StatusCode.Unimplemented)
                {
                    // Saying it again would change nothing: the task comes again after its timeout.
                    log.Error("the engine refused an answer", ("answer", what), ("workflow", workflowId), ("why", e.Status.Detail));
                    return;
                }
                if (backoff.Failures == 0) log.Warn("the engine took no answer, trying again", ("answer", what), ("workflow", workflowId), ("why", e.Status.Detail));
            }
            await backoff.Wait(cancel);
        }
    }

    /// <summary>The engine does not let us in, and trying again will not change that.</summary>
    public static bool IsRefusal(StatusCode code) => code is StatusCode.InvalidArgument or StatusCode.PermissionDenied or StatusCode.Unauthenticated;

    /// <summary>What a person should know about a refusal.</summary>
    public static Failure Refused(RpcException e) => new(
        "The workflow engine does not let this runner in", e.Status.Detail, "Check TEMPORAL_NAMESPACE, TEMPORAL_API_KEY and STIGMER_TOKEN", ExitCode.Failed, e);
}
