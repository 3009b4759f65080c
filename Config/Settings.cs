namespace Stigmer.Config;

/// <summary>
/// Everything that configuration decides, resolved: environment variable → config.yaml → default, field by field.
/// Made by <c>Configuration.Resolve</c>; changed only by <c>with</c>.
/// </summary>
sealed record Settings
{
    /// <summary>Where this user's files are.</summary>
    public required StigmerHome Home { get; init; }

    /// <summary>A local stack, or a stigmer-server elsewhere.</summary>
    public required BackendType Backend { get; init; }

    /// <summary>Where the local stack's API listens. Loopback; port 0: a free one.</summary>
    public required HostPort Endpoint { get; init; }

    /// <summary>The local stack's database folder, absolute.</summary>
    public required string DataDir { get; init; }

    /// <summary>The model that agents use where they name none.</summary>
    public required LlmSettings Llm { get; init; }

    /// <summary>Where Ollama is, for a run that chooses it while <see cref="Llm"/> is another provider's.</summary>
    public string OllamaBaseUrl { get; init; } = LlmProvider.Ollama.DefaultBaseUrl();

    /// <summary>The workflow engine.</summary>
    public required TemporalSettings Temporal { get; init; }

    /// <summary>The stigmer-server elsewhere; used where <see cref="Backend"/> is cloud.</summary>
    public required CloudSettings Cloud { get; init; }

    /// <summary>Every resolved value with its origin, in the order of the schema: what <c>config show</c> prints.</summary>
    public required IReadOnlyList<ResolvedValue> Values { get; init; }

    /// <summary>What a person should know and that stops nothing: unknown keys, retiring models, a flag against the environment.</summary>
    public required IReadOnlyList<string> Warnings { get; init; }
}

/// <summary>One line of <c>config show</c>.</summary>
/// <param name="Key">The dotted path in config.yaml.</param>
/// <param name="Value">What is in force; for a secret <c>set</c> or <c>unset</c>; null where there is none.</param>
/// <param name="Origin"><c>environment variable NAME</c>, <c>config.yaml:LINE</c>, <c>--flag</c> or <c>default</c>.</param>
sealed record ResolvedValue(string Key, string? Value, string Origin);

/// <summary>Where runs are kept and carried out.</summary>
enum BackendType { Local, Cloud }

/// <summary>Which provider's protocol a model is spoken to in.</summary>
enum LlmProvider { Ollama, Anthropic, OpenAI, Demo }

/// <summary>The model in force.</summary>
/// <param name="Provider">Whose protocol.</param>
/// <param name="Model">The provider's id of the model.</param>
/// <param name="BaseUrl">Without a trailing slash; the provider's own where nothing else is said; empty for demo.</param>
/// <param name="MaxTokens">The most that one answer may have, in tokens.</param>
/// <param name="Temperature">Null: not sent.</param>
/// <param name="ContextWindow">Ollama's num_ctx in tokens; null: the smaller of 32768 and what the model was trained for.</param>
/// <param name="Warning">A model that is retired or will be, with its successor; else null.</param>
sealed record LlmSettings(
    LlmProvider Provider, string Model, string BaseUrl, int MaxTokens, double? Temperature, int? ContextWindow, string? Warning);

/// <summary>Which workflow engine.</summary>
enum TemporalMode { Managed, External, Embedded }

/// <summary>The workflow engine in force.</summary>
sealed record TemporalSettings
{
    /// <summary>Downloaded and started, somebody else's, or the one inside stigmer-server.</summary>
    public required TemporalMode Mode { get; init; }

    /// <summary>Managed only because nothing else was said (or only config.yaml says so): falls back to embedded where it cannot be had.</summary>
    public required bool IsDefault { get; init; }

    /// <summary>The CLI's release, such as 1.8.2; server versions are mapped already.</summary>
    public required string Version { get; init; }

    /// <summary>The managed server's port; 0: a free one.</summary>
    public required int Port { get; init; }

    /// <summary>The managed server's web UI.</summary>
    public required bool Ui { get; init; }

    /// <summary>The web UI's port.</summary>
    public required int UiPort { get; init; }

    /// <summary>The external server's address.</summary>
    public required HostPort Address { get; init; }

    /// <summary>The namespace.</summary>
    public required string Namespace { get; init; }

    /// <summary>The external server's API key.</summary>
    public Secret? ApiKey { get; init; }

    /// <summary>The file that <see cref="ApiKey"/> was read from; null where it was not.</summary>
    public string? ApiKeyFile { get; init; }

    /// <summary>The external server's TLS; null: plaintext.</summary>
    public TemporalTls? Tls { get; init; }

    /// <summary>Headers of every call to the external server, by name. May hold secrets.</summary>
    public IReadOnlyDictionary<string, string>? Metadata { get; init; }

    /// <summary>A binary that is already there (STIGMER_TEMPORAL_BIN); null: bin/temporal.</summary>
    public string? Binary { get; init; }

    /// <summary>Takes the place of https://github.com/temporalio/cli/releases/download (STIGMER_TEMPORAL_MIRROR), perhaps with a login, which is not to be shown; null: that one.</summary>
    public string? Mirror { get; init; }
}

/// <summary>TLS to an external Temporal. Each of the three files may be given as its PEM text instead.</summary>
sealed record TemporalTls(
    string? CaFile = null, string? CaData = null, string? CertFile = null, string? CertData = null, string? KeyFile = null, string? KeyData = null,
    string? ServerName = null, bool DisableHostVerification = false)
{
    /// <summary>Without what it holds: a private key may stand in it.</summary>
    public override string ToString() => nameof(TemporalTls);
}

/// <summary>A stigmer-server elsewhere.</summary>
sealed record CloudSettings(HostPort? Endpoint, string? CaFile, Secret? Token);

/// <summary>A host and a port as written: <c>localhost:50051</c>, <c>[::1]:50051</c>.</summary>
readonly record struct HostPort(string Host, int Port)
{
    /// <summary>Reads <c>HOST:PORT</c>; false for anything else.</summary>
    public static bool TryParse(string? text, out HostPort value)
    {
        value = default;
        if (text is null) return false;
        var colon = text.LastIndexOf(':');
        if (colon <= 0 || text.Contains('/', StringComparison.Ordinal)) return false;
        var host = text[..colon];
        var bracketed = host.StartsWith('[') && host.EndsWith(']');
        if (!bracketed && host.Contains(':', StringComparison.Ordinal)) return false;
        if (!int.TryParse(text.AsSpan(colon + 1), System.Globalization.NumberStyles.None, null, out var port) || port > 65535) return false;
        value = new HostPort(host, port);
        return true;
    }

    /// <summary>localhost, 127.0.0.0/8 or ::1: this machine, and never through a proxy.</summary>
    public bool IsLoopback =>
        Host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        || (System.Net.IPAddress.TryParse(Host.Trim('[', ']'), out var address) && System.Net.IPAddress.IsLoopback(address));

    /// <inheritdoc/>
    public override string ToString() => $"{Host}:{Port}";
}

/// <summary>What a command line says about configuration; it comes before the environment.</summary>
/// <param name="Embedded"><c>--embedded</c>.</param>
/// <param name="Managed"><c>--managed</c>.</param>
/// <param name="Provider"><c>--provider</c>, as typed.</param>
/// <param name="Model"><c>--model</c>, as typed.</param>
sealed record Flags(bool Embedded = false, bool Managed = false, string? Provider = null, string? Model = null);
