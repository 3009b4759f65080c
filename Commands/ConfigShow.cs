using System.CommandLine;
using System.Text.Json.Serialization;
using Stigmer.Config;

namespace Stigmer.Commands;

/// <summary><c>stigmer config show</c>: every resolved value and where it came from.</summary>
static class ConfigShow
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("show", "Show every value that is in force and where it came from");
        command.SetAction(parsed => Run(Environment.GetEnvironmentVariable, Terminal.From(parsed)));
        return command;
    }

    /// <summary>Shows what an environment and its config.yaml come to. Fails with exit code 2 on an invalid configuration.</summary>
    public static int Run(Func<string, string?> environment, Terminal terminal)
    {
        var settings = Configuration.Resolve(environment, new Flags());
        foreach (var warning in settings.Warnings) terminal.Warn(warning);
        if (terminal.Json)
        {
            terminal.Document(new ConfigDocument(settings.Values), ConfigJson.Default.ConfigDocument);
            return ExitCode.Done;
        }
        var rows = settings.Values.Select(value => (Key: Schema.Short(value.Key), Value: value.Value ?? "-", value.Origin)).ToList();
        var (keys, values) = (rows.Max(row => row.Key.Length), Math.Min(40, rows.Max(row => row.Value.Length)));
        foreach (var row in rows) terminal.Line($"{row.Key.PadRight(keys)}  {row.Value.PadRight(values)}  {row.Origin}");
        return ExitCode.Done;
    }
}

/// <summary><c>config show --json</c>.</summary>
/// <param name="Values">In the order of the schema; a value is null where there is none.</param>
sealed record ConfigDocument(IReadOnlyList<ResolvedValue> Values);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, GenerationMode = JsonSourceGenerationMode.Serialization)]
[JsonSerializable(typeof(ConfigDocument))]
[JsonSerializable(typeof(ResolvedValue))]
[JsonSerializable(typeof(ConfigCheckDocument))]
[JsonSerializable(typeof(ConfigPathDocument))]
sealed partial class ConfigJson : JsonSerializerContext;
