using System.CommandLine;
using Stigmer.Config;

namespace Stigmer.Commands;

/// <summary><c>stigmer config validate [FILE]</c>: whether a file could be started with. Starts and changes nothing.</summary>
static class ConfigValidate
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var file = new Argument<string?>("FILE")
        {
            Description = "The file to check; default: the config.yaml that is in use; - reads standard input",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var command = new Command("validate", "Check a config.yaml without starting anything") { file };
        command.SetAction(parsed => Run(parsed.GetValue(file), Environment.GetEnvironmentVariable, Console.In, Terminal.From(parsed)));
        return command;
    }

    /// <summary>
    /// Checks the file alone: what the environment would change does not count. Fails with exit code 2 where it is not valid or,
    /// being named, not there.
    /// </summary>
    public static int Run(string? path, Func<string, string?> environment, TextReader input, Terminal terminal)
    {
        var home = StigmerHome.From(environment);
        var name = path == "-" ? "standard input" : Path.GetFullPath(path ?? home.ConfigFile);
        var present = path == "-" || Path.Exists(name);
        if (!present && path is not null)
        {
            throw new Failure($"{name} does not exist", null, "Name an existing file, or none for the one that is in use", ExitCode.Usage);
        }
        var file = path == "-" ? ConfigFile.Parse(input.ReadToEnd(), name) : ConfigFile.Read(name);
        var settings = Configuration.Resolve(variable => variable == "HOME" ? environment(variable) : null, new Flags(), home, file);

        foreach (var warning in settings.Warnings) terminal.Warn(warning);
        if (terminal.Json) terminal.Document(new ConfigCheckDocument(name, present, true, settings.Warnings), ConfigJson.Default.ConfigCheckDocument);
        else terminal.Ok(present ? $"{name} is valid" : $"{name} does not exist: every value has its default");
        return ExitCode.Done;
    }
}

/// <summary><c>config validate --json</c> of a file that is valid.</summary>
/// <param name="Path">The file.</param>
/// <param name="Exists">Whether it is there.</param>
/// <param name="Valid">true: what is not valid is an error document.</param>
/// <param name="Warnings">What a person should know about it.</param>
sealed record ConfigCheckDocument(string Path, bool Exists, bool Valid, IReadOnlyList<string> Warnings);
