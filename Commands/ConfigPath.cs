using System.CommandLine;
using Stigmer.Config;

namespace Stigmer.Commands;

/// <summary><c>stigmer config path</c>: where config.yaml is, or would be.</summary>
static class ConfigPath
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("path", "Show where config.yaml is, or would be");
        command.SetAction(parsed => Run(Environment.GetEnvironmentVariable, Terminal.From(parsed)));
        return command;
    }

    /// <summary>Shows the path. The file need not be there.</summary>
    public static int Run(Func<string, string?> environment, Terminal terminal)
    {
        var path = StigmerHome.From(environment).ConfigFile;
        if (terminal.Json) terminal.Document(new ConfigPathDocument(path, File.Exists(path)), ConfigJson.Default.ConfigPathDocument);
        else terminal.Line(path);
        return ExitCode.Done;
    }
}

/// <summary><c>config path --json</c>.</summary>
/// <param name="Path">Absolute.</param>
/// <param name="Exists">Whether the file is there.</param>
sealed record ConfigPathDocument(string Path, bool Exists);
