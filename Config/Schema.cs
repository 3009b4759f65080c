namespace Stigmer.Config;

/// <summary>A key of config.yaml.</summary>
/// <param name="Path">Its dotted path.</param>
/// <param name="Kind">What its value may be.</param>
/// <param name="Variable">The environment variable that comes before it; null: none.</param>
sealed record SchemaKey(string Path, ValueKind Kind, string? Variable = null);

/// <summary>All that config.yaml can say.</summary>
static class Schema
{
    /// <summary>Most keys stand below this; people leave it out.</summary>
    public const string Local = "backend.local.";

    public static readonly SchemaKey BackendType = new("backend.type", ValueKind.OneOf("local", "cloud"));
    public static readonly SchemaKey Endpoint = new(Local + "endpoint", ValueKind.Loopback);
    public static readonly SchemaKey DataDir = new(Local + "data_dir", ValueKind.FilePath);
    public static readonly SchemaKey Provider = new(Local + "llm.provider", ValueKind.OneOf(Providers.Names), "STIGMER_LLM_PROVIDER");
    public static readonly SchemaKey Model = new(Local + "llm.model", ValueKind.Word, "STIGMER_LLM_MODEL");
    public static readonly SchemaKey BaseUrl = new(Local + "llm.base_url", ValueKind.Url, "STIGMER_LLM_BASE_URL");
    public static readonly SchemaKey MaxTokens = new(Local + "llm.max_tokens", ValueKind.Whole(1, 1_000_000), "STIGMER_LLM_MAX_TOKENS");
    public static readonly SchemaKey Temperature = new(Local + "llm.temperature", ValueKind.Number(0, 2), "STIGMER_LLM_TEMPERATURE");
    public static readonly SchemaKey ContextWindow = new(Local + "llm.context_window", ValueKind.Whole(256, 10_000_000), "STIGMER_LLM_CONTEXT_WINDOW");
    public static readonly SchemaKey Managed = new(Local + "temporal.managed", ValueKind.Switch);
    public static readonly SchemaKey Embedded = new(Local + "temporal.embedded", ValueKind.Switch);
    public static readonly SchemaKey Version = new(Local + "temporal.version", ValueKind.Release);
    public static readonly SchemaKey Port = new(Local + "temporal.port", ValueKind.Port);
    public static readonly SchemaKey Ui = new(Local + "temporal.ui", ValueKind.Switch);
    public static readonly SchemaKey UiPort = new(Local + "temporal.ui_port", ValueKind.Port);
    public static readonly SchemaKey Address = new(Local + "temporal.address", ValueKind.Address, "TEMPORAL_SERVICE_ADDRESS");
    public static readonly SchemaKey Namespace = new(Local + "temporal.namespace", ValueKind.Word, "TEMPORAL_NAMESPACE");
    public static readonly SchemaKey ApiKeyFile = new(Local + "temporal.api_key_file", ValueKind.FilePath);
    public static readonly SchemaKey TlsEnabled = new(Local + "temporal.tls.enabled", ValueKind.Switch, "TEMPORAL_TLS");
    public static readonly SchemaKey TlsCaFile = new(Local + "temporal.tls.ca_file", ValueKind.FilePath, "TEMPORAL_TLS_SERVER_CA_CERT_PATH");
    public static readonly SchemaKey TlsCertFile = new(Local + "temporal.tls.cert_file", ValueKind.FilePath, "TEMPORAL_TLS_CLIENT_CERT_PATH");
    public static readonly SchemaKey TlsKeyFile = new(Local + "temporal.tls.key_file", ValueKind.FilePath, "TEMPORAL_TLS_CLIENT_KEY_PATH");
    public static readonly SchemaKey TlsServerName = new(Local + "temporal.tls.server_name", ValueKind.Word, "TEMPORAL_TLS_SERVER_NAME");
    public static readonly SchemaKey CloudEndpoint = new("backend.cloud.endpoint", ValueKind.Address);
    public static readonly SchemaKey CloudCaFile = new("backend.cloud.ca_file", ValueKind.FilePath);

    /// <summary>Every key, in the order in which the schema is written and shown.</summary>
    public static readonly IReadOnlyList<SchemaKey> Keys =
    [
        BackendType, Endpoint, DataDir, Provider, Model, BaseUrl, MaxTokens, Temperature, ContextWindow, Managed, Embedded, Version, Port, Ui, UiPort,
        Address, Namespace, ApiKeyFile, TlsEnabled, TlsCaFile, TlsCertFile, TlsKeyFile, TlsServerName, CloudEndpoint, CloudCaFile,
    ];

