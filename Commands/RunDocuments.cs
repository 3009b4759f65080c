using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Stigmer.Rpc;
using Stigmer.Rpc.V1;

namespace Stigmer.Commands;

/// <summary>The JSON of <c>run</c> and <c>runs</c>: names and fields are a contract with scripts.</summary>
static class RunDocuments
{
    /// <summary>A run in <c>runs list</c>.</summary>
    public static RunDocument Of(Run run) => new(
        run.Id, run.Agent, run.Status.Name(), run.Prompt, Time(run.StartedAt), Time(run.EndedAt), run.Steps, UsageOf(run.Usage), OrNull(run.Engine));

    /// <summary><c>runs get</c>.</summary>
    public static RunDetails Of(Run run, IReadOnlyList<TranscriptEntry> transcript)
    {
        var steps = new List<TranscriptDocument>();
        var calls = new Dictionary<(int, int, int), string>();
        foreach (var entry in transcript)
        {
            switch (entry.BodyCase)
            {
                case TranscriptEntry.BodyOneofCase.User:
                    steps.Add(Document(entry, "user", entry.User.Text));
                    break;
                case TranscriptEntry.BodyOneofCase.Answer:
                    var answer = entry.Answer;
                    foreach (var call in answer.Calls) calls[(entry.Turn, entry.Step, call.Slot)] = call.Id;
                    steps.Add(Document(entry, "assistant", answer.Text) with
                    {
                        Calls = [.. answer.Calls.Select(c => new CallDocument(c.Id, c.Name, Arguments(c.Arguments), c.NeedsApproval))],
                        Notes = answer.Notes,
                        Shortened = [.. answer.Shortened.Select(place => new PlaceDocument(place.Turn, place.Step, calls.GetValueOrDefault((place.Turn, place.Step, place.Slot))))],
                        Provider = OrNull(answer.Provider),
                        Model = OrNull(answer.Model),
                        Usage = UsageOf(answer.Usage),
                        WorkedMs = answer.WorkedMs,
                    });
                    break;
                case TranscriptEntry.BodyOneofCase.Result:
                    var asked = steps.FindLast(s => s.Turn == entry.Turn && s.Step == entry.Step && s.Role == "assistant");
                    var result = entry.Result;
                    asked?.Results.Add(new ResultDocument(result.CallId, result.Ok, result.Text, Kind(result.Kind), result.WorkedMs, result.BegunBefore));
                    break;
                case TranscriptEntry.BodyOneofCase.Offer:
                    steps.Add(Document(entry, "tools", "") with { Notes = entry.Offer.Notes, Tools = [.. entry.Offer.Tools.Select(tool => tool.Name)], WorkedMs = entry.Offer.WorkedMs });
                    break;
                default:
                    break;
            }
        }
        return new RunDetails(
            run.Id, run.Agent, run.Status.Name(), run.Prompt, Time(run.StartedAt), Time(run.EndedAt), run.Steps, UsageOf(run.Usage), OrNull(run.Engine),
            steps, OrNull(run.WaitingFor), ErrorOf(run), OrNull(run.Limit), OrNull(run.Output));
    }

    static TranscriptDocument Document(TranscriptEntry entry, string role, string text) =>
        new(entry.Turn, entry.Step, role, text, [], [], [], [], null, null, null, null, 0);

    static string Kind(ResultKind kind) => kind switch
    {
        ResultKind.Cancelled => "cancelled",
        ResultKind.OutcomeUnknown => "outcome_unknown",
        ResultKind.Denied => "denied",
        ResultKind.TimedOut => "timed_out",
        _ => "ran",
    };

    /// <summary>Tokens.</summary>
    public static UsageDocument UsageOf(Usage? usage) => new(usage?.InputTokens ?? 0, usage?.OutputTokens ?? 0);

    /// <summary>Why it failed; null where it did not.</summary>
    public static ErrorParts? ErrorOf(Run run) =>
        run.Error is { What.Length: > 0 } error ? new ErrorParts(error.What, OrNull(error.Why), OrNull(error.Remedy)) : null;

