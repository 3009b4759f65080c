using System.Globalization;

namespace Stigmer.Config;

sealed partial class Cascade
{
    TemporalSettings Temporal(HostPort endpoint)
    {
        RefuseContradictions();
        var (mode, decider) = Engine();
        // Which one is in force; what decided it may be another key's line.
        Show(Schema.Managed, mode == TemporalMode.Managed ? "true" : "false", decider);
        Show(Schema.Embedded, mode == TemporalMode.Embedded ? "true" : "false", decider);

        var version = Version(mode);
        Show(Schema.Version, version, InFile(Schema.Version));
        var port = InFile(Schema.Port)?.Whole ?? 7233;
        Show(Schema.Port, Text(port), InFile(Schema.Port));
        var ui = InFile(Schema.Ui)?.IsTrue ?? false;
        Show(Schema.Ui, ui ? "true" : "false", InFile(Schema.Ui));
        // A free port takes a free one for its UI, too; so does one without a neighbour a thousand above.
        var uiPort = InFile(Schema.UiPort)?.Whole ?? (port is > 0 and <= 64535 ? port + 1000 : 0);
        Show(Schema.UiPort, Text(uiPort), InFile(Schema.UiPort));
        if (mode == TemporalMode.Managed) RefuseSharedPorts(endpoint.Port, port, ui ? uiPort : 0);

        var external = mode == TemporalMode.External;
        var addressFound = external ? Of(Schema.Address) : null;
        var address = Address(addressFound, "localhost", 7233);
        Show(Schema.Address, external ? address.ToString() : null, addressFound);
        WarnOfOfficialAddress(external ? address : null);
        if (external && address.Port == endpoint.Port && address.IsLoopback)
        {
            Refuse(
                addressFound ?? InFile(Schema.Endpoint)!,
                $"is {address}, where both the API and an external Temporal would be: "
                + "for the engine inside stigmer-server say --embedded or temporal.embedded: true");
        }
        // A person's TEMPORAL_* are about a Temporal of their own: they reach neither a managed nor an embedded one.
        var namespaceFound = external ? Of(Schema.Namespace) : InFile(Schema.Namespace);
        Show(Schema.Namespace, namespaceFound?.Text ?? "default", namespaceFound);
        var apiKey = external ? Secrets.Clean(environment("TEMPORAL_API_KEY"), "TEMPORAL_API_KEY") : null;
        var apiKeyFile = external && apiKey is null ? PathOf(Schema.ApiKeyFile) : null;
        Show(Schema.ApiKeyFile, apiKeyFile, apiKeyFile is null ? null : InFile(Schema.ApiKeyFile));
        var tls = Tls(external, apiKey is not null, apiKeyFile is not null, address);
        ShowSecret("TEMPORAL_API_KEY", apiKey is null ? null : "TEMPORAL_API_KEY");
        var metadata = external ? GrpcMetadata.Read(environment, names) : null;
        foreach (var header in metadata?.Keys ?? []) ShowSecret(GrpcMetadata.Variable(header), GrpcMetadata.Variable(header));

        var binary = Variable("STIGMER_TEMPORAL_BIN");
        var mirror = Valid(Variable("STIGMER_TEMPORAL_MIRROR"), ValueKind.Download);
        var binaryPath = binary is null ? null : Paths.Absolute(binary.Text, null, environment);
        Show("STIGMER_TEMPORAL_BIN", binaryPath, binary?.Origin);
        // What is shown is written to logs and sent to colleagues.
        Show("STIGMER_TEMPORAL_MIRROR", mirror is null ? null : WithoutLogin(mirror.Text.TrimEnd('/')), mirror?.Origin);
        return new TemporalSettings
        {
            Mode = mode,
            IsDefault = mode == TemporalMode.Managed && !flags.Managed,
            Version = version,
            Port = port,
            Ui = ui,
            UiPort = uiPort,
            Address = address,
            Namespace = namespaceFound?.Text ?? "default",
            ApiKey = apiKey,
            ApiKeyFile = apiKeyFile,
            Tls = tls,
            Metadata = metadata,
            Binary = binaryPath,
            Mirror = mirror?.Text.TrimEnd('/'),
        };
    }

