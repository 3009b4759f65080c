using Grpc.Core;
using Grpc.Core.Interceptors;
using Stigmer.Server.Runs;

namespace Stigmer.Server.Api;

/// <summary>Turns what a call throws into a status: Unavailable where the server is being stopped, Internal (and a line in the log) for our own faults.</summary>
sealed class Faults(CancellationToken stopping, Log log) : Interceptor
{
    public override Task<TResponse> UnaryServerHandler<TRequest, TResponse>(
        TRequest request, ServerCallContext context, UnaryServerMethod<TRequest, TResponse> continuation) => Guard(() => continuation(request, context), context);

    public override Task<TResponse> ClientStreamingServerHandler<TRequest, TResponse>(
        IAsyncStreamReader<TRequest> requestStream, ServerCallContext context, ClientStreamingServerMethod<TRequest, TResponse> continuation) =>
        Guard(() => continuation(requestStream, context), context);

    public override Task ServerStreamingServerHandler<TRequest, TResponse>(
        TRequest request, IServerStreamWriter<TResponse> responseStream, ServerCallContext context, ServerStreamingServerMethod<TRequest, TResponse> continuation) =>
        Guard(async () =>
        {
            await continuation(request, responseStream, context);
            return true;
        }, context);

    public override Task DuplexStreamingServerHandler<TRequest, TResponse>(
        IAsyncStreamReader<TRequest> requestStream, IServerStreamWriter<TResponse> responseStream, ServerCallContext context,
        DuplexStreamingServerMethod<TRequest, TResponse> continuation) =>
        Guard(async () =>
        {
            await continuation(requestStream, responseStream, context);
            return true;
        }, context);

    async Task<T> Guard<T>(Func<Task<T>> call, ServerCallContext context)
    {
        try
        {
            return await call();
        }
        catch (RpcException)
        {
            throw;
        }
        catch (Exception) when (stopping.IsCancellationRequested)
        {
            throw Refusal.Later("The server is being stopped");
        }
        catch (Exception e) when (context.CancellationToken.IsCancellationRequested && e is OperationCanceledException or IOException)
        {
            // Who asked has gone.
            throw new RpcException(new Status(StatusCode.Cancelled, "The caller has gone"));
        }
        catch (Exception e)
        {
            log.Error("A request failed", ("method", context.Method), ("error", e));
            throw new RpcException(new Status(StatusCode.Internal, $"{e.GetType().Name}: {e.Message}"));
        }
    }
}
