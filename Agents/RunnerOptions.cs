using System.Globalization;
using Stigmer.Config;
using Stigmer.Rpc;

namespace Stigmer.Agents;

/// <summary>What a runner is started with, read from its environment.</summary>
/// <param name="Mode">local or cloud.</param>
/// <param name="Server">stigmer-server.</param>
/// <param name="ServerTls">Null: plaintext.</param>
/// <param name="Token">Its bearer token; a secret.</param>
/// <param name="Temporal">The workflow engine.</param>
/// <param name="Llm">The model of runs that name none.</param>
/// <param name="HostId">Whose tools this runner runs.</param>
/// <param name="Life">This life of the runner: 32 hexadecimal digits.</param>
/// <param name="Replaces">The lives of its predecessors, whose ends the supervisor saw.</param>
/// <param name="Concurrency">Model calls at the same time.</param>
sealed record RunnerOptions(
    string Mode, HostPort Server, TemporalTls? ServerTls, string Token, TemporalConnection Temporal, LlmSettings Llm, string HostId, string Life, IReadOnlyList<string> Replaces, int Concurrency)
{
    /// <summary>Reads them. Fails with exit code 2, naming the variable, where one is missing or wrong.</summary>
    /// <param name="concurrency">As the command line says; null: one for each core.</param>
    public static RunnerOptions From(Func<string, string?> environment, int? concurrency)
    {
        var temporal = TemporalConnection.From(environment) ?? throw Missing("TEMPORAL_SERVICE_ADDRESS", "the address of the workflow engine, HOST:PORT");
        var (address, tls) = ServerAddress(Required(environment, "STIGMER_SERVER", "the address of stigmer-server, HOST:PORT"));
        var token = Required(environment, "STIGMER_TOKEN", "what the server's run/token holds").Trim();
        // Embedded: the engine is the server, and lets in whom the server lets in.
        if (temporal.Address == address) temporal = temporal with { ApiKey = token, Tls = null };
        return new RunnerOptions(
            environment("MODE") is { Length: > 0 } mode ? mode : "local",
            address,
            tls,
            token,
            temporal,
            RunnerEnvironment.Read(environment),
            Config.HostId.In(StigmerHome.DataOf(environment)),
            environment("STIGMER_RUNNER_LIFE") is { Length: > 0 } life ? life : RandomId.New(),
            (environment("STIGMER_RUNNER_REPLACES") ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries),
            concurrency ?? Environment.ProcessorCount);
    }

    /// <summary>
    /// HOST:PORT, with TLS where that is another machine; or a URL that says which: https://HOST, http:// for a tunnel.
    /// </summary>
    static (HostPort Address, TemporalTls? Tls) ServerAddress(string text)
    {
        var (scheme, rest) = text.Split("://", 2) is [var before, var after] ? (before.ToLowerInvariant(), after.TrimEnd('/')) : (null, text);
        if (scheme == "https" && !rest[(rest.LastIndexOf(']') + 1)..].Contains(':', StringComparison.Ordinal)) rest += ":443";
        if (scheme is not (null or "https" or "http") || !HostPort.TryParse(rest, out var address))
        {
            throw new Failure("STIGMER_SERVER is not an address", $"'{text}' is neither HOST:PORT nor https://HOST", "Set it to something like localhost:50051", ExitCode.Usage);
        }
        return (address, scheme == "https" || (scheme is null && !address.IsLoopback) ? new TemporalTls() : null);
    }

    static string Required(Func<string, string?> environment, string name, string what) =>
        environment(name) is { } value && !string.IsNullOrWhiteSpace(value) ? value : throw Missing(name, what);

    static Failure Missing(string name, string what) => new(
        $"{name} is not set", string.Create(CultureInfo.InvariantCulture, $"an agent-runner needs it: {what}"), $"Set {name}; for a stack on this machine, run: stigmer local", ExitCode.Usage);
}
