using Grpc.Core;
using Grpc.Health.V1;
using Stigmer.Rpc;
using Stigmer.Rpc.Temporal;

namespace Stigmer.Runtime.Temporal;

/// <summary>When a Temporal can be used: its API is healthy, the namespace is there, and it says what it is.</summary>
static class TemporalReadiness
{
    /// <summary>One question's time. A server that takes longer is asked again.</summary>
    static readonly TimeSpan PerQuestion = TimeSpan.FromSeconds(5);

    /// <summary>How long one that others run may keep us without being usable, before anything of ours is started.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    /// <summary>How long it may take to be connected, and then to say its first word.</summary>
    static readonly TimeSpan ForConnection = TimeSpan.FromSeconds(5);

    /// <summary>How long a look at one that should run may take, each step of it.</summary>
    static readonly TimeSpan Glance = TimeSpan.FromSeconds(2);

    /// <summary>
    /// The oldest server that does all that is asked of it: next_retry_delay, by which a run goes on a moment after its runner died
    /// and a model's Retry-After is kept, came with it (read on 2026-11-24 from temporalio/features#419 and the SDKs' notes).
    /// </summary>
    static readonly Version Oldest = new(1, 24);

    /// <summary>
    /// Asks a Temporal that others run, and answers the server's version. Fails with what is wrong with it: at once where
    /// there is no connection or the answer is final, after ten seconds where it is silent or does not serve.
    /// </summary>
    public static async Task<string> Check(TemporalConnection connection, TimeProvider time, CancellationToken cancel)
    {
        string? reason = null;
        using var limit = new CancellationTokenSource(Patience, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel, limit.Token);
        try
        {
            await Probe.Run(connection, ForConnection, time, either.Token);
            var version = await Wait(connection, starting: false, time, either.Token, why => reason = why);
            return IsTooOld(version) ? throw TooOld(connection, $"its version is {version}") : version;
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new Failure(
                $"Temporal at {connection.Address} cannot be used", reason ?? $"it did not answer within {Patience.TotalSeconds:0} s", "Check TEMPORAL_SERVICE_ADDRESS or temporal.address, and that it runs");
        }
    }

    /// <summary>A look at an engine that should run: whether it answers, how many of our workflows run, and what is wrong. Takes seconds at most.</summary>
    public static async Task<(bool Reachable, int? Running, string? Why)> Look(TemporalConnection connection, TimeProvider time, CancellationToken cancel)
    {
        try
        {
            using var channel = Channels.ToTemporal(connection);
            var request = new CountWorkflowExecutionsRequest { Namespace = connection.Namespace, Query = $"WorkflowType = '{TurnWorkflow.Type}' AND ExecutionStatus = 'Running'" };
            var answer = await new WorkflowService.WorkflowServiceClient(channel).CountWorkflowExecutionsAsync(request, CallTime.Within(Glance, cancel));
            return (true, (int)answer.Count, null);
        }
        catch (RpcException e) when (!cancel.IsCancellationRequested)
        {
            // An engine that cannot count answers all the same.
            if (e.StatusCode is StatusCode.Unimplemented or StatusCode.InvalidArgument) return (true, null, null);
            if (e.StatusCode is StatusCode.NotFound) return (true, null, Refused(connection, e).Message);
            return (false, null, await Reason(connection, e, time, cancel));
        }
        catch (Failure e)
        {
            return (false, null, e.Message);
        }
    }

    static async Task<string> Reason(TemporalConnection connection, RpcException e, TimeProvider time, CancellationToken cancel)
    {
        try
        {
            if (e.StatusCode is not (StatusCode.Unauthenticated or StatusCode.PermissionDenied)) await Probe.Run(connection, Glance, time, cancel);
            return Refused(connection, e).Message;
        }
        catch (Failure found)
        {
            return found.Message;
        }
    }

    /// <summary>
    /// Waits until the Temporal can be used, however long that takes, and answers the server's version. Fails on an answer
    /// that waiting does not change: a key that is refused, and, unless the server is starting, a place that takes no
    /// connection and a namespace that does not exist.
    /// </summary>
    /// <param name="starting">The server was started a moment ago: a refused connection and NotFound for the namespace mean not yet.</param>
    /// <param name="notYet">Is told, after each attempt, why it is not ready: what to say when the waiting is given up.</param>
    public static async Task<string> Wait(
        TemporalConnection connection, bool starting, TimeProvider time, CancellationToken cancel, Action<string>? notYet = null)
    {
        using var channel = Channels.ToTemporal(connection);
        var health = new Health.HealthClient(channel);
        var service = new WorkflowService.WorkflowServiceClient(channel);
        // A starting server offers no event to wait for, and a refused connection costs microseconds.
        var pause = TimeSpan.FromMilliseconds(10);
        while (true)
        {
            try
            {
                if (await IsServing(health, starting, cancel))
                {
                    await service.DescribeNamespaceAsync(new DescribeNamespaceRequest { Namespace = connection.Namespace }, Options(cancel));
                    return await Version(connection, service, cancel);
                }
                notYet?.Invoke("it answers, and does not serve yet");
            }
            catch (RpcException e) when (!cancel.IsCancellationRequested && ChangesByItself(e, starting))
            {
                // Asked again below.
                notYet?.Invoke(e.StatusCode == StatusCode.NotFound ? $"namespace {connection.Namespace} is not there yet"
                    : e.Status.Detail.Length > 0 ? e.Status.Detail : "it takes the connection and does not answer");
            }
            catch (RpcException e) when (!cancel.IsCancellationRequested)
            {
                throw Refused(connection, e);
            }
            catch (RpcException)
            {
                throw new OperationCanceledException(cancel);
            }
            await Task.Delay(pause, time, cancel);
            pause = pause < TimeSpan.FromMilliseconds(250) ? pause * 1.5 : pause;
        }
    }

