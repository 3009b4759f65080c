using System.CommandLine;

namespace Stigmer.Commands;

/// <summary><c>stigmer runs get</c>.</summary>
static class RunsGet
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var id = Runs.IdArgument();
        var command = new Command("get", "Show a run and everything that was said in it") { id };
        command.SetAction(async (parsed, cancel) =>
        {
            var terminal = Terminal.From(parsed);
            var run = Runs.Id(parsed.GetRequiredValue(id));
            using var link = await Stack.Connect(terminal, start: false, cancel);
            return await Get(link, run, terminal, cancel);
        });
        return command;
    }

    /// <summary>Prints the run and its transcript, or the document of both.</summary>
    public static async Task<int> Get(ServerLink link, string id, Terminal terminal, CancellationToken cancel)
    {
        var response = await Runs.Find(link, id, cancel);
        var details = RunDocuments.Of(response.Run, response.Transcript);
        if (terminal.Json) terminal.Document(details, RunJson.Default.RunDetails);
        else Print(details, terminal);
        return ExitCode.Done;
    }

    static void Print(RunDetails run, Terminal terminal)
    {
        terminal.Line($"Run:      {run.Id}");
        terminal.Line($"Agent:    {run.Agent}");
        terminal.Line($"Status:   {run.Status}{(run.Limit is null ? "" : $" ({run.Limit})")}");
        if (run.WaitingFor is not null) terminal.Line($"Waits:    {run.WaitingFor}");
        if (run.Engine is not null) terminal.Line($"Engine:   {run.Engine}");
        if (run.StartedAt is not null) terminal.Line($"Started:  {run.StartedAt}");
        if (run.EndedAt is not null) terminal.Line($"Ended:    {run.EndedAt}");
        terminal.Line($"Steps:    {run.Steps}");
        terminal.Line($"Tokens:   {run.Usage.InputTokens} in, {run.Usage.OutputTokens} out");
        if (run.Error is { } error) terminal.Line($"Error:    {string.Join("\n          ", new[] { error.What, error.Why, error.Remedy }.Where(t => t is not null))}");
        foreach (var entry in run.Transcript)
        {
            terminal.Line();
            terminal.Line(entry.Role == "user" ? $"> {entry.Text.Replace("\n", "\n> ", StringComparison.Ordinal)}" : entry.Text.TrimEnd('\n'));
            foreach (var call in entry.Calls)
            {
                var result = entry.Results.Find(r => r.Id == call.Id);
                var outcome = result is null ? "no result yet" : result.Ok ? "ok" : $"{terminal.ErrorSymbol} {result.Text.ReplaceLineEndings(" ")}";
                terminal.Line($"  {call.Name} {call.Arguments.GetRawText().ReplaceLineEndings(" ")}: {outcome}");
            }
        }
    }
}
