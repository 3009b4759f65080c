namespace Stigmer.Config;

/// <summary>From the command line, the environment and config.yaml to <see cref="Settings"/>.</summary>
static class Configuration
{
    /// <summary>
    /// Resolves every value: flag → environment variable → config.yaml → default. Fails with exit code 2 on anything invalid,
    /// naming the file, line and column, the variable or the flag: nothing may start on such a configuration.
    /// </summary>
    /// <param name="environment">Environment.GetEnvironmentVariable, or a test's table. Empty counts as unset.</param>
    /// <param name="flags">What the command line says.</param>
    public static Settings Resolve(Func<string, string?> environment, Flags flags)
    {
        var home = StigmerHome.From(environment);
        return Resolve(environment, flags, home, ConfigFile.Read(home.ConfigFile));
    }

    /// <summary>The same with a file that is read already.</summary>
    /// <param name="environment">See above.</param>
    /// <param name="flags">See above.</param>
    /// <param name="home">Whose.</param>
    /// <param name="file">config.yaml.</param>
    /// <param name="names">The environment variables that there may be; null: this process's.</param>
    public static Settings Resolve(Func<string, string?> environment, Flags flags, StigmerHome home, ConfigFile file, IEnumerable<string>? names = null)
    {
        var settings = new Cascade(environment, file, flags, names).Settings(home);
        var temporal = settings.Temporal;
        foreach (var path in new[] { temporal.Tls?.CaFile, temporal.Tls?.CertFile, temporal.Tls?.KeyFile })
        {
            if (path is not null && !File.Exists(path)) throw Missing(path, "TLS to Temporal needs it");
        }
        return temporal.ApiKeyFile is { } keyFile ? settings with { Temporal = temporal with { ApiKey = ReadKey(keyFile) } } : settings;
    }

    static Secret ReadKey(string path)
    {
        try
        {
            return Secrets.Clean(File.ReadAllText(path), path)
                ?? throw new Failure($"{path} is empty", "temporal.api_key_file names it", "Put Temporal's API key into it", ExitCode.Usage);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Missing(path, $"temporal.api_key_file names it: {e.Message}");
        }
    }

    static Failure Missing(string path, string why) =>
        new($"{path} cannot be read", why, "Correct the path in config.yaml or in the variable", ExitCode.Usage);
}
