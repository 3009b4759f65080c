using Grpc.Core;

namespace Stigmer.Commands;

/// <summary>Sentences for what was thrown where nobody knew anything more exact.</summary>
static class Failures
{
    /// <summary>The failure that says what <paramref name="e"/> means to a person.</summary>
    public static Failure From(Exception e) => e switch
    {
        Failure failure => failure,
        RpcException rpc => FromRpc(rpc),
        // A redirection that is closed or whose disk is full, say.
        IOException or UnauthorizedAccessException => new Failure("Something could not be read or written", FirstLine(e.Message), "--verbose tells what it was", inner: e),
        _ => new Failure(
            "stigmer ran into something that it does not know", $"{e.GetType().Name}: {FirstLine(e.Message)}",
            "Run it again with --verbose for the whole story; the stack's own is in `stigmer local logs`", inner: e),
    };

    static Failure FromRpc(RpcException e) => e.StatusCode switch
    {
        StatusCode.Unavailable => new Failure(
            "stigmer-server does not answer", Detail(e), "`stigmer local status` says what runs, `stigmer local` starts it", ExitCode.NotRunning, e),
        StatusCode.Unauthenticated or StatusCode.PermissionDenied => new Failure(
            "stigmer-server refused the token", Detail(e), "A local stack: `stigmer local restart`; elsewhere: set STIGMER_TOKEN to that server's token", inner: e),
        StatusCode.Unimplemented => new Failure(
            "stigmer-server does not know this request", Detail(e), "It may be of another version: `stigmer local restart` brings both to the same one", inner: e),
        StatusCode.DeadlineExceeded => new Failure(
            "stigmer-server took too long to answer", Detail(e), "`stigmer local logs stigmer-server` says why", inner: e),
        StatusCode.InvalidArgument or StatusCode.NotFound or StatusCode.FailedPrecondition or StatusCode.AlreadyExists when e.Status.Detail.Length > 0 =>
            new Failure(e.Status.Detail, inner: e),
        _ => new Failure(
            "stigmer-server failed", Detail(e), "`stigmer local logs stigmer-server` says more", inner: e),
    };

    static string? Detail(RpcException e) => string.IsNullOrEmpty(e.Status.Detail) ? e.StatusCode.ToString() : FirstLine(e.Status.Detail);

    static string FirstLine(string text) => text.Split('\n')[0].TrimEnd('\r');
}