    /// <summary>A call's arguments as the object that they are, or as the string that the model wrote in its place.</summary>
    public static JsonElement Arguments(string text)
    {
        if (text.Length > 0)
        {
            try
            {
                using var document = JsonDocument.Parse(text);
                if (document.RootElement.ValueKind == JsonValueKind.Object) return document.RootElement.Clone();
            }
            catch (JsonException)
            {
                // The model wrote something else: shown as it is.
            }
            return JsonSerializer.SerializeToElement(text, RunJson.Default.String);
        }
        using var empty = JsonDocument.Parse("{}");
        return empty.RootElement.Clone();
    }

    /// <summary>Null for the empty string, which is how protobuf says "not there".</summary>
    public static string? OrNull(string text) => text.Length == 0 ? null : text;

    /// <summary>Unix milliseconds as 2026-01-19T08:00:00Z; null for 0.</summary>
    public static string? Time(long milliseconds) =>
        milliseconds == 0 ? null : DateTimeOffset.FromUnixTimeMilliseconds(milliseconds).UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
}

/// <summary>What became of the calls that a run waited with.</summary>
sealed record DecisionsDocument(string Id, string Status, IReadOnlyList<DecidedDocument> Decided);

sealed record DecidedDocument(int Turn, int Step, string Id, string Name, JsonElement Arguments, bool Approved);

sealed record UsageDocument(long InputTokens, long OutputTokens);

sealed record RunDocument(
    string Id, string Agent, string Status, string Prompt, string? StartedAt, string? EndedAt, int Steps, UsageDocument Usage, string? Engine);

sealed record RunsDocument(IReadOnlyList<RunDocument> Runs);

sealed record RunDetails(
    string Id, string Agent, string Status, string Prompt, string? StartedAt, string? EndedAt, int Steps, UsageDocument Usage, string? Engine,
    IReadOnlyList<TranscriptDocument> Transcript, string? WaitingFor, ErrorParts? Error, string? Limit, string? Output);

/// <param name="Role">user; assistant, with the calls and their results; or tools: what the turn's models are offered by MCP servers.</param>
/// <param name="Notes">What a person should know about it.</param>
/// <param name="Shortened">Results in whose place this model call, and every later one, was sent a short note.</param>
/// <param name="Tools">The names of what is offered; null for other roles.</param>
/// <param name="WorkedMs">Time spent on the model call, or on starting the servers.</param>
sealed record TranscriptDocument(
    int Turn, int Step, string Role, string Text, IReadOnlyList<CallDocument> Calls, List<ResultDocument> Results, IReadOnlyList<string> Notes,
    IReadOnlyList<PlaceDocument> Shortened, IReadOnlyList<string>? Tools, string? Provider, string? Model, UsageDocument? Usage, long WorkedMs);

sealed record CallDocument(string Id, string Name, JsonElement Arguments, bool NeedsApproval);

/// <param name="Kind">ran, denied, cancelled, timed_out or outcome_unknown.</param>
/// <param name="BegunBefore">It had begun before in an attempt whose outcome is unknown.</param>
sealed record ResultDocument(string Id, bool Ok, string Text, string Kind, long WorkedMs, bool BegunBefore);

/// <summary>The result of a call.</summary>
sealed record PlaceDocument(int Turn, int Step, string? Id);

// The events of `run --json`, one a line.
sealed record RunEvent(string Type, string Id, string Agent);

sealed record TextEvent(string Type, int Step, string Text);

sealed record CallEvent(string Type, int Step, string Id, string Name, JsonElement Arguments);

sealed record ResultEvent(string Type, int Step, string Id, bool Ok, string Text);

sealed record RetryEvent(string Type, int Step, string Why);

sealed record DoneEvent(string Type, string Status, string Output, int Steps, UsageDocument Usage, ErrorParts? Error, string? Limit);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, GenerationMode = JsonSourceGenerationMode.Serialization)]
[JsonSerializable(typeof(RunsDocument))]
[JsonSerializable(typeof(RunDocument))]
[JsonSerializable(typeof(RunDetails))]
[JsonSerializable(typeof(DecisionsDocument))]
[JsonSerializable(typeof(RunEvent))]
[JsonSerializable(typeof(TextEvent))]
[JsonSerializable(typeof(CallEvent))]
[JsonSerializable(typeof(ResultEvent))]
[JsonSerializable(typeof(RetryEvent))]
[JsonSerializable(typeof(DoneEvent))]
[JsonSerializable(typeof(string))]
sealed partial class RunJson : JsonSerializerContext;