    static async Task<string> Version(TemporalConnection connection, WorkflowService.WorkflowServiceClient service, CancellationToken cancel)
    {
        try
        {
            return (await service.GetSystemInfoAsync(new GetSystemInfoRequest(), Options(cancel))).ServerVersion;
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.Unimplemented)
        {
            throw TooOld(connection, "it does not tell its version, which every server does since 1.15");
        }
    }

    /// <summary>False for what cannot be read: who gives themselves another name knows why.</summary>
    static bool IsTooOld(string version) => System.Version.TryParse(version.Split('-', '+')[0].TrimStart('v'), out var number) && number < Oldest;

    static Failure TooOld(TemporalConnection connection, string why) => new(
        $"The server at {connection.Address} is too old", $"{why}; Stigmer needs {Oldest} or later", "Upgrade it, or use another: TEMPORAL_SERVICE_ADDRESS or temporal.address");

    static async Task<bool> IsServing(Health.HealthClient health, bool starting, CancellationToken cancel)
    {
        try
        {
            var answer = await health.CheckAsync(new HealthCheckRequest { Service = TemporalConnection.Service }, Options(cancel));
            return answer.Status == HealthCheckResponse.Types.ServingStatus.Serving;
        }
        catch (RpcException e) when (e.StatusCode is StatusCode.Unimplemented or StatusCode.Unauthenticated or StatusCode.PermissionDenied)
        {
            // A gateway in front of a cluster need not pass health checks on; the next question tells as much.
            return true;
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.NotFound)
        {
            // Its health service is up before the service that it is asked about. Of one that runs, the next question tells more.
            return !starting;
        }
    }

    static bool ChangesByItself(RpcException e, bool starting) => e.StatusCode switch
    {
        _ when TlsProblem(e) is not null => false,
        StatusCode.Unauthenticated or StatusCode.PermissionDenied or StatusCode.InvalidArgument or StatusCode.Unimplemented => false,
        StatusCode.NotFound => starting,
        _ when IsNoGrpc(e) => false,
        _ when ConnectionProblem(e) is not null => starting,
        _ => true,
    };

    static string? ConnectionProblem(RpcException e) => e.Status.DebugException is HttpRequestException
    {
        HttpRequestError: HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError or HttpRequestError.ProxyTunnelError,
    } connection ? (connection.InnerException ?? connection).Message : null;

    static string? TlsProblem(RpcException e) =>
        e.Status.DebugException is HttpRequestException { HttpRequestError: HttpRequestError.SecureConnectionError } tls ? (tls.InnerException ?? tls).Message : null;

    static Failure Refused(TemporalConnection connection, RpcException e) => e.StatusCode switch
    {
        _ when TlsProblem(e) is { } problem => new(
            $"There is no TLS with Temporal at {connection.Address}", problem, "Check TEMPORAL_TLS_SERVER_CA_CERT_PATH and TEMPORAL_TLS_SERVER_NAME, or set TEMPORAL_TLS=false for plaintext", inner: e),
        _ when ConnectionProblem(e) is { } problem => new(
            $"Temporal at {connection.Address} cannot be reached", problem, "Check TEMPORAL_SERVICE_ADDRESS or temporal.address, and that it runs", inner: e),
        StatusCode.NotFound => new($"Namespace {connection.Namespace} does not exist at {connection.Address}", null, "Set TEMPORAL_NAMESPACE or temporal.namespace to one that does", inner: e),
        StatusCode.Unauthenticated or StatusCode.PermissionDenied when connection.ApiKey is not null => new(
            $"Temporal at {connection.Address} rejects the API key", $"for namespace {connection.Namespace} it answers '{e.Status.Detail}'",
            "Set TEMPORAL_API_KEY (or the file of temporal.api_key_file) to a key that is valid there, and TEMPORAL_NAMESPACE to its namespace", inner: e),
        StatusCode.Unauthenticated => new($"Temporal at {connection.Address} wants an API key", $"it answers '{e.Status.Detail}'", "Set TEMPORAL_API_KEY, or temporal.api_key_file", inner: e),
        StatusCode.PermissionDenied => new(
            $"Temporal at {connection.Address} does not let us into namespace {connection.Namespace}", $"it answers '{e.Status.Detail}'", "Check TEMPORAL_NAMESPACE, TEMPORAL_API_KEY and the client certificate", inner: e),
        StatusCode.Unimplemented => new($"What answers at {connection.Address} is no Temporal", "it does not know Temporal's service", "Check TEMPORAL_SERVICE_ADDRESS or temporal.address", inner: e),
        _ when IsNoGrpc(e) => new($"What answers at {connection.Address} is no Temporal", "it speaks HTTP/2 and not gRPC", "Check TEMPORAL_SERVICE_ADDRESS or temporal.address", inner: e),
        _ => new($"Temporal at {connection.Address} cannot be used", $"{e.StatusCode}: {e.Status.Detail}", "Check that the address is a Temporal's gRPC port, and that it is well", inner: e),
    };

    // The gRPC client's own words for an answer of another content type. A gateway whose Temporal is away answers so with 502 to 504.
    static bool IsNoGrpc(RpcException e) => e.StatusCode != StatusCode.Unavailable && e.Status.Detail.StartsWith("Bad gRPC response", StringComparison.Ordinal);

    static CallOptions Options(CancellationToken cancel) => CallTime.Within(PerQuestion, cancel);
}
