using System.CommandLine;
using Stigmer.Config;

namespace Stigmer.Commands;

/// <summary><c>stigmer config get KEY</c>: the value that is in force.</summary>
static class ConfigGet
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var key = KeyArgument();
        var command = new Command("get", "Show the value of a key that is in force") { key };
        command.SetAction(parsed => Run(parsed.GetRequiredValue(key), Environment.GetEnvironmentVariable, Terminal.From(parsed)));
        return command;
    }

    /// <summary>A key of config.yaml.</summary>
    public static Argument<string> KeyArgument()
    {
        var key = new Argument<string>("KEY") { Description = "The dotted path in config.yaml; backend.local. may be left out" };
        key.CompletionSources.Add(_ => Schema.Keys.Select(known => new System.CommandLine.Completions.CompletionItem(Schema.Short(known.Path))));
        return key;
    }

    /// <summary>Prints it; nothing where there is none. Fails with exit code 2 where there is no such key.</summary>
    public static int Run(string name, Func<string, string?> environment, Terminal terminal)
    {
        var key = Find(name);
        var settings = Configuration.Resolve(environment, new Flags());
        var value = settings.Values.First(each => each.Key == key.Path);
        if (terminal.Json) terminal.Document(value, ConfigJson.Default.ResolvedValue);
        else if (value.Value is { } text) terminal.Line(text);
        return ExitCode.Done;
    }

    /// <summary>The key of that name. Fails with exit code 2, naming the nearest, where there is none.</summary>
    public static SchemaKey Find(string name)
    {
        if ((Schema.Find(name) ?? Schema.Find(Schema.Local + name)) is { } key) return key;
        if (Schema.SecretVariable(name) is { } variable)
        {
            throw new Failure($"\"{name}\" is a secret, and none stands in config.yaml", null, $"Set {variable} in the environment", ExitCode.Usage);
        }
        var names = Schema.Keys.Select(known => Schema.Short(known.Path)).ToArray();
        var within = names.Where(known => known.StartsWith(name + ".", StringComparison.Ordinal) || known.EndsWith("." + name, StringComparison.Ordinal)).ToArray();
        var hint = within.Length > 0 ? $"Did you mean {string.Join(", ", within)}?"
            : Schema.Nearest(name, names) is { } near ? $"Did you mean {near}?" : "`stigmer config show` lists them";
        throw new Failure($"There is no key {ValueKind.Quote(name)}", null, hint, ExitCode.Usage);
    }
}
