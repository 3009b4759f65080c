using System.CommandLine;
using Stigmer.Config;
using Stigmer.Rpc;
using Stigmer.Rpc.V1;

namespace Stigmer.Commands;

/// <summary><c>stigmer runs approve</c> and <c>stigmer runs deny</c>: the yes or no that tool calls wait for.</summary>
static class RunsDecide
{
    /// <summary><c>stigmer runs approve ID [CALL]</c>.</summary>
    public static Command Approve() => Create("approve", "Say yes to the tool calls that a run waits with", null);

    /// <summary><c>stigmer runs deny ID [CALL] [--reason R]</c>.</summary>
    public static Command Deny() => Create(
        "deny", "Say no to the tool calls that a run waits with; it goes on without them",
        new Option<string>("--reason") { Description = "Why not: the model is told", HelpName = "R" });

    static Command Create(string name, string description, Option<string>? reason)
    {
        var id = Runs.IdArgument();
        var call = new Argument<string?>("CALL") { Description = "The call's id, or a unique beginning of it (default: all that wait now)", Arity = ArgumentArity.ZeroOrOne };
        var noStart = Stack.NoStartOption();
        var command = new Command(name, description) { id, call, noStart };
        if (reason is not null) command.Options.Add(reason);
        command.SetAction(async (parsed, cancel) =>
        {
            var terminal = Terminal.From(parsed);
            var request = new DecideCallsRequest
            {
                Run = Runs.Id(parsed.GetRequiredValue(id)), Key = RandomId.New(), Yes = reason is null, Call = parsed.GetValue(call) ?? "",
                Reason = (reason is null ? null : parsed.GetValue(reason)) ?? "",
            };
            if (request.Call.StartsWith('-') && StandardInput.Literal(parsed) == 0) throw WrongUsage.UnknownOption(command, request.Call);
            using var link = await Stack.Connect(terminal, start: !parsed.GetValue(noStart), cancel);
            return await Decide(link, request, terminal, cancel);
        });
        return command;
    }

    /// <summary>Decides, and says which calls were decided. Where none waits the server refuses.</summary>
    public static async Task<int> Decide(ServerLink link, DecideCallsRequest request, Terminal terminal, CancellationToken cancel)
    {
        var response = await link.Call((client, options) => client.DecideCallsAsync(request, options).ResponseAsync, cancel);
        if (terminal.Json)
        {
            var decided = response.Decided.Select(waiting => new DecidedDocument(
                waiting.Turn, waiting.Step, waiting.Call.Id, waiting.Call.Name, RunDocuments.Arguments(waiting.Call.Arguments), request.Yes));
            terminal.Document(new DecisionsDocument(response.Run.Id, response.Run.Status.Name(), [.. decided]), RunJson.Default.DecisionsDocument);
            return ExitCode.Done;
        }
        foreach (var waiting in response.Decided) terminal.Ok($"{(request.Yes ? "Approved" : "Denied")} {RunTexts.Call(waiting.Call)}");
        if (response.Decided.Count == 0) terminal.Note("Nothing was left to decide");
        return ExitCode.Done;
    }
}
