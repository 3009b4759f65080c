using System.CommandLine;
using System.Text;
using Stigmer.Config;

namespace Stigmer.Commands;

/// <summary><c>stigmer config set KEY VALUE</c>: changes one value of config.yaml; comments and order stay.</summary>
static class ConfigSet
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var key = ConfigGet.KeyArgument();
        var value = new Argument<string>("VALUE") { Description = "What it is to be" };
        var command = new Command("set", "Change a value in config.yaml; nothing is written that is not valid") { key, value };
        command.SetAction(parsed => Run(parsed.GetRequiredValue(key), parsed.GetRequiredValue(value), Environment.GetEnvironmentVariable, Terminal.From(parsed)));
        return command;
    }

    /// <summary>Writes it. Fails with exit code 2, and leaves the file as it is, where the file would not be valid with it.</summary>
    public static int Run(string name, string value, Func<string, string?> environment, Terminal terminal)
    {
        var key = ConfigGet.Find(name);
        var text = value.Trim();
        var said = Schema.Short(key.Path);
        if (text.Length == 0) throw new Failure($"{said} is empty: it must be {key.Kind.Allowed}", null, null, ExitCode.Usage);
        if (key.Kind.Problem(text) is { } problem) throw new Failure($"{said} {problem}", null, null, ExitCode.Usage);
        var home = StigmerHome.From(environment);
        // A link stays one: people keep such files elsewhere.
        var file = new FileInfo(home.ConfigFile).LinkTarget is null ? home.ConfigFile : File.ResolveLinkTarget(home.ConfigFile, returnFinalTarget: true)!.FullName;
        var (before, unreadable) = SourceText.Read(file, "configuration");
        if (unreadable is not null) throw new Failure($"{file}: {unreadable}", null, null, ExitCode.Usage);
        var after = ConfigEdit.Set(before ?? "", home.ConfigFile, key, text);
        // The file alone: what the environment says today has nothing to do with it.
        var settings = Configuration.Resolve(variable => variable == "HOME" ? environment(variable) : null, new Flags(), home, ConfigFile.Parse(after, home.ConfigFile));
        if (after != before) Write(file, after);
        foreach (var warning in settings.Warnings) terminal.Warn(warning);
        if (key.Variable is { } variable && !string.IsNullOrWhiteSpace(environment(variable))) terminal.Warn($"{variable} is set in the environment and comes first");
        var set = settings.Values.First(each => each.Key == key.Path);
        if (terminal.Json) terminal.Document(set, ConfigJson.Default.ResolvedValue);
        else terminal.Ok($"{said} is {text} (`stigmer local restart` puts it in force where a stack runs)");
        return ExitCode.Done;
    }

    /// <summary>Writes a config.yaml, for this user alone.</summary>
    public static void Write(string file, string text)
    {
        StigmerHome.Ensure(Path.GetDirectoryName(file)!);
        try
        {
            PrivateFile.Replace(file, new UTF8Encoding(false).GetBytes(text));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new Failure($"{file} cannot be written", e.Message, "It is as it was. Set STIGMER_HOME to a folder that you can write to", ExitCode.Usage, e);
        }
    }
}