    // What stands here instead is the variable's value, which no file may hold.
    static readonly Dictionary<string, string> SecretKeys = new()
    {
        [Local + "llm.api_key"] = "ANTHROPIC_API_KEY, OPENAI_API_KEY or STIGMER_LLM_API_KEY",
        [Local + "temporal.api_key"] = "TEMPORAL_API_KEY (or name a file: api_key_file)",
        ["backend.cloud.token"] = "STIGMER_TOKEN",
        ["backend.cloud.api_key"] = "STIGMER_TOKEN",
    };

    /// <summary>The key of a dotted path; null where there is none.</summary>
    public static SchemaKey? Find(string path) => Keys.FirstOrDefault(key => key.Path == path);

    /// <summary>The variable that holds what somebody would write under a dotted path, if that is a secret; else null.</summary>
    public static string? SecretVariable(string path) => SecretKeys.GetValueOrDefault(path) ?? SecretKeys.GetValueOrDefault(Local + path);

    /// <summary>Whether keys stand below a dotted path.</summary>
    public static bool IsSection(string path) => Keys.Any(key => key.Path.StartsWith(path + ".", StringComparison.Ordinal));

    /// <summary>A dotted path without <c>backend.local.</c>, as people write it.</summary>
    public static string Short(string path) => path.StartsWith(Local, StringComparison.Ordinal) ? path[Local.Length..] : path;

    /// <summary>The keys and sections right below a section; the top for an empty path.</summary>
    public static IEnumerable<string> Children(string section)
    {
        var start = section.Length == 0 ? 0 : section.Length + 1;
        return Keys.Where(key => section.Length == 0 || key.Path.StartsWith(section + ".", StringComparison.Ordinal))
            .Select(key => key.Path[start..].Split('.')[0]).Distinct();
    }

    /// <summary>What to say about a key that nobody knows, with the nearest that is known. Its value is never shown: it may be a secret.</summary>
    public static string Unknown(string section, string name)
    {
        var path = section.Length == 0 ? name : $"{section}.{name}";
        var start = $"{ValueKind.Quote(name)} is not a known key and does nothing";
        if (SecretKeys.TryGetValue(path, out var variable)) return $"{start}: secrets do not stand in this file, set {variable}";
        var here = Children(section).ToArray();
        if (Nearest(name, here) is { } near) return $"{start}: did you mean {near}?";
        var elsewhere = Keys.SelectMany(key => Ancestors(key.Path)).Distinct().ToArray();
        if (elsewhere.FirstOrDefault(candidate => Last(candidate) == name) is { } same) return $"{start}: did you mean {same}?";
        var nearest = Nearest(name, elsewhere.Select(Last));
        if (nearest is not null) return $"{start}: did you mean {elsewhere.First(candidate => Last(candidate) == nearest)}?";
        return $"{start}: known here {(here.Length == 1 ? "is" : "are")} {string.Join(", ", here)}";
    }

    static IEnumerable<string> Ancestors(string path)
    {
        for (var dot = path.IndexOf('.', StringComparison.Ordinal); dot >= 0; dot = path.IndexOf('.', dot + 1)) yield return path[..dot];
        yield return path;
    }

    static string Last(string path) => path[(path.LastIndexOf('.') + 1)..];

    /// <summary>The name that was meant: a third of it may differ, by a slip of the hand, a hyphen or camel case. Null: it is another word.</summary>
    public static string? Nearest(string name, IEnumerable<string> candidates)
    {
        var best = candidates.Select(candidate => (candidate, Distance: Distance(Plain(name), Plain(candidate)))).MinBy(pair => pair.Distance);
        return best.candidate is not null && best.Distance <= Math.Max(1, Math.Min(name.Length, best.candidate.Length) / 3) ? best.candidate : null;
    }

    static string Plain(string name) => name.ToLowerInvariant().Replace("-", "", StringComparison.Ordinal).Replace("_", "", StringComparison.Ordinal);

    // Insertions, deletions, replacements and swapped neighbours.
    static int Distance(string a, string b)
    {
        var cost = new int[a.Length + 1, b.Length + 1];
        for (var i = 0; i <= a.Length; i++)
        {
            for (var j = 0; j <= b.Length; j++)
            {
                if (i == 0 || j == 0)
                {
                    cost[i, j] = i + j;
                    continue;
                }
                cost[i, j] = Math.Min(Math.Min(cost[i - 1, j], cost[i, j - 1]) + 1, cost[i - 1, j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1));
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) cost[i, j] = Math.Min(cost[i, j], cost[i - 2, j - 2] + 1);
            }
        }
        return cost[a.Length, b.Length];
    }
}
