using System.CommandLine;
using Stigmer.Config;
using Stigmer.Rpc;
using Stigmer.Rpc.V1;

namespace Stigmer.Commands;

/// <summary><c>stigmer runs cancel</c>.</summary>
static class RunsCancel
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var id = Runs.IdArgument();
        var command = new Command("cancel", "End a run where it stands") { id };
        command.SetAction(async (parsed, cancel) =>
        {
            var terminal = Terminal.From(parsed);
            var run = Runs.Id(parsed.GetRequiredValue(id));
            using var link = await Stack.Connect(terminal, start: false, cancel);
            return await Cancel(link, run, terminal, cancel);
        });
        return command;
    }

    /// <summary>Cancels; one that has ended already, otherwise than by a cancel, is refused.</summary>
    public static async Task<int> Cancel(ServerLink link, string id, Terminal terminal, CancellationToken cancel)
    {
        var request = new CancelRunRequest { Run = id, Key = RandomId.New() };
        var run = (await link.Call((client, options) => client.CancelRunAsync(request, options).ResponseAsync, cancel)).Run;
        if (terminal.Json) terminal.Document(RunDocuments.Of(run), RunJson.Default.RunDocument);
        else terminal.Ok($"Run {run.Id} is {run.Status.Name()}");
        return ExitCode.Done;
    }
}
