using Grpc.Core;
using Microsoft.Data.Sqlite;
using Stigmer.Server.Runs;

namespace Stigmer.Server.Api;

/// <summary>Turns what a call throws into a status: Unavailable where the server is being stopped, Internal (and a line in the log) for our own faults.</summary>
sealed class Faults(CancellationToken stopping, Log log)
{
    /// <summary>Carries out a call.</summary>
    public async Task<T> Guard<T>(Func<Task<T>> call, ServerCallContext context)
    {
        try
        {
            return await call();
        }
        catch (Exception e)
        {
            throw Status(e, context);
        }
    }

    /// <inheritdoc cref="Guard{T}"/>
    public async Task Guard(Func<Task> call, ServerCallContext context)
    {
        try
        {
            await call();
        }
        catch (Exception e)
        {
            throw Status(e, context);
        }
    }

    RpcException Status(Exception e, ServerCallContext context)
    {
        if (e is RpcException status) return status;
        if (stopping.IsCancellationRequested) return Refusal.Later("The server is being stopped");
        // Who asked has gone.
        if (context.CancellationToken.IsCancellationRequested && e is OperationCanceledException or IOException) return new RpcException(new Status(StatusCode.Cancelled, "The caller has gone"));
        // SQLITE_FULL. Not Unavailable, for which people's commands would wait: somebody has to do something.
        if (e is SqliteException { SqliteErrorCode: 13 }) return new RpcException(new Status(StatusCode.Internal, "the disk that holds its database is full"));
        log.Error("A request failed", ("method", context.Method), ("error", e));
        return new RpcException(new Status(StatusCode.Internal, $"{e.GetType().Name}: {e.Message}"));
    }
}
