using Stigmer.Agents.Llm;
using Stigmer.Rpc.V1;
using Stigmer.Standins;

namespace Stigmer.Tests.Llm;

public class WindowTests
{
    static readonly OllamaToolCall List = OllamaToolCall.Of("workspace_list");

    /// <summary>Asks for a tool in every step up to the last.</summary>
    static HostedAnswer[] Steps(int last) => [new() { Step = last, Text = "Done." }, new() { Calls = [List] }];

    [Fact]
    public async Task Old_results_give_way_to_notes_oldest_first_and_stay_away()
    {
        // The table knows this model: 200,000 tokens, of which 8,192 are the answer's.
        await using var run = await Hosted.Anthropic(new HostedModel("claude-sonnet-4-5", Context: 200_000, Temperature: true), Steps(8));
        run.Say("Go");
        var answers = new List<ModelAnswer>();
        for (var step = 1; step <= 8; step++)
        {
            answers.Add(await run.Ask());
            if (step < 8) run.Answer($"result {step} " + string.Concat(Enumerable.Repeat("some words of it ", 14_000)));
        }
        Assert.Equal("Done.", answers[^1].Text);
        Assert.DoesNotContain(run.Ends, end => end.StartsWith("invalid", StringComparison.Ordinal));
        Assert.Equal(8, run.Calls.Count);

        var shortened = answers.SelectMany(answer => answer.Shortened).Select(place => place.Step).ToList();
        Assert.NotEmpty(shortened);
        Assert.Equal(Enumerable.Range(1, shortened.Count), shortened);
        Assert.All(answers, answer => Assert.Equal(answer.Shortened.Count > 0, answer.Notes.Any(note => note.Contains("left out of what the model reads", StringComparison.Ordinal))));

        // What stands in the transcript is what was sent, then and in every later call.
        foreach (var (index, body) in run.Calls.Index())
        {
            var left = answers.Take(index + 1).Sum(answer => answer.Shortened.Count);
            var sent = body.GetProperty("messages").EnumerateArray().SelectMany(message => message.GetProperty("content").EnumerateArray())
                .Where(block => block.GetProperty("type").GetString() == "tool_result").Select(block => block.GetProperty("content").GetString()!).ToList();
            Assert.Equal(index, sent.Count);
            Assert.Equal(Enumerable.Range(0, index).Select(i => i < left), sent.Select(text => text.StartsWith("[The result of workspace.list stood here (", StringComparison.Ordinal)));
        }
    }

    [Fact]
    public async Task A_server_that_refuses_a_prompt_as_too_long_gets_a_shorter_one()
    {
        await using var run = await Hosted.OpenAi(new HostedModel("qwen3", Context: 20_000, Temperature: true), Steps(4));
        run.Say("Go");
        ModelAnswer? last = null;
        for (var step = 1; step <= 4; step++)
        {
            last = await run.Ask();
            if (step < 4) run.Answer(string.Concat(Enumerable.Repeat("some words of it ", 2500)));
        }
        Assert.Equal("Done.", last!.Text);
        Assert.Contains(run.Transcript, entry => entry.Answer?.Shortened.Count > 0);
        Assert.Contains(run.Ends, end => end.StartsWith("invalid: This model's maximum context length", StringComparison.Ordinal) || end == "refused");
    }

    [Fact]
    public async Task What_no_note_can_make_fit_is_said_before_anything_is_sent()
    {
        await using var run = await Hosted.Anthropic(new HostedModel("claude-sonnet-4-5", Context: 200_000), new HostedAnswer { Text = "?" });
        var failure = await Assert.ThrowsAsync<ModelFailure>(() => run.Say(string.Concat(Enumerable.Repeat("some words ", 150_000))).Ask());
        Assert.False(failure.Retryable);
        Assert.Contains("longer than the window of claude-sonnet-4-5", failure.What, StringComparison.Ordinal);
        Assert.Empty(run.Calls);
    }

    [Fact]
    public async Task A_prompt_of_a_megabyte_goes_through_where_the_window_has_room()
    {
        await using var run = await Hosted.Anthropic(new HostedAnswer { Text = "Read." });
        var text = string.Concat(Enumerable.Repeat("some words ", 95_000));
        Assert.Equal("Read.", (await run.Say(text).Ask()).Text);
        Assert.Equal(text, run.Calls[0].GetProperty("messages")[0].GetProperty("content")[0].GetProperty("text").GetString());
    }

    [Fact]
    public void What_the_provider_counted_sets_the_reckoning_right()
    {
        var settings = new Stigmer.Config.LlmSettings(Stigmer.Config.LlmProvider.Anthropic, "m", "", 100, null, null, null);
        List<TranscriptEntry> transcript =
        [
            new() { Turn = 1, Step = 1, Slot = -1, User = new UserMessage { Number = 1, Text = new string('x', 30_000) } },
            new() { Turn = 1, Step = 1, Slot = 0, Answer = new ModelAnswer { Provider = "anthropic", Model = "m", Usage = new Usage { InputTokens = 6_000 } } },
        ];
        Assert.InRange(new Fitting(new ModelCall(settings, "", transcript[..1], [], 1)).Total, 10_000, 10_020);
        Assert.InRange(new Fitting(new ModelCall(settings, "", transcript, [], 2)).Total, 6_000, 6_020);
        // Of another model, it tells nothing.
        Assert.InRange(new Fitting(new ModelCall(settings with { Model = "n" }, "", transcript, [], 2)).Total, 10_000, 10_040);
    }
}
