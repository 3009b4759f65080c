using System.CommandLine;
using System.CommandLine.Parsing;

namespace Stigmer.Commands;

/// <summary>Wrong usage, as sentences: exit code 2, and nothing was started or changed.</summary>
static class WrongUsage
{
    /// <summary>What people type for <c>stigmer local …</c>: answered, not obeyed.</summary>
    static readonly (string Typed, string Meant)[] NearMisses =
    [
        ("start", "local start"), ("stop", "local stop"), ("status", "local status"), ("restart", "local restart"), ("logs", "local logs"),
        ("up", "local"), ("down", "local stop"), ("ps", "local status"),
    ];

    /// <summary>What is wrong with the arguments, or null. <paramref name="args"/> as the shell gave them.</summary>
    public static Failure? Check(ParseResult parsed, IReadOnlyList<string> args)
    {
        if (FlagWithValue(parsed, args) is { } flag) return Error($"{flag} takes no value", PathOf(parsed.CommandResult.Command));
        if (parsed.Errors.Count == 0) return null;
        var command = parsed.CommandResult.Command;
        if (parsed.UnmatchedTokens is [var token, ..])
        {
            if (token.StartsWith('-') && token.Length > 1) return UnknownOption(command, token);
            if (command.Subcommands.Count > 0) return UnknownCommand(command, token);
            return Error($"\"{token}\" is one argument too many", PathOf(command));
        }
        var first = parsed.Errors[0];
        // The parser would name the type in .NET's words.
        if (first.SymbolResult is OptionResult { Tokens: [var value] } option && option.Option.ValueType == typeof(int?) && !int.TryParse(value.Value, out _))
        {
            return Error($"\"{value.Value}\" is no number for {option.Option.Name}", PathOf(command));
        }
        return Error(first.Message.TrimEnd('.'), PathOf(command));
    }

    /// <summary>Wrong usage of a command; <paramref name="path"/> names it for the remedy: <c>runs list</c>.</summary>
    public static Failure Error(string what, string path, string? why = null) =>
        new(what, why, $"`stigmer {(path.Length == 0 ? "" : path + " ")}--help` shows what is allowed", ExitCode.Usage);

    /// <summary>A word where a command should stand: with the near miss that it is, or the nearest name.</summary>
    public static Failure UnknownCommand(Command group, string typed)
    {
        var path = PathOf(group);
        if (path.Length == 0)
        {
            foreach (var (near, meant) in NearMisses)
            {
                if (near == typed) return new Failure($"There is no command `stigmer {typed}`", null, $"Did you mean `stigmer {meant}`?", ExitCode.Usage);
            }
        }
        var prefix = path.Length == 0 ? "stigmer" : $"stigmer {path}";
        var nearest = Nearest(typed, group.Subcommands.Where(s => !s.Hidden).Select(s => s.Name));
        return new Failure(
            $"There is no command `{prefix} {typed}`", null,
            nearest is null ? $"`{prefix} --help` lists the commands" : $"Did you mean `{prefix} {nearest}`?", ExitCode.Usage);
    }

    /// <summary>An option that the command does not have; also one in the place of a word that may not begin with a dash.</summary>
    public static Failure UnknownOption(Command command, string typed)
    {
        var path = PathOf(command);
        var name = typed.Split('=')[0];
        var nearest = Nearest(name, OptionsOf(command).SelectMany(o => o.Aliases.Append(o.Name)).Where(n => n.StartsWith("--", StringComparison.Ordinal)));
        var prefix = path.Length == 0 ? "stigmer" : $"stigmer {path}";
        return new Failure(
            $"`{prefix}` has no option {name}", null,
            nearest is null ? $"`{prefix} --help` lists the options" : $"Did you mean {nearest}?", ExitCode.Usage);
    }

    /// <summary>A command's names below the root, by spaces; empty for the root.</summary>
    public static string PathOf(Command command)
    {
        var names = new List<string>();
        for (var at = command; at is not null and not RootCommand; at = at.Parents.OfType<Command>().FirstOrDefault()) names.Insert(0, at.Name);
        return string.Join(' ', names);
    }

    static IEnumerable<Option> OptionsOf(Command command)
    {
        foreach (var option in command.Options) yield return option;
        for (var at = command.Parents.OfType<Command>().FirstOrDefault(); at is not null; at = at.Parents.OfType<Command>().FirstOrDefault())
        {
            foreach (var option in at.Options.Where(o => o.Recursive)) yield return option;
        }
    }

    // The parser takes --flag=value apart and gives the value to whoever takes words: a prompt, say.
    static string? FlagWithValue(ParseResult parsed, IReadOnlyList<string> args)
    {
        foreach (var arg in args.TakeWhile(a => a != "--"))
        {
            if (!arg.StartsWith("--", StringComparison.Ordinal) || arg.IndexOf('=', StringComparison.Ordinal) is not (> 2 and var equals)) continue;
            var name = arg[..equals];
            if (OptionsOf(parsed.CommandResult.Command).Any(o => o.Arity.MaximumNumberOfValues == 0 && (o.Name == name || o.Aliases.Contains(name)))) return name;
        }
        return null;
    }

    // Near enough to be a slip of the finger: two edits, and fewer than half of the letters.
    static string? Nearest(string typed, IEnumerable<string> known)
    {
        var (best, distance) = ((string?)null, Math.Min(3, (typed.Length + 1) / 2));
        foreach (var name in known)
        {
            var d = Edits(typed, name);
            if (d < distance) (best, distance) = (name, d);
        }
        return best;
    }

    static int Edits(string a, string b)
    {
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var (diagonal, left) = (row[0], i);
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var above = row[j];
                left = Math.Min(Math.Min(above, left) + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1));
                (diagonal, row[j]) = (above, left);
            }
        }
        return row[b.Length];
    }
}
