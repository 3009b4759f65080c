using System.CommandLine;
using Stigmer.Processes;

namespace Stigmer.Commands;

/// <summary><c>stigmer internal guard -- PROGRAM …</c>: runs a tool's program and ends all that it started. Not for people.</summary>
static class InternalGuard
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var program = new Argument<string[]>("PROGRAM") { Description = "The executable and its arguments", Arity = ArgumentArity.OneOrMore };
        var command = new Command("guard", "Run a program and end all that it started") { program };
        command.SetAction(parsed => Run(parsed.GetValue(program) ?? []));
        return command;
    }

    static int Run(string[] program)
    {
        if (OperatingSystem.IsWindows()) throw new Failure("`stigmer internal guard` is not for Windows");
        return Guardian.Run(program);
    }
}
