using System.CommandLine;
using System.Globalization;
using System.Text.Json.Serialization;
using Stigmer.Config;
using Stigmer.Runtime.Logs;

namespace Stigmer.Commands;

/// <summary><c>stigmer local logs</c>: the components' logs, merged by time. Reads files: no stack need run.</summary>
static class LocalLogs
{
    const int DefaultCount = 100;

    /// <summary>The command.</summary>
    public static Command Create()
    {
        var components = new Argument<string[]>("COMPONENT") { Description = "daemon, stigmer-server, agent-runner or temporal; default: all", Arity = ArgumentArity.ZeroOrMore };
        var follow = new Option<bool>("--follow", "-f") { Description = "Go on as the logs grow", Arity = ArgumentArity.Zero };
        var lines = new Option<int?>("--lines", "-n")
        {
            Description = "How many lines, or all (default: 100; with --since: all)",
            HelpName = "N|all",
            CustomParser = result =>
            {
                var text = result.Tokens[0].Value;
                if (text == "all") return int.MaxValue;
                if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var count)) return count;
                result.AddError($"\"{text}\" is no number of lines: a number, or all");
                return null;
            },
        };
        var since = Duration.Option("--since", "Only what is younger than that");
        var command = new Command("logs", "Show the logs of the stack, merged by time") { components, follow, lines, since };
        command.SetAction((parsed, cancel) => Run(
            parsed.GetValue(components) ?? [], parsed.GetValue(follow), parsed.GetValue(lines), parsed.GetValue(since), Terminal.From(parsed), TimeProvider.System, cancel));
        return command;
    }

    static async Task<int> Run(string[] names, bool follow, int? lines, TimeSpan? since, Terminal terminal, TimeProvider time, CancellationToken cancel)
    {
        foreach (var name in names)
        {
            if (LogReader.Components.Contains(name)) continue;
            throw new Failure($"There is no component {name}", null, $"The components are {string.Join(", ", LogReader.Components)}", ExitCode.Usage);
        }
        var home = StigmerHome.From(Environment.GetEnvironmentVariable);
        var components = LogReader.Components.Where(c => names.Length == 0 || names.Contains(c)).ToList();
        if (follow) StigmerHome.Ensure(home.Logs);
        using var changes = follow ? new LogChanges(home.Logs, time) : null;
        var followed = new List<FollowedLog>();
        try
        {
            Present(home, components, follow ? followed : null, lines, since is { } age ? time.GetUtcNow() - age : null, terminal, cancel);
            while (changes is not null)
            {
                foreach (var line in followed.SelectMany(f => f.ReadNew()).OrderBy(l => l.Time)) Show(line, terminal);
                if (followed.Exists(f => f.TakeGap())) terminal.Warn("Some lines are left out here: they were written faster than they could be read");
                cancel.ThrowIfCancellationRequested();
                if (!followed.Exists(f => f.HasMore)) await changes.Next(cancel);
            }
            return ExitCode.Done;
        }
        finally
        {
            foreach (var log in followed) log.Dispose();
        }
    }

    /// <summary>Shows what is there; who follows goes on exactly where that ends.</summary>
    static void Present(
        StigmerHome home, List<string> components, List<FollowedLog>? followed, int? lines, DateTimeOffset? since, Terminal terminal, CancellationToken cancel)
    {
        var count = lines ?? (since is null ? DefaultCount : int.MaxValue);
        var logs = components.ConvertAll(c => LogSnapshot.Take(home.LogFile(c)));
        try
        {
            followed?.AddRange(components.Select((c, i) => new FollowedLog(c, home.LogFile(c), logs[i])));
            // What has no end yet is shown when it has one.
            var whole = followed is not null;
            var merged = LogReader.Merge(components.Select((c, i) =>
                LogReader.Parse(c, count == int.MaxValue || since is not null ? logs[i].Lines(since, whole) : logs[i].Tail(count, whole))));
            if (since is { } from) merged = merged.Where(l => l.Time >= from);
            if (count != int.MaxValue) merged = merged.TakeLast(count);
            foreach (var line in merged)
            {
                cancel.ThrowIfCancellationRequested();
                Show(line, terminal);
            }
        }
        finally
        {
            foreach (var log in logs) log.Dispose();
        }
    }

    static void Show(LogLine line, Terminal terminal)
    {
        if (terminal.Json) terminal.Document(new LogDocument(line.Time == DateTimeOffset.MinValue ? null : line.Time.UtcDateTime, line.Level, line.Component, line.Message), LogJson.Default.LogDocument);
        else terminal.Line(line.Raw);
    }
}

/// <summary>A line of <c>logs --json</c>.</summary>
sealed record LogDocument(DateTime? Time, string? Level, string Component, string Message);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, GenerationMode = JsonSourceGenerationMode.Serialization)]
[JsonSerializable(typeof(LogDocument))]
sealed partial class LogJson : JsonSerializerContext;
