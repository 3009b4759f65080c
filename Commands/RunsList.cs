using System.CommandLine;
using System.Globalization;
using Stigmer.Rpc;
using Stigmer.Rpc.V1;

namespace Stigmer.Commands;

/// <summary><c>stigmer runs list</c>.</summary>
static class RunsList
{
    static readonly RunStatus[] Statuses = [.. Enum.GetValues<RunStatus>().Where(s => s != RunStatus.Unspecified)];

    /// <summary>The command.</summary>
    public static Command Create()
    {
        var agent = new Option<string>("--agent", "-a") { Description = "Only this agent's", HelpName = "AGENT" };
        var status = new Option<string>("--status") { Description = $"Only those that are {string.Join(", ", Statuses.Select(RunStatuses.Name))}", HelpName = "STATUS" };
        status.CompletionSources.Add(_ => Statuses.Select(each => new System.CommandLine.Completions.CompletionItem(each.Name())));
        var limit = new Option<int?>("-n") { Description = "How many, newest first (default: 20)", HelpName = "N" };
        var command = new Command("list", "List runs, newest first") { agent, status, limit };
        command.SetAction(async (parsed, cancel) =>
        {
            var request = new ListRunsRequest { Agent = parsed.GetValue(agent) ?? "", Status = Status(parsed.GetValue(status)), Limit = Limit(parsed.GetValue(limit)) };
            var terminal = Terminal.From(parsed);
            using var link = await Stack.Connect(terminal, start: false, cancel);
            return await List(link, request, terminal, cancel);
        });
        return command;
    }

    /// <summary>Prints a table, or <c>{"runs":[…]}</c>.</summary>
    public static async Task<int> List(ServerLink link, ListRunsRequest request, Terminal terminal, CancellationToken cancel)
    {
        var response = await link.Call((client, options) => client.ListRunsAsync(request, options).ResponseAsync, cancel);
        if (terminal.Json)
        {
            terminal.Document(new RunsDocument([.. response.Runs.Select(RunDocuments.Of)]), RunJson.Default.RunsDocument);
            return ExitCode.Done;
        }
        if (response.Runs.Count == 0)
        {
            terminal.Note("No runs. `stigmer run \"…\"` starts one");
            return ExitCode.Done;
        }
        // Ids are cut to what a person types; programs get them whole.
        var width = terminal.OutIsTerminal ? 12 : 32;
        terminal.Line($"{"ID".PadRight(width)}  {"STATUS",-13}  {"STARTED",-16}  {"STEPS",5}  PROMPT");
        foreach (var run in response.Runs)
        {
            var id = run.Id.Length > width ? run.Id[..width] : run.Id;
            var started = run.StartedAt == 0 ? "" : DateTimeOffset.FromUnixTimeMilliseconds(run.StartedAt).ToLocalTime().ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture);
            var prompt = run.Prompt.ReplaceLineEndings(" ");
            terminal.Line($"{id.PadRight(width)}  {run.Status.Name(),-13}  {started,-16}  {run.Steps,5}  {(prompt.Length > 60 ? prompt[..60] + "..." : prompt)}");
        }
        return ExitCode.Done;
    }

    static RunStatus Status(string? name)
    {
        if (name is null) return RunStatus.Unspecified;
        var status = Array.Find(Statuses, s => s.Name() == name);
        return status != RunStatus.Unspecified
            ? status
            : throw new Failure($"There is no status \"{name}\"", null, $"One of: {string.Join(", ", Statuses.Select(RunStatuses.Name))}", ExitCode.Usage);
    }

    static int Limit(int? limit) => limit is null or > 0 ? limit ?? 20 : throw new Failure("-n is at least 1", null, null, ExitCode.Usage);
}
