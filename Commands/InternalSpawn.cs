using System.CommandLine;
using Stigmer.Processes;

namespace Stigmer.Commands;

/// <summary>
/// <c>stigmer internal spawn SUPERVISOR -- PROGRAM …</c>: becomes a foreign program that the kernel kills when its supervisor
/// ends. Linux only; not for people.
/// </summary>
static class InternalSpawn
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var supervisor = new Argument<int>("SUPERVISOR") { Description = "The process that started this one" };
        var program = new Argument<string[]>("PROGRAM") { Description = "The executable and its arguments", Arity = ArgumentArity.OneOrMore };
        var command = new Command("spawn", "Become a program that ends with its supervisor") { supervisor, program };
        command.SetAction(parsed => Run(parsed.GetValue(supervisor), parsed.GetValue(program) ?? []));
        return command;
    }

    static int Run(int supervisor, string[] program)
    {
        if (!OperatingSystem.IsLinux()) throw new Failure("`stigmer internal spawn` is for Linux");
        UnixProcess.Become(supervisor, program);
        return ExitCode.Failed;
    }
}
