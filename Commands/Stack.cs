using System.CommandLine;
using Stigmer.Config;
using Stigmer.Runtime;

namespace Stigmer.Commands;

/// <summary>How commands about runs come to their server: the local stack's, or one elsewhere (backend.type: cloud).</summary>
static class Stack
{
    /// <summary><c>--no-start</c>, of the commands that otherwise start a stack that is not running.</summary>
    public static Option<bool> NoStartOption() =>
        new("--no-start") { Description = "Exit 3 where the stack is not running, instead of starting it", Arity = ArgumentArity.Zero };

    /// <summary>
    /// The way to the server. A local stack that is not running is started where <paramref name="start"/> says so, with one
    /// line on standard error; else the failure has exit code 3.
    /// </summary>
    public static async Task<ServerLink> Connect(Terminal terminal, bool start, CancellationToken cancel)
    {
        var settings = Configuration.Resolve(Environment.GetEnvironmentVariable, new Flags());
        foreach (var warning in settings.Warnings) terminal.Warn(warning);
        return settings.Backend == BackendType.Cloud ? Elsewhere(settings.Cloud) : await Local(settings, terminal, start, cancel);
    }

    static ServerLink Elsewhere(CloudSettings cloud)
    {
        var endpoint = cloud.Endpoint ?? throw new Failure(
            "There is no server to go to", "backend.type is cloud, and backend.cloud.endpoint is not set", "Set backend.cloud.endpoint to HOST:PORT", ExitCode.Usage);
        var token = cloud.Token ?? throw new Failure(
            $"There is no token for {endpoint}", "backend.type is cloud", "Set STIGMER_TOKEN to that server's token", ExitCode.Usage);
        // Beyond this machine the token travels under TLS only.
        var tls = endpoint.IsLoopback && cloud.CaFile is null ? null : new TemporalTls(CaFile: cloud.CaFile);
        var address = new ServerAddress(endpoint, token, tls);
        return new ServerLink(_ => Task.FromResult(address), TimeProvider.System, elsewhere: true);
    }

    static async Task<ServerLink> Local(Settings settings, Terminal terminal, bool start, CancellationToken cancel)
    {
        if (start) await LocalStart.EnsureRunning(settings, terminal, cancel);
        else await Locate(cancel);
        return new ServerLink(Locate, TimeProvider.System);

        // Asked each time: a restarted stack may listen elsewhere.
        async Task<ServerAddress> Locate(CancellationToken cancel)
        {
            var state = await Launcher.Status(settings.Home, TimeProvider.System, cancel);
            if (state is null || !HostPort.TryParse(state.Document.Endpoint, out var endpoint))
            {
                throw new Failure("The stack is not running", null, "`stigmer local` starts it", ExitCode.NotRunning);
            }
            return new ServerAddress(endpoint, new Secret(StateFiles.Token(settings.Home)));
        }
    }
}
