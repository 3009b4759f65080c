using System.CommandLine;
using Grpc.Core;
using Stigmer.Config;
using Stigmer.Runtime;
using Stigmer.Runtime.Control;

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
        Settings? settings = null;
        StackState running;
        StigmerHome home;
        try
        {
            settings = Configuration.Resolve(Environment.GetEnvironmentVariable, new Flags());
            home = settings.Home;
            foreach (var warning in settings.Warnings) terminal.Warn(warning);
            if (settings.Backend == BackendType.Cloud) return Elsewhere(settings.Cloud);
            running = start
                ? await LocalStart.EnsureRunning(settings, terminal, cancel)
                : await Launcher.Status(home, TimeProvider.System, cancel) ?? throw NotRunning();
        }
        catch (Failure invalid) when (settings is null && invalid.ExitCode == ExitCode.Usage)
        {
            // Nothing starts on such a configuration; a stack that runs was started on another.
            home = StigmerHome.From(Environment.GetEnvironmentVariable);
            if (MeansElsewhere(home)) throw;
            if (await Launcher.Status(home, TimeProvider.System, cancel) is not { Phase: DaemonPhase.Ready } there) throw;
            running = there;
            terminal.Warn($"The stack that runs is used as it was started, though it could not be started now: {invalid.What}{(invalid.Why is null ? "" : $"\n  {invalid.Why.Replace("\n", "\n  ", StringComparison.Ordinal)}")}");
        }
        if (running.Document.Version != Build.Version)
        {
            terminal.Warn($"The stack is of version {running.Document.Version}, this is {Build.Version}: `stigmer local restart` brings both to the same one");
        }
        return new ServerLink(c => Locate(home, c), TimeProvider.System);
    }

    // As far as a file says so that cannot be read to its end.
    static bool MeansElsewhere(StigmerHome home) =>
        ConfigFile.Read(home.ConfigFile).Values.TryGetValue(Schema.BackendType.Path, out var type) && type.Text.Equals("cloud", StringComparison.OrdinalIgnoreCase);

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

    // Asked anew for each connection: a stack that restarts may come back on another port.
    static async Task<ServerAddress> Locate(StigmerHome home, CancellationToken cancel)
    {
        var running = await Launcher.Status(home, TimeProvider.System, cancel) ?? throw NotRunning();
        if (!HostPort.TryParse(running.Document.Endpoint, out var endpoint) || endpoint.Port == 0)
        {
            throw new RpcException(new Status(StatusCode.Unavailable, "stigmer-server is starting and has no port yet"));
        }
        try
        {
            return new ServerAddress(endpoint, new Secret((await File.ReadAllTextAsync(home.Token, cancel)).Trim()));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new Failure($"The token {home.Token} cannot be read", e.Message, "`stigmer local restart` makes a new one where it is missing", inner: e);
        }
    }

    static Failure NotRunning() => new("The stack is not running", null, "`stigmer local` starts it", ExitCode.NotRunning);
}
