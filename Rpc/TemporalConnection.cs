using Stigmer.Config;

namespace Stigmer.Rpc;

/// <summary>How to reach a workflow engine: what the daemon hands to the server and to the runner in their environment.</summary>
/// <param name="Address">HOST:PORT.</param>
/// <param name="Namespace">The namespace.</param>
/// <param name="ApiKey">Sent as a bearer token; null: none. A secret.</param>
/// <param name="Tls">Null: plaintext.</param>
sealed record TemporalConnection(HostPort Address, string Namespace, string? ApiKey = null, TemporalTls? Tls = null)
{
    /// <summary>Reads TEMPORAL_SERVICE_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY and TEMPORAL_TLS_*; null without an address.</summary>
    public static TemporalConnection? From(Func<string, string?> environment) => throw new NotImplementedException();

    /// <summary>The same as environment variables, for a child.</summary>
    public IEnumerable<KeyValuePair<string, string>> ToEnvironment() => throw new NotImplementedException();
}
