using Grpc.Core;
using Grpc.Net.Client;
using Stigmer.Config;
using Stigmer.Rpc;
using Stigmer.Rpc.V1;

namespace Stigmer.Commands;

/// <summary>Where a stigmer-server is and what opens it.</summary>
sealed record ServerAddress(HostPort Endpoint, Secret Token, TemporalTls? Tls = null);

/// <summary>
/// The way to stigmer-server for one command. A server that restarts may come back elsewhere, so each connection asks anew
/// where it is.
/// </summary>
/// <param name="locate">Where the server is now; fails with exit code 3 where there is none.</param>
/// <param name="time">For waiting between attempts.</param>
/// <param name="elsewhere">The server is none of this machine's stack.</param>
sealed class ServerLink(Func<CancellationToken, Task<ServerAddress>> locate, TimeProvider time, bool elsewhere = false) : IDisposable
{
    // How long a server that is away is waited for: a restart of the stack takes seconds; with a daemon that is up again, or
    // with a server elsewhere, longer.
    static readonly TimeSpan WaitForStack = TimeSpan.FromSeconds(10), WaitForServer = TimeSpan.FromSeconds(60);
    static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(1), FirstPause = TimeSpan.FromMilliseconds(50);

    // Every call but a watch is answered from the record at once.
    static readonly TimeSpan PerCall = TimeSpan.FromSeconds(30);

    ServerAddress? connected;
    GrpcChannel? channel;

    /// <summary>The server is none of this machine's stack: it knows no folder of this machine.</summary>
    public bool IsElsewhere => elsewhere;

    /// <summary>A client of the server that is there now. Connects at the first call.</summary>
    public async Task<RunService.RunServiceClient> Connect(CancellationToken cancel) => new(await Channel(cancel));

    /// <summary>
    /// Makes a call, again and again while the server is away (not for longer than a restart takes): the request must be one
    /// that may be repeated, as all of RunService's are.
    /// </summary>
    public Task<T> Call<T>(Func<RunService.RunServiceClient, CallOptions, Task<T>> call, CancellationToken cancel) =>
        Repeat((channel, options) => call(new RunService.RunServiceClient(channel), options), cancel);

    /// <summary>The same about agents.</summary>
    public Task<T> CallAgents<T>(Func<AgentService.AgentServiceClient, CallOptions, Task<T>> call, CancellationToken cancel) =>
        Repeat((channel, options) => call(new AgentService.AgentServiceClient(channel), options), cancel);

    async Task<T> Repeat<T>(Func<GrpcChannel, CallOptions, Task<T>> call, CancellationToken cancel)
    {
        var patience = new Patience(time, WaitForStack, this);
        while (true)
        {
            try
            {
                return await call(await Channel(cancel), CallTime.Within(PerCall, cancel));
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.Cancelled && cancel.IsCancellationRequested)
            {
                throw new OperationCanceledException("Given up", e, cancel);
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.Unavailable)
            {
                await patience.Wait(e, cancel);
            }
        }
    }

    async Task<GrpcChannel> Channel(CancellationToken cancel)
    {
        var address = await locate(cancel);
        if (channel is null || address != connected)
        {
            channel?.Dispose();
            channel = Channels.ToServer(address.Endpoint, address.Token.Reveal(), address.Tls);
            connected = address;
        }
        return channel;
    }

    /// <summary>A new measure of how long a run is worth waiting for while its server is away.</summary>
    public Patience BePatient() => new(time, WaitForServer, this);

    /// <summary>The server, the way to it, or the stack may be there again in a moment.</summary>
    public static bool MayPass(Exception e) => e switch
    {
        Failure failure => failure.ExitCode == ExitCode.NotRunning,
        RpcException rpc => rpc.StatusCode is StatusCode.Unavailable or StatusCode.Internal or StatusCode.Cancelled or StatusCode.Aborted
            or StatusCode.Unknown or StatusCode.ResourceExhausted or StatusCode.DeadlineExceeded,
        _ => false,
    };

    /// <inheritdoc/>
    public void Dispose() => channel?.Dispose();

    /// <summary>Waits longer and longer between attempts, and no more after a bound.</summary>
    /// <param name="time">The clock.</param>
    /// <param name="limit">The bound; a stack that is not there at all is waited for no longer than its restart takes.</param>
    /// <param name="link">Whose server.</param>
    public sealed class Patience(TimeProvider time, TimeSpan limit, ServerLink link)
    {
        readonly Backoff backoff = new(time, FirstPause, LongestPause);
        long? since;

        /// <summary>Nothing has failed since the last news.</summary>
        public bool First => since is null;

        /// <summary>There was news: whatever fails next fails for the first time.</summary>
        public void Renew()
        {
            since = null;
            backoff.Reset();
        }

        /// <summary>Waits until the next attempt is due, or throws what failed (null: a stream that ended without an end).</summary>
        public async Task Wait(Exception? failed, CancellationToken cancel)
        {
            since ??= time.GetTimestamp();
            var bound = failed is Failure ? WaitForStack : limit;
            if (time.GetElapsedTime(since.Value) >= bound)
            {
                if (failed is null) throw new Failure("stigmer-server ends every watch of this run without saying why", null, "`stigmer local logs stigmer-server` says more");
                if (failed is RpcException { StatusCode: StatusCode.Unavailable } away && link.IsElsewhere)
                {
                    throw new Failure(
                        $"The server at {link.connected?.Endpoint} does not answer", away.Status.Detail, "Check backend.cloud.endpoint, and that the server runs", inner: away);
                }
                System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failed);
            }
            await backoff.Wait(cancel);
        }
    }
}
