using System.CommandLine;
using System.CommandLine.Invocation;
using System.Runtime.InteropServices;
using System.Text.Json.Serialization;

namespace Stigmer.Commands;

/// <summary><c>stigmer version</c> and <c>stigmer --version</c>.</summary>
static class Version
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("version", "Show the version of this executable");
        command.SetAction(Run);
        return command;
    }

    /// <summary><c>--version</c>, which prints the number alone.</summary>
    public static Option<bool> CreateOption() =>
        new("--version") { Description = "Show the version", Arity = ArgumentArity.Zero, Action = new PrintVersion() };

    static int Run(ParseResult parsed)
    {
        var terminal = Terminal.From(parsed);
        var target = RuntimeInformation.RuntimeIdentifier;
        if (terminal.Json)
        {
            var document = new VersionDocument(Build.Version, NullIfEmpty(Build.Commit), NullIfEmpty(Build.Date), target);
            terminal.Document(document, VersionJson.Default.VersionDocument);
            return ExitCode.Done;
        }
        var details = string.Join(", ", new[] { Build.Commit.Length > 12 ? Build.Commit[..12] : Build.Commit, Build.Date, target }.Where(d => d.Length > 0));
        terminal.Line($"stigmer {Build.Version} ({details})");
        return ExitCode.Done;
    }

    static string? NullIfEmpty(string text) => text.Length == 0 ? null : text;

    sealed class PrintVersion : SynchronousCommandLineAction
    {
        public override int Invoke(ParseResult parseResult) => Run(parseResult);
    }
}

/// <summary><c>version --json</c>.</summary>
/// <param name="Version">Such as 0.1.0.</param>
/// <param name="Commit">The commit that it was built from; null where that was not known.</param>
/// <param name="Date">The day of that, yyyy-MM-dd; null where it was not known.</param>
/// <param name="Target">The platform: linux-x64.</param>
sealed record VersionDocument(string Version, string? Commit, string? Date, string Target);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, GenerationMode = JsonSourceGenerationMode.Serialization)]
[JsonSerializable(typeof(VersionDocument))]
sealed partial class VersionJson : JsonSerializerContext;
