using System.CommandLine;

namespace Stigmer.Commands;

/// <summary><c>stigmer help COMMAND</c>: what <c>stigmer COMMAND --help</c> prints.</summary>
static class Help
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var names = new Argument<string[]>("COMMAND") { Description = "The command, with its group: runs list", Arity = ArgumentArity.ZeroOrMore };
        var command = new Command("help", "Show the help of a command") { names };
        command.SetAction(parsed => Run(parsed, parsed.GetValue(names) ?? []));
        return command;
    }

    static int Run(ParseResult parsed, string[] names)
    {
        Command command = parsed.RootCommandResult.Command;
        foreach (var name in names)
        {
            var next = command.Subcommands.FirstOrDefault(s => s.Name == name && !s.Hidden);
            command = next ?? throw WrongUsage.UnknownCommand(command, name);
        }
        var path = WrongUsage.PathOf(command);
        var asked = parsed.RootCommandResult.Command.Parse(path.Length == 0 ? [] : path.Split(' '));
        asked.InvocationConfiguration.Output = parsed.InvocationConfiguration.Output;
        return Group.PrintHelp(asked);
    }
}
