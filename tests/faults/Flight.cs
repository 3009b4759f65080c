using System.Text.Json;
using Stigmer.Standins;

namespace Stigmer.Faults;

/// <summary>A run that is under way while things go wrong.</summary>
/// <param name="Id">The run's.</param>
/// <param name="Prompt">Says how many steps it has; no other run has the same.</param>
/// <param name="Steps">So many model calls it needs.</param>
/// <param name="Before">Runners that had ended before it was started.</param>
sealed record Flight(string Id, string Prompt, int Steps, int Before)
{
    const int MostSteps = 8;

    /// <summary>Answers for prompts that end with <c>[N]</c>: N - 1 steps that list the workspace, and a last one.</summary>
    public static OllamaScript Script() => new()
    {
        Answers =
        [
            .. Enumerable.Range(1, MostSteps).SelectMany(steps => Enumerable.Range(1, steps).Select(step => new OllamaAnswer
            {
                To = $"[{steps}]",
                Step = step,
                Text = step < steps ? $"Step {step}. " : Answer(steps),
                Calls = step < steps ? [OllamaToolCall.Of("workspace_list")] : [],
                DelayMs = 15,
            })),
        ],
    };

    /// <summary>Starts a run and leaves it to itself.</summary>
    public static async Task<Flight> Start(Round round)
    {
        var steps = round.Random.Next(2, MostSteps + 1);
        var prompt = $"Look {round.Random.Next():x8} [{steps}]";
        var id = (await round.Run("run", "--detach", prompt)).Exits(0).Out.Trim();
        round.Count("runs");
        return new Flight(id, prompt, steps, round.RunnerEnds);
    }

    /// <summary>Several at once.</summary>
    public static async Task<List<Flight>> Start(Round round, int count)
    {
        var flights = new List<Flight>();
        for (var i = 0; i < count; i++) flights.Add(await Start(round));
        return flights;
    }

    /// <summary>It completes, with its whole transcript, and no model call was made that need not have been.</summary>
    public async Task Lands(Round round)
    {
        (await round.Run("runs", "watch", Id)).Exits(0);
        var run = (await round.Run("runs", "get", Id, "--json")).Exits(0).Json;
        Assert.Equal("completed", run.GetProperty("status").GetString());
        Assert.Equal(Steps, run.GetProperty("steps").GetInt32());
        var answers = run.GetProperty("transcript").EnumerateArray().Where(entry => entry.GetProperty("role").GetString() == "assistant").ToList();
        Assert.Equal([.. Enumerable.Range(1, Steps - 1).Select(step => $"Step {step}. "), Answer(Steps)], answers.Select(entry => entry.GetProperty("text").GetString()));
        Assert.All(answers.SkipLast(1), entry => Assert.True(entry.GetProperty("results").EnumerateArray().Single().GetProperty("ok").GetBoolean()));

        var calls = Calls(round);
        round.Count("model calls", calls.Values.Sum());
        Assert.Equal(Enumerable.Range(1, Steps), calls.Keys.Order());
        var allowed = Steps + round.RunnerEnds - Before;
        Assert.True(calls.Values.Sum() <= allowed, $"{Id} made {calls.Values.Sum()} model calls, and {allowed} at most were necessary: {string.Join(", ", calls.Select(c => $"step {c.Key} {c.Value} times"))}");
    }

    Dictionary<int, int> Calls(Round round) => round.Journal.Split('\n', StringSplitOptions.RemoveEmptyEntries)
        .Select(line => JsonSerializer.Deserialize(line, OllamaScriptJson.Default.OllamaJournalLine)!)
        .Where(line => line.Path == "/api/chat" && line.Prompt == Prompt)
        .CountBy(line => line.Step).ToDictionary();

    static string Answer(int steps) => $"Done after {steps}.";
}
