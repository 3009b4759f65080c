using System.CommandLine;
using System.Globalization;
using System.Text.Json.Serialization;
using Stigmer.Config;
using Stigmer.Runtime;
using Stigmer.Server.Storage;

namespace Stigmer.Commands;

/// <summary><c>stigmer local clean</c>: removes local state, part by part; config.yaml is never touched.</summary>
static class LocalClean
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        Option<bool> Flag(string name, string description) => new(name) { Description = description, Arity = ArgumentArity.Zero };
        Option<bool>[] parts =
        [
            Flag(LocalState.Temporal, "The managed Temporal's databases, one for each version of its server; open runs go on from their transcripts"),
            Flag(LocalState.Data, "stigmer-server's database: all runs, transcripts and agents"),
            Flag(LocalState.Logs, "The logs"),
            Flag(LocalState.Binary, "The downloaded Temporal"),
        ];
        var all = Flag("--all", "All of these, and the API's token");
        var olderThan = Duration.Option("--older-than", "Spare what was used since, a database by its last use, and the downloaded Temporal");
        var yes = new Option<bool>("--yes", "-y") { Description = "Do not ask", Arity = ArgumentArity.Zero };
        var command = new Command("clean", "Remove local state: says what and how much, and asks. config.yaml is never touched");
        foreach (var option in (Option[])[.. parts, all, olderThan, yes]) command.Options.Add(option);
        command.SetAction((parsed, cancel) => Run(
            part => parsed.GetValue(all) || parts.Any(flag => flag.Name == part.Flag && parsed.GetValue(flag)), parsed.GetValue(olderThan), parsed.GetValue(yes), Terminal.From(parsed), cancel));
        return command;
    }

    static async Task<int> Run(Func<StatePart, bool> selects, TimeSpan? age, bool yes, Terminal terminal, CancellationToken cancel)
    {
        var settings = Configuration.Resolve(Environment.GetEnvironmentVariable, new Flags());
        var (home, time) = (settings.Home, TimeProvider.System);
        if (!LocalState.Parts(home, settings.DataDir).Any(selects)) throw NothingSelected(LocalState.Parts(home, settings.DataDir));
        if (!yes && !terminal.CanPrompt) throw new Failure("Nothing was removed", "there is no terminal to ask on", "Add --yes to remove it without being asked", ExitCode.Usage);
        if (!Directory.Exists(home.Root)) return Report([], terminal);

        if (DaemonLock.IsHeld(home)) throw Running();
        var before = age is { } old ? time.GetUtcNow().UtcDateTime - old : (DateTime?)null;
        var chosen = LocalState.Parts(home, settings.DataDir).Where(selects).Select(part => part with { Items = [.. part.Items.Where(item => before is null || (part.Ages && item.LastUsed < before))] })
            .Where(part => part.Items.Count > 0).ToList();
        if (chosen.Count == 0) return Report([], terminal);
        foreach (var part in chosen) terminal.Note($"{Size(part.Bytes),10}  {part.What}, in {part.Folder}{(before is null ? "" : $": {string.Join(", ", part.Items.Select(item => item.Name))}")}");
        if (!yes && !await terminal.AskYesOrNo($"Remove {Size(chosen.Sum(part => part.Bytes))}? [y/N] ", cancel))
        {
            terminal.Note("Nothing was removed");
            return ExitCode.Failed;
        }
        // Not before it was asked: a start that finds the lock taken waits for whoever has it.
        StigmerHome.Ensure(home.Run);
        using var still = DaemonLock.TryTake(home) ?? throw Running();
        await Leftovers.End(home, TimeSpan.FromSeconds(1), (component, process) => terminal.Note($"Ending {component} (pid {process.Pid}), which a killed daemon left"), time, cancel);
        // A server that somebody started by hand is no part of a stack.
        using var own = chosen.Exists(part => part.Flag == LocalState.Data) ? DataLock.Take(settings.DataDir) : null;
        var removed = new List<RemovedDocument>();
        foreach (var part in chosen)
        {
            foreach (var item in part.Items)
            {
                var bytes = item.Bytes;
                Remove(item, part);
                removed.Add(new RemovedDocument(part.Flag.TrimStart('-') is { Length: > 0 } name ? name : "run", Path.Combine(part.Folder, item.Name), bytes));
            }
        }
        return Report(removed, terminal);
    }

    static int Report(IReadOnlyList<RemovedDocument> removed, Terminal terminal)
    {
        if (terminal.Json) terminal.Document(new CleanDocument(removed, removed.Sum(item => item.Bytes)), CleanJson.Default.CleanDocument);
        else if (removed.Count == 0) terminal.Say("There is nothing to remove");
        else terminal.Ok($"Removed {Size(removed.Sum(item => item.Bytes))}");
        return ExitCode.Done;
    }

    static void Remove(StateItem item, StatePart part)
    {
        try
        {
            LocalState.Remove(item, part.Folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new Failure($"{Path.Combine(part.Folder, item.Name)} cannot be removed", e.Message, "What came before it is gone; the rest stays. Correct that and run it again", inner: e);
        }
    }

    static Failure NothingSelected(IReadOnlyList<StatePart> parts) => new(
        "Nothing is selected to remove",
        "there is\n" + string.Join('\n', parts.Where(part => part.Flag.Length > 0).Select(part => $"  {part.Flag,-10}  {Size(part.Bytes),10}  {part.What}, in {part.Folder}")),
        "Name parts, or --all; --older-than 7d spares what was used since", ExitCode.Usage);

    static Failure Running() => new("The stack is running", "what it works with cannot be removed", "`stigmer local stop` first");

    static string Size(long bytes) => bytes switch
    {
        < 1000 => string.Create(CultureInfo.InvariantCulture, $"{bytes} B"),
        < 1_000_000 => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e3:0.0} kB"),
        < 1_000_000_000 => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e6:0.0} MB"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e9:0.0} GB"),
    };
}

/// <summary>What <c>local clean --json</c> shows.</summary>
/// <param name="Removed">What is gone.</param>
/// <param name="Bytes">Its size in all.</param>
sealed record CleanDocument(IReadOnlyList<RemovedDocument> Removed, long Bytes);

/// <summary>Something that was removed.</summary>
/// <param name="Part">temporal, data, logs, bin or run.</param>
/// <param name="Path">The file, or the one that gives its name to those that belong to it.</param>
/// <param name="Bytes">The size.</param>
sealed record RemovedDocument(string Part, string Path, long Bytes);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(CleanDocument))]
sealed partial class CleanJson : JsonSerializerContext;
