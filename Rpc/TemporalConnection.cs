using Stigmer.Config;

namespace Stigmer.Rpc;

/// <summary>How to reach a workflow engine: what the daemon hands to the server and to the runner in their environment.</summary>
/// <param name="Address">HOST:PORT.</param>
/// <param name="Namespace">The namespace.</param>
/// <param name="ApiKey">Sent as a bearer token; null: none. A secret.</param>
/// <param name="Tls">Null: plaintext.</param>
/// <param name="Metadata">Headers of every call (<see cref="GrpcMetadata"/>); null: none. May hold secrets.</param>
sealed record TemporalConnection(
    HostPort Address, string Namespace, string? ApiKey = null, TemporalTls? Tls = null, IReadOnlyDictionary<string, string>? Metadata = null)
{
    /// <summary>The service's full name. Not from its descriptor, which would have every message's description parsed at a start.</summary>
    public const string Service = "temporal.api.workflowservice.v1.WorkflowService";

    // The names are those of Temporal's own clients, but for the address, whose official name is TEMPORAL_ADDRESS.
    const string AddressName = "TEMPORAL_SERVICE_ADDRESS";
    const string NamespaceName = "TEMPORAL_NAMESPACE";
    const string ApiKeyName = "TEMPORAL_API_KEY";
    const string TlsName = "TEMPORAL_TLS";
    const string CaFileName = "TEMPORAL_TLS_SERVER_CA_CERT_PATH";
    const string CaDataName = "TEMPORAL_TLS_SERVER_CA_CERT_DATA";
    const string CertFileName = "TEMPORAL_TLS_CLIENT_CERT_PATH";
    const string CertDataName = "TEMPORAL_TLS_CLIENT_CERT_DATA";
    const string KeyFileName = "TEMPORAL_TLS_CLIENT_KEY_PATH";
    const string KeyDataName = "TEMPORAL_TLS_CLIENT_KEY_DATA";
    const string ServerNameName = "TEMPORAL_TLS_SERVER_NAME";
    const string DisableVerificationName = "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION";

    /// <summary>The external Temporal that is configured.</summary>
    public static TemporalConnection External(TemporalSettings settings) =>
        new(settings.Address, settings.Namespace, settings.ApiKey?.Reveal(), settings.Tls, settings.Metadata);

    /// <summary>
    /// Reads TEMPORAL_SERVICE_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS_* and TEMPORAL_GRPC_META_*; null without
    /// an address. An API key or any TEMPORAL_TLS_* switches TLS on unless TEMPORAL_TLS is false. Fails (exit code 2) on a value
    /// that cannot be.
    /// </summary>
    /// <param name="environment">A variable's value.</param>
    /// <param name="names">The variables that there may be; null: this process's.</param>
    public static TemporalConnection? From(Func<string, string?> environment, IEnumerable<string>? names = null)
    {
        string? Get(string name) => environment(name) is { Length: > 0 } value ? value : null;

        if (Get(AddressName) is not { } text) return null;
        if (!HostPort.TryParse(text, out var address))
        {
            throw new Failure($"{AddressName} is not an address", $"'{text}' is not HOST:PORT", "Set it to something like localhost:7233", ExitCode.Usage);
        }
        var key = Get(ApiKeyName);
        var tls = new TemporalTls(
            Get(CaFileName), Get(CaDataName), Get(CertFileName), Get(CertDataName), Get(KeyFileName), Get(KeyDataName), Get(ServerNameName),
            Switch(DisableVerificationName, Get(DisableVerificationName)) ?? false);
        var enabled = Switch(TlsName, Get(TlsName)) ?? (key is not null || tls != new TemporalTls());
        return new TemporalConnection(address, Get(NamespaceName) ?? "default", key, enabled ? tls : null, GrpcMetadata.Read(environment, names));
    }

    /// <summary>The same as environment variables, for a child. Holds secrets.</summary>
    public IEnumerable<KeyValuePair<string, string>> ToEnvironment()
    {
        (string Name, string? Value)[] all =
        [
            (AddressName, Address.ToString()),
            (NamespaceName, Namespace),
            (ApiKeyName, ApiKey),
            (TlsName, Tls is null ? "false" : "true"),
            (CaFileName, Tls?.CaFile),
            (CaDataName, Tls?.CaData),
            (CertFileName, Tls?.CertFile),
            (CertDataName, Tls?.CertData),
            (KeyFileName, Tls?.KeyFile),
            (KeyDataName, Tls?.KeyData),
            (ServerNameName, Tls?.ServerName),
            (DisableVerificationName, Tls is { DisableHostVerification: true } ? "true" : null),
        ];
        foreach (var (name, value) in all)
        {
            if (value is not null) yield return new(name, value);
        }
        if (Metadata is null) yield break;
        foreach (var (header, value) in Metadata) yield return new(GrpcMetadata.Variable(header), value);
    }

    /// <summary>Where, without the secrets.</summary>
    public override string ToString() => $"{Address} namespace {Namespace}";

    static bool? Switch(string name, string? value) => value?.ToLowerInvariant() switch
    {
        null => null,
        "true" or "1" => true,
        "false" or "0" => false,
        _ => throw new Failure($"{name} is neither true nor false", $"it is '{value}'", $"Set {name} to true or false, or unset it", ExitCode.Usage),
    };
}
