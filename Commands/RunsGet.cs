using System.CommandLine;
using Stigmer.Rpc.V1;

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
        else Print(details, response.Run.WaitingCalls, terminal);
        return ExitCode.Done;
    }

    static void Print(RunDetails run, IReadOnlyList<WaitingCall> waits, Terminal terminal)
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
        var turn = 0;
        foreach (var entry in run.Transcript)
        {
            terminal.Line();
            if (entry.Turn > 1 && entry.Turn != turn) terminal.Line($"{Rule(terminal)} turn {entry.Turn}\n");
            turn = entry.Turn;
            Print(entry, terminal);
        }
        foreach (var waiting in waits) terminal.Line($"\n  waits for a yes: {RunTexts.Call(waiting.Call)} ({waiting.Call.Id})");
    }

    static void Print(TranscriptDocument entry, Terminal terminal)
    {
        if (entry.Role == "user") terminal.Line($"> {entry.Text.Replace("\n", "\n> ", StringComparison.Ordinal)}");
        else if (entry.Tools is { } tools) terminal.Line($"  tools: {string.Join(", ", tools)}");
        else if (entry.Text.Length > 0) terminal.Line(entry.Text.TrimEnd('\n'));
        foreach (var note in entry.Notes) terminal.Line($"  note: {note}");
        if (entry.Shortened.Count > 0)
        {
            terminal.Line($"  shortened from here on: the results of {string.Join(", ", entry.Shortened.Select(place => $"{place.Id ?? "?"} (turn {place.Turn}, step {place.Step})"))}");
        }
        foreach (var call in entry.Calls)
        {
            var result = entry.Results.Find(r => r.Id == call.Id);
            var outcome = result is null ? "no result yet" : $"{(result.Ok ? "ok" : result.Kind == "ran" ? terminal.ErrorSymbol : result.Kind.Replace('_', ' '))}, {RunTexts.Time(result.WorkedMs)}";
            var again = result?.BegunBefore == true ? ", begun before" : "";
            terminal.Line($"  {call.Name} {Json(call.Arguments)} ({outcome}{again})");
            if (result is { Text.Length: > 0 }) terminal.Line($"    {result.Text.TrimEnd('\n').Replace("\n", "\n    ", StringComparison.Ordinal)}");
        }
    }

    // As the model wrote it; JSON has no line breaks within its strings, and those between them say nothing.
    static string Json(System.Text.Json.JsonElement arguments) => RunTexts.OneLine(arguments.GetRawText());

    static string Rule(Terminal terminal) => string.Concat(Enumerable.Repeat(terminal.RuleSymbol, 3));
}
