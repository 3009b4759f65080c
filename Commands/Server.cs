using System.CommandLine;
using Stigmer.Config;
using Stigmer.Server;

namespace Stigmer.Commands;

/// <summary><c>stigmer server</c>: only the API server, in the foreground.</summary>
static class Server
{
    static readonly Option<string?> Listen = new("--listen") { Description = "Where to listen, HOST:PORT; default: the configured endpoint", HelpName = "HOST:PORT" };

    static readonly Option<string?> TlsCert = new("--tls-cert") { Description = "The certificate, a PEM file; needed beyond this machine", HelpName = "FILE" };

    static readonly Option<string?> TlsKey = new("--tls-key") { Description = "The certificate's key, a PEM file", HelpName = "FILE" };

    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("server", "Run only the API server, in the foreground, for a team") { Listen, TlsCert, TlsKey };
        command.SetAction((parsed, cancel) => Run(parsed.GetValue(Listen), parsed.GetValue(TlsCert), parsed.GetValue(TlsKey), cancel));
        return command;
    }

    static Task<int> Run(string? listen, string? cert, string? key, CancellationToken cancel) =>
        ServerRole.Run(Options(Environment.GetEnvironmentVariable, listen, cert, key), cancel);

    /// <summary>What the role is told. A <see cref="Failure"/> with exit code 2 where that cannot be.</summary>
    public static ServerOptions Options(Func<string, string?> environment, string? listen, string? cert, string? key)
    {
        HostPort address;
        if (listen is null) address = Configuration.Resolve(environment, new Flags()).Endpoint;
        else if (!HostPort.TryParse(listen, out address)) throw new Failure($"'{listen}' is not an address", null, "Give --listen HOST:PORT", ExitCode.Usage);
        if (cert is null != key is null) throw new Failure("A certificate and its key belong together", null, "Give both --tls-cert and --tls-key", ExitCode.Usage);
        if (cert is null && !address.IsLoopback)
        {
            throw new Failure(
                $"Listening on {address} needs TLS", "others than this machine could read every run and the token", "Give --tls-cert and --tls-key, or listen on localhost", ExitCode.Usage);
        }
        return new ServerOptions(address, cert, key);
    }
}
