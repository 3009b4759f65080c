using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Stigmer.Server.Api;

/// <summary>Every call but the health check carries the bearer token.</summary>
sealed class Authorization(string token)
{
    readonly byte[] expected = Encoding.UTF8.GetBytes($"Bearer {token}");

    /// <summary>Lets the request on, or answers Unauthenticated.</summary>
    public Task Check(HttpContext context, RequestDelegate next)
    {
        if (context.Request.Path.StartsWithSegments("/grpc.health.v1.Health", StringComparison.Ordinal) || Holds(context.Request.Headers.Authorization)) return next(context);
        // A gRPC answer without a body: its status stands in the headers.
        context.Response.ContentType = "application/grpc";
        context.Response.Headers["grpc-status"] = "16";
        context.Response.Headers["grpc-message"] = "The call does not carry this server's token";
        return Task.CompletedTask;
    }

    bool Holds(StringValues header) =>
        header is [{ } value] && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(value), expected);
}
