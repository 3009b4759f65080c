using System.CommandLine;
using Stigmer.Config;
using Stigmer.Rpc.V1;

namespace Stigmer.Commands;

/// <summary><c>stigmer runs send</c>: a message to a run under way, or the next turn of one that has ended.</summary>
static class RunsSend
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var id = Runs.IdArgument();
        var message = new Argument<string[]>("MESSAGE") { Description = "What to say; - stands for standard input; one that begins with - comes after --", Arity = ArgumentArity.ZeroOrMore };
        var noStart = Stack.NoStartOption();
        var command = new Command("send", "Say something to a run and show how it goes on; Ctrl-C leaves it running") { id, message, noStart };
        command.SetAction(async (parsed, cancel) =>
        {
            var terminal = Terminal.From(parsed);
            var run = Runs.Id(parsed.GetRequiredValue(id));
            var words = Prompt.Message(
                parsed.GetValue(message) ?? [], StandardInput.Literal(parsed), word => WrongUsage.UnknownOption(command, word),
                "For example: stigmer runs send last \"And the smallest?\"");
            var text = words.ReadsStdin ? words.Complete(await StandardInput.ReadAll(cancel)) : words.Text;
            using var link = await Stack.Connect(terminal, start: !parsed.GetValue(noStart), cancel);
            return await Send(link, run, text, terminal, cancel);
        });
        return command;
    }

    /// <summary>Sends, then prints the turn that reads it and returns what <c>run</c> does.</summary>
    public static async Task<int> Send(ServerLink link, string id, string text, Terminal terminal, CancellationToken cancel)
    {
        var request = new SendMessageRequest { Run = id, Key = RandomId.New(), Text = text };
        var sent = await link.Call((client, options) => client.SendMessageAsync(request, options).ResponseAsync, cancel);
        var output = RunOutput.For(terminal);
        var follower = new RunFollower(link, output, terminal);
        follower.From(sent.Turn, sent.Message);
        output.After(sent.Run);
        return output.End(await follower.Follow(sent.Run.Id, cancel));
    }
}
