using System.Globalization;

namespace Stigmer.Config;

/// <summary>The defaults that a runner takes, by MODE in its environment.</summary>
enum RunnerMode { Local, Cloud }

/// <summary>
/// Flag → environment variable → config.yaml → default, field by field, remembering where each value came from. It reads
/// nothing but what it is given. What is wrong is collected, so that a person sees all of it at once.
/// </summary>
/// <param name="environment">A variable's value; empty counts as unset.</param>
/// <param name="file">config.yaml.</param>
/// <param name="flags">What the command line says.</param>
/// <param name="names">The variables that there may be; null: this process's.</param>
sealed partial class Cascade(Func<string, string?> environment, ConfigFile file, Flags flags, IEnumerable<string>? names = null)
{
    bool inFile = file.Diagnostics.Any(diagnostic => diagnostic.IsError);

    readonly List<string> problems = [.. file.Diagnostics.Where(diagnostic => diagnostic.IsError).Select(diagnostic => diagnostic.ToString())];
    readonly List<string> warnings = [.. file.Diagnostics.Where(diagnostic => !diagnostic.IsError).Select(diagnostic => diagnostic.ToString())];
    readonly List<ResolvedValue> values = [];

    /// <summary>A value and where it came from.</summary>
    /// <param name="Text">Trimmed, allowed.</param>
    /// <param name="Origin">As <c>config show</c> prints it.</param>
    /// <param name="Name">As an error begins with it: the variable, the flag, or the place in the file.</param>
    sealed record Found(string Text, string Origin, string Name)
    {
        public bool IsTrue => ValueKind.TrySwitch(Text, out var value) && value;

        public int Whole => int.Parse(Text, CultureInfo.InvariantCulture);
    }

    /// <summary>Resolves everything. Fails with exit code 2, naming each thing that is wrong.</summary>
    public Settings Settings(StigmerHome home)
    {
        Show("STIGMER_HOME", home.Root, Variable("STIGMER_HOME")?.Origin);
        var backend = Of(Schema.BackendType);
        var isCloud = IsCloud(backend);
        Show(Schema.BackendType, isCloud ? "cloud" : "local", backend);
        var endpointFound = Of(Schema.Endpoint);
        var endpoint = Address(endpointFound, "localhost", 50051);
        Show(Schema.Endpoint, endpoint.ToString(), endpointFound);
        var dataDir = PathOf(Schema.DataDir) ?? home.Data;
        Show(Schema.DataDir, dataDir, Of(Schema.DataDir));
        var llm = Llm(RunnerMode.Local);
        var ollama = BaseUrl(LlmProvider.Ollama).Url;
        var temporal = Temporal(endpoint);
        var cloud = Cloud(isCloud);
        foreach (var provider in new[] { LlmProvider.Anthropic, LlmProvider.OpenAI })
        {
            ShowSecret(provider.KeyVariable()!, Secrets.Find(provider, llm.Provider, environment)?.Variable);
        }
        if (llm.Warning is { } warning) warnings.Add(warning);
        ThrowIfInvalid();
        return new Settings
        {
            Home = home,
            Backend = isCloud ? Config.BackendType.Cloud : Config.BackendType.Local,
            Endpoint = endpoint,
            DataDir = dataDir,
            Llm = llm,
            OllamaBaseUrl = ollama,
            Temporal = temporal,
            Cloud = cloud,
            Values = values,
            Warnings = warnings,
        };
    }

    /// <summary>Resolves the model alone, for a runner. Fails with exit code 2, naming each thing that is wrong.</summary>
    public LlmSettings LlmAlone()
    {
        var mode = Valid(Variable("MODE"), ValueKind.OneOf("local", "cloud"));
        var llm = Llm(IsCloud(mode) ? RunnerMode.Cloud : RunnerMode.Local);
        ThrowIfInvalid();
        return llm;
    }

    CloudSettings Cloud(bool isCloud)
    {
        var endpoint = Of(Schema.CloudEndpoint);
        if (isCloud && endpoint is null)
        {
            var allowed = Schema.CloudEndpoint.Kind.Allowed;
            Refuse(Of(Schema.BackendType)!, $"is cloud, and {Schema.CloudEndpoint.Path} does not say where: it must be {allowed}");
        }
        Show(Schema.CloudEndpoint, endpoint?.Text, endpoint);
        Show(Schema.CloudCaFile, PathOf(Schema.CloudCaFile), Of(Schema.CloudCaFile));
        var token = Secrets.Clean(environment("STIGMER_TOKEN"), "STIGMER_TOKEN");
        ShowSecret("STIGMER_TOKEN", token is null ? null : "STIGMER_TOKEN");
        return new CloudSettings(endpoint is null ? null : Address(endpoint, "", 0), PathOf(Schema.CloudCaFile), token);
    }

    void ThrowIfInvalid()
    {
        if (problems.Count == 0) return;
        // `config validate` looks at the file alone.
        var remedy = inFile ? "Correct it; `stigmer config validate` checks without starting anything" : "Correct it, or unset it";
        throw problems.Count == 1
            ? new Failure(problems[0], null, remedy, ExitCode.Usage)
            : new Failure($"The configuration has {problems.Count} errors", string.Join('\n', problems), remedy, ExitCode.Usage);
    }

    /// <summary>The value of a key: its variable, else the file; null where the default holds.</summary>
    Found? Of(SchemaKey key) => (key.Variable is { } name ? Valid(Variable(name), key.Kind) : null) ?? InFile(key);

    Found? InFile(SchemaKey key) => file.Values.TryGetValue(key.Path, out var value)
        ? new Found(value.Text, $"{Path.GetFileName(file.Path)}:{value.At.Line}", $"{file.Path}:{value.At}: {Schema.Short(key.Path)}")
        : null;

    Found? Variable(string name) =>
        environment(name)?.Trim() is { Length: > 0 } text ? new Found(text, $"environment variable {name}", name) : null;

    static Found? Flag(string name, string? text) => text?.Trim() is { Length: > 0 } said ? new Found(said, name, name) : null;

    /// <summary>A value if it is allowed; what is not is said once and counts as absent.</summary>
    Found? Valid(Found? found, ValueKind kind)
    {
        if (found is null || kind.Problem(found.Text) is not { } problem) return found;
        Refuse(found, problem);
        return null;
    }

    void Refuse(Found found, string problem)
    {
        inFile |= !found.Origin.StartsWith("environment", StringComparison.Ordinal);
        var text = $"{found.Name} {problem}";
        if (!problems.Contains(text)) problems.Add(text);
    }

    // A path in the file is relative to the file, one in a variable to where the command runs.
    string? PathOf(SchemaKey key) => Of(key) is not { } found
        ? null
        : Paths.Absolute(found.Text, found == InFile(key) ? Path.GetDirectoryName(file.Path) : null, environment);

    static bool IsCloud(Found? found) => found?.Text.Equals("cloud", StringComparison.OrdinalIgnoreCase) == true;

    static HostPort Address(Found? found, string host, int port) =>
        HostPort.TryParse(found?.Text, out var value) ? value : new HostPort(host, port);

    void Show(SchemaKey key, string? value, Found? found) => Show(key.Path, value, found?.Origin);

    void Show(string key, string? value, string? origin) => values.Add(new ResolvedValue(key, value, origin ?? "default"));

    void ShowSecret(string key, string? variable) =>
        Show(key, variable is null ? "unset" : "set", variable is null ? null : $"environment variable {variable}");
}
