using System.CommandLine;

namespace Stigmer.Commands;

/// <summary><c>stigmer local …</c>: the stack on this machine. Alone it starts it.</summary>
static class Local
{
    /// <summary>The group. What starts the stack takes the start's options.</summary>
    public static Command Create()
    {
        var command = new Command("local", "Start and look after the stack on this machine");
        command.Subcommands.Add(LocalStart.Create());
        command.Subcommands.Add(LocalStop.Create());
        command.Subcommands.Add(LocalRestart.Create());
        command.Subcommands.Add(LocalStatus.Create());
        command.Subcommands.Add(LocalLogs.Create());
        command.Subcommands.Add(LocalClean.Create());
        LocalStart.AddTo(command);
        return command;
    }
}
