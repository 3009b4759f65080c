using Stigmer.Agents.Llm;
using Stigmer.Agents.Tools;
using Stigmer.Config;
using Stigmer.Rpc.V1;

namespace Stigmer.Tests.Llm;

public class DemoClientTests
{
    static readonly LlmSettings Demo = new(LlmProvider.Demo, "demo", "", 8192, null, null, null);

    [Fact]
    public async Task It_lists_the_workspace_once_and_answers_with_what_it_was_asked_and_saw()
    {
        List<TranscriptEntry> transcript = [new() { Turn = 1, Step = 1, User = new UserMessage { Number = 1, Text = "Which files are large?" } }];
        var first = await Ask(transcript, 1);
        var call = Assert.Single(first.Calls);
        Assert.Equal(("workspace.list", "{}", "call_1_1"), (call.Name, call.Arguments, call.Id));
        Assert.Equal(FinishReason.ToolCalls, first.FinishReason);
        Assert.Contains("demo model", first.Text, StringComparison.Ordinal);

        transcript.Add(new TranscriptEntry { Turn = 1, Step = 1, Slot = 0, Answer = first });
        transcript.Add(new TranscriptEntry { Turn = 1, Step = 1, Slot = 1, Result = new ToolResult { CallId = call.Id, Ok = true, Text = "big.bin 2 MB" } });
        var second = await Ask(transcript, 2);
        Assert.Empty(second.Calls);
        Assert.Equal(FinishReason.Stop, second.FinishReason);
        Assert.Contains("demo model", second.Text, StringComparison.Ordinal);
        Assert.Contains("Which files are large?", second.Text, StringComparison.Ordinal);
        Assert.Contains("big.bin 2 MB", second.Text, StringComparison.Ordinal);
        Assert.True(second.Usage.InputTokens > first.Usage.InputTokens && second.Usage.OutputTokens > 0);
        Assert.Equal(1, second.ReadUpTo);
    }

    [Fact]
    public async Task It_says_the_same_every_time_in_more_than_one_piece()
    {
        TranscriptEntry[] transcript = [new() { User = new UserMessage { Number = 1, Text = "Hi" } }];
        var pieces = new List<string>();
        var answer = await Ask(transcript, 1, pieces);
        Assert.True(pieces.Count > 3);
        Assert.Equal(answer.Text, string.Concat(pieces));
        Assert.Equal(answer, await Ask(transcript, 1));
    }

    [Fact]
    public async Task Without_tools_it_answers_at_once()
    {
        using var client = ChatClients.Create(Demo);
        var answer = await new ModelCall(Demo, "", [], [], 1).Ask(client, _ => Task.CompletedTask, TestContext.Current.CancellationToken);
        Assert.Empty(answer.Calls);
    }

    static async Task<ModelAnswer> Ask(IReadOnlyList<TranscriptEntry> transcript, int step, List<string>? pieces = null)
    {
        using var client = ChatClients.Create(Demo);
        return await new ModelCall(Demo, "Be kind.", transcript, WorkspaceTools.All, step).Ask(
            client,
            text =>
            {
                pieces?.Add(text);
                return Task.CompletedTask;
            },
            TestContext.Current.CancellationToken);
    }
}
