using System.CommandLine;
using Stigmer.Config;
using Stigmer.Rpc.V1;

namespace Stigmer.Commands;

/// <summary><c>stigmer runs resume</c>: a run that failed, ran out of time or was stranded goes on from its transcript.</summary>
static class RunsResume
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var id = Runs.IdArgument();
        var noStart = Stack.NoStartOption();
        var command = new Command("resume", "Go on with a run that failed, ran out of time or was stranded; Ctrl-C leaves it running") { id, noStart };
        command.SetAction(async (parsed, cancel) =>
        {
            var terminal = Terminal.From(parsed);
            var run = Runs.Id(parsed.GetRequiredValue(id));
            using var link = await Stack.Connect(terminal, start: !parsed.GetValue(noStart), cancel);
            return await Resume(link, run, terminal, cancel);
        });
        return command;
    }

    /// <summary>Resumes, then prints what is new and returns what <c>run</c> does.</summary>
    public static async Task<int> Resume(ServerLink link, string id, Terminal terminal, CancellationToken cancel)
    {
        var found = await Runs.Find(link, id, cancel);
        var request = new ResumeRunRequest { Run = found.Run.Id, Key = RandomId.New() };
        await link.Call((client, options) => client.ResumeRunAsync(request, options).ResponseAsync, cancel);
        var output = RunOutput.For(terminal);
        var follower = new RunFollower(link, output, terminal);
        follower.Skip(found.Transcript);
        return output.End(await follower.Follow(found.Run.Id, cancel));
    }
}