    /// <summary>The name of Temporal's own clients for an address is not ours: it may be set for something else that runs here.</summary>
    void WarnOfOfficialAddress(HostPort? used)
    {
        if (Variable("TEMPORAL_ADDRESS") is not { } official || Variable(Schema.Address.Variable!) is not null || official.Text == used?.ToString()) return;
        warnings.Add($"TEMPORAL_ADDRESS={official.Text} is not used: to use that Temporal, set {Schema.Address.Variable} to it");
    }

    void RefuseContradictions()
    {
        if (flags is { Embedded: true, Managed: true }) problems.Add("--embedded and --managed contradict each other: name one engine");
        var (managed, embedded, address) = (InFile(Schema.Managed), InFile(Schema.Embedded), InFile(Schema.Address));
        var another = address is null ? "" : $"temporal.address on line {file.Values[Schema.Address.Path].At.Line} names another Temporal: keep one of the two";
        if (embedded?.IsTrue == true)
        {
            if (address is not null) Refuse(embedded, $"is true, and {another}");
            if (managed?.IsTrue == false)
            {
                var line = file.Values[Schema.Managed.Path].At.Line;
                Refuse(embedded, $"is true, and temporal.managed on line {line} is false, which means an external Temporal: keep one of the two");
            }
        }
        else if (managed?.IsTrue == true && address is not null)
        {
            Refuse(managed, $"is true, and {another}");
        }
    }

    /// <summary>Which engine, and what decided it; null for the default.</summary>
    (TemporalMode Mode, Found? Decider) Engine()
    {
        var address = Valid(Variable(Schema.Address.Variable!), Schema.Address.Kind);
        if (flags.Embedded || flags.Managed)
        {
            var flag = flags.Embedded ? "--embedded" : "--managed";
            if (address is not null) warnings.Add($"{flag} comes before TEMPORAL_SERVICE_ADDRESS={address.Text}, which is not used");
            return (flags.Embedded ? TemporalMode.Embedded : TemporalMode.Managed, new Found("true", flag, flag));
        }
        if (address is not null) return (TemporalMode.External, address);
        if (InFile(Schema.Embedded) is { IsTrue: true } embedded) return (TemporalMode.Embedded, embedded);
        if (InFile(Schema.Address) is { } elsewhere) return (TemporalMode.External, elsewhere);
        return InFile(Schema.Managed) is { } managed
            ? (managed.IsTrue ? TemporalMode.Managed : TemporalMode.External, managed)
            : (TemporalMode.Managed, null);
    }

    string Version(TemporalMode mode)
    {
        if (InFile(Schema.Version) is not { } found || !TemporalReleases.TryParse(found.Text, out var version)) return TemporalReleases.Default;
        if (!TemporalReleases.IsServer(version)) return version;
        if (TemporalReleases.ForServer(version) is { } cli)
        {
            if (mode == TemporalMode.Managed)
            {
                warnings.Add($"{found.Name} {version} is the version of a Temporal server: the CLI's release {cli}, which contains it, is used");
            }
            return cli;
        }
        Refuse(
            found, $"{version} is the version of a Temporal server, and which release of the CLI contains it is not known: it must be "
            + $"{Schema.Version.Kind.Allowed}, or stand without a value for the default, {TemporalReleases.Default}");
        return TemporalReleases.Default;
    }

    void RefuseSharedPorts(int api, int temporal, int ui)
    {
        if (api != 0 && api == temporal)
        {
            Refuse(InFile(Schema.Port) ?? InFile(Schema.Endpoint)!, $"takes the port {api} for both the API and Temporal: change one of the two");
        }
        if (ui != 0 && (ui == api || ui == temporal))
        {
            Refuse(InFile(Schema.UiPort) ?? InFile(Schema.Ui)!, $"takes the port {ui}, which is taken already: set temporal.ui_port to another");
        }
    }

