using System.CommandLine;

namespace Stigmer.Commands;

/// <summary><c>stigmer runs watch</c>: everything so far, then as it goes. Ctrl-C only stops watching.</summary>
static class RunsWatch
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var id = Runs.IdArgument();
        var command = new Command("watch", "Show a run from its beginning until it ends; Ctrl-C leaves it running") { id };
        command.SetAction(async (parsed, cancel) =>
        {
            var terminal = Terminal.From(parsed);
            var run = Runs.Id(parsed.GetRequiredValue(id));
            using var link = await Stack.Connect(terminal, start: false, cancel);
            return await Watch(link, run, terminal, cancel);
        });
        return command;
    }

    /// <summary>Prints and returns what <c>run</c> does.</summary>
    public static async Task<int> Watch(ServerLink link, string id, Terminal terminal, CancellationToken cancel)
    {
        var output = RunOutput.For(terminal);
        return output.End(await new RunFollower(link, output, terminal).Follow(id, cancel));
    }
}
