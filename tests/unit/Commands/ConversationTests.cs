using Stigmer.Commands;
using Stigmer.Rpc.V1;

namespace Stigmer.Tests.Commands;

public sealed class ConversationTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("stg-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public async Task Each_line_is_a_turn_of_one_run()
    {
        await using var server = await ScriptedServer.Start();
        server
            .Says(Say.Run(server.Run), Say.Text(1, "Hello"), Say.Answer(1, "Hello"), Say.Done(RunStatus.Completed, "Hello"))
            .Says(Say.Run(server.Run), Say.Text(1, "Again", turn: 2), Say.Done(RunStatus.Completed, "Again"));
        var (screen, code) = await Hold(server, new ScriptedKeyboard().Type("one\r\r \rtwo\r\x04"));
        Assert.Equal((ExitCode.Done, "Hello\nAgain\n"), (code, screen.Out));
        var started = Assert.Single(server.Requests.OfType<StartRunRequest>());
        var sent = Assert.Single(server.Requests.OfType<SendMessageRequest>());
        Assert.Equal(("one", started.RunId, "two"), (started.Prompt, sent.Run, sent.Text));
        Assert.Contains($"`stigmer runs send {started.RunId} \"...\"` takes it up again\n", screen.Error);
    }

    [Fact]
    public async Task Ctrl_C_ends_the_answer_and_not_the_conversation()
    {
        await using var server = await ScriptedServer.Start();
        var keyboard = new ScriptedKeyboard().Type("one\r");
        server
            .Does(async (stream, context) =>
            {
                await stream.WriteAsync(Say.Text(1, "Hel"), context.CancellationToken);
                keyboard.Type("typed ahead\x03");
                await Task.Delay(Timeout.Infinite, context.CancellationToken);
            })
            .Says(Say.Run(server.Run), Say.Done(RunStatus.Cancelled, ""))
            .Says(Say.Run(server.Run), Say.Done(RunStatus.Completed, "Yes"));
        server.Cancelled = () => keyboard.Type("\r\x04");
        var (_, code) = await Hold(server, keyboard);
        Assert.Equal(ExitCode.Done, code);
        Assert.Single(server.Requests.OfType<CancelRunRequest>());
        Assert.Equal("typed ahead", Assert.Single(server.Requests.OfType<SendMessageRequest>()).Text);
    }

    [Fact]
    public async Task A_turn_that_fails_says_why_and_the_conversation_goes_on()
    {
        await using var server = await ScriptedServer.Start();
        server
            .Says(Say.Run(server.Run), Say.Done(RunStatus.Failed, "", new Error { What = "It broke" }))
            .Says(Say.Run(server.Run), Say.Done(RunStatus.Completed, ""));
        var (screen, code) = await Hold(server, new ScriptedKeyboard().Type("one\rtwo\r\x04"));
        Assert.Equal(ExitCode.Done, code);
        Assert.Contains("✗ It broke\n", screen.Error);
        Assert.Single(server.Requests.OfType<SendMessageRequest>());
    }

    [Fact]
    public async Task What_was_typed_before_a_question_is_no_answer_to_it_but_the_next_line()
    {
        await using var server = await ScriptedServer.Start();
        var keyboard = new ScriptedKeyboard().Type("one\ry\r");
        var screen = new Screen(inIsTerminal: true, errorIsTerminal: true, movesCursor: true, keyboard: keyboard);
        var decided = new TaskCompletionSource<DecideCallsRequest>();
        server.Decided = decided.SetResult;
        var call = Say.Call(1, "files.write", "{}");
        server
            .Does(async (stream, context) =>
            {
                var waits = server.Run.Clone();
                (waits.Status, waits.Turn) = (RunStatus.Waiting, 1);
                waits.WaitingCalls.Add(new WaitingCall { Turn = 1, Step = 1, Call = call });
                foreach (var said in new[] { Say.Run(waits), Say.Answer(1, "", call) }) await stream.WriteAsync(said, context.CancellationToken);
                await screen.ErrorSays("[y/N]");
                keyboard.Type("n\r");
                await decided.Task;
                await stream.WriteAsync(Say.Done(RunStatus.Completed, ""), context.CancellationToken);
            })
            .Says(Say.Run(server.Run), Say.Done(RunStatus.Completed, ""));
        keyboard.Type("\x04");
        // The end of the input was typed ahead as well: it comes after the next line.
        Assert.Equal(ExitCode.Done, await Hold(server, keyboard, screen));
        Assert.False((await decided.Task).Yes);
        Assert.Equal("y", Assert.Single(server.Requests.OfType<SendMessageRequest>()).Text);
    }

    async Task<(Screen Screen, int Code)> Hold(ScriptedServer server, ScriptedKeyboard keyboard)
    {
        var screen = new Screen(inIsTerminal: true, outIsTerminal: true, errorIsTerminal: true, movesCursor: true, keyboard: keyboard);
        return (screen, await Hold(server, keyboard, screen));
    }

    async Task<int> Hold(ScriptedServer server, ScriptedKeyboard keyboard, Screen screen)
    {
        using var link = server.Link();
        await using var input = LineInput.For(screen.Terminal, InputHistory.Read(Path.Combine(folder, "history")));
        var code = await new Conversation(link, new StartRunRequest { RunId = new string('a', 32) }, screen.Terminal, input).Hold(TestContext.Current.CancellationToken);
        Assert.True(keyboard.IsOpen);
        return code;
    }
}
