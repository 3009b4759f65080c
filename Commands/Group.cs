using System.CommandLine;
using System.CommandLine.Help;

namespace Stigmer.Commands;

/// <summary>A command that only holds others: alone it prints its help and exits 0.</summary>
static class Group
{
    /// <summary>A group with its subcommands.</summary>
    public static Command Create(string name, string description, params ReadOnlySpan<Command> subcommands)
    {
        var group = new Command(name, description);
        foreach (var subcommand in subcommands) group.Subcommands.Add(subcommand);
        group.SetAction(PrintHelp);
        return group;
    }

    /// <summary>The help of the command that was parsed.</summary>
    public static int PrintHelp(ParseResult parsed)
    {
        new HelpAction().Invoke(parsed);
        return ExitCode.Done;
    }
}