    /// <summary>
    /// TLS, switched by TEMPORAL_TLS, else by anything in the environment that needs it (a key, a certificate), else by
    /// tls.enabled, else by anything in the file that needs it.
    /// </summary>
    TemporalTls? Tls(bool external, bool keyInEnvironment, bool keyInFile, HostPort address)
    {
        if (!external)
        {
            SchemaKey[] unused = [Schema.TlsEnabled, Schema.TlsCaFile, Schema.TlsCertFile, Schema.TlsKeyFile, Schema.TlsServerName];
            foreach (var key in unused) Show(key, null, null);
            return null;
        }
        var (ca, certificate, privateKey) = (
            Pem(Schema.TlsCaFile, "TEMPORAL_TLS_SERVER_CA_CERT_DATA"), Pem(Schema.TlsCertFile, "TEMPORAL_TLS_CLIENT_CERT_DATA"),
            Pem(Schema.TlsKeyFile, "TEMPORAL_TLS_CLIENT_KEY_DATA"));
        var serverName = Of(Schema.TlsServerName);
        var anyHost = Switched("TEMPORAL_TLS_DISABLE_HOST_VERIFICATION");
        Found?[] needing = [ca.Found, certificate.Found, privateKey.Found, serverName];
        var inEnvironment = needing.FirstOrDefault(found => found?.Origin.StartsWith("environment", StringComparison.Ordinal) == true)
            ?? (keyInEnvironment ? Variable("TEMPORAL_API_KEY") : null);
        var said = Switched(Schema.TlsEnabled.Variable!);
        var decider = said.Found ?? inEnvironment ?? InFile(Schema.TlsEnabled) ?? needing.FirstOrDefault(found => found is not null)
            ?? (keyInFile ? InFile(Schema.ApiKeyFile) : null);
        var enabled = said.Found is not null ? said.On : inEnvironment is not null || (InFile(Schema.TlsEnabled)?.IsTrue ?? decider is not null);

        Show(Schema.TlsEnabled, enabled ? "true" : "false", decider);
        Show(Schema.TlsCaFile, ca.File ?? (ca.Data is null ? null : "set"), ca.Found);
        Show(Schema.TlsCertFile, certificate.File ?? (certificate.Data is null ? null : "set"), certificate.Found);
        Show(Schema.TlsKeyFile, privateKey.File ?? (privateKey.Data is null ? null : "set"), privateKey.Found);
        Show(Schema.TlsServerName, serverName?.Text, serverName);
        if (!enabled)
        {
            if ((keyInEnvironment || keyInFile) && !address.IsLoopback)
            {
                warnings.Add($"TLS is switched off: Temporal's API key travels to {address} readable by anyone on the way");
            }
            return null;
        }
        if (certificate.Found is null != privateKey.Found is null)
        {
            var missing = certificate.Found is null ? "certificate (tls.cert_file)" : "private key (tls.key_file)";
            Refuse((certificate.Found ?? privateKey.Found)!, $"stands without its {missing}: set both or neither");
        }
        if (anyHost.On) warnings.Add($"TEMPORAL_TLS_DISABLE_HOST_VERIFICATION is true: whoever answers at {address} is taken for Temporal");
        return new TemporalTls(
            ca.File, ca.Data, certificate.File, certificate.Data, privateKey.File, privateKey.Data, serverName?.Text, anyHost.On);
    }

    (string? File, string? Data, Found? Found) Pem(SchemaKey key, string dataVariable)
    {
        var data = Variable(dataVariable);
        if (data is not null && Variable(key.Variable!) is { } path) Refuse(data, $"and {path.Name} are both set: keep one of the two");
        return data is not null ? (null, data.Text, data) : (PathOf(key), null, Of(key));
    }

    (bool On, Found? Found) Switched(string variable)
    {
        var found = Variable(variable);
        if (found is { Text: "1" or "0" }) return (found.Text == "1", found);
        found = Valid(found, ValueKind.Switch);
        return (found?.IsTrue == true, found);
    }

    static string WithoutLogin(string url) =>
        new Uri(url).UserInfo is { Length: > 0 } login ? url.Replace($"{login}@", "", StringComparison.Ordinal) : url;

    static string Text(int value) => value.ToString(CultureInfo.InvariantCulture);
}
