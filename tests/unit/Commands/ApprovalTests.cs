using Stigmer.Commands;
using Stigmer.Rpc.V1;

namespace Stigmer.Tests.Commands;

public class ApprovalTests
{
    static readonly ToolCall Write = Say.Call(1, "files.write", """{"path":"a.txt","content":"one\ntwo\u001b[2J\u202e"}""");
    static readonly ToolCall Run = Say.Call(2, "workspace.run", """{"command":"make"}""");

    [Fact]
    public async Task With_json_each_call_that_waits_is_told_once_after_it_was_made_and_the_run_waits_on()
    {
        await using var server = await ScriptedServer.Start();
        server
            .Says(Say.Run(Waits(server, Write)), Say.Answer(1, "", Write))
            .Says(Say.Run(Waits(server, Write)), Say.Result(1, 1, "ok"), Say.Done(RunStatus.Completed, "Done"));
        var screen = new Screen(json: true);

        Assert.Equal(ExitCode.Done, await Watch(server, screen));

        Assert.Equal(["run", "tool_call", "approval", "tool_result", "done"], screen.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split('"')[3]));
        Assert.Contains("""{"type":"approval","step":1,"id":"c1","name":"files.write","arguments":{"path":"a.txt",""", screen.Out);
    }

    [Fact]
    public async Task Without_a_terminal_the_run_stays_waiting_and_what_helps_is_named()
    {
        await using var server = await ScriptedServer.Start();
        // While another call of the step is under way its result is awaited.
        var busy = Waits(server, Write).Clone();
        busy.Status = RunStatus.Running;
        server.Says(Say.Run(busy), Say.Answer(1, "", Write, Run), Say.Result(1, 2, "made"), new WatchRunResponse { Changed = Waits(server, Write) });
        var screen = new Screen();

        var failure = await Assert.ThrowsAsync<Failure>(() => Watch(server, screen));

        Assert.Equal((ExitCode.Failed, "A tool call waits for a person's yes"), (failure.ExitCode, failure.What));
        Assert.Contains($"`stigmer runs approve {server.Run.Id}`", failure.Remedy);
        Assert.Contains("--yes", failure.Remedy);
        Assert.Contains("workspace.run {\"command\":\"make\"} (12 ms)", screen.Error);
        Assert.Empty(server.Requests.OfType<DecideCallsRequest>());
    }

    [Theory]
    [InlineData("y\r", true)]
    [InlineData("YES\n", true)]
    [InlineData("\r", false)]
    [InlineData("ny\r", false)]
    [InlineData("nx\x7f\x7fy\r", true)]
    public async Task On_a_terminal_the_person_is_asked_and_shown_everything_that_a_terminal_would_hide(string typed, bool yes)
    {
        await using var server = await ScriptedServer.Start();
        var decided = new TaskCompletionSource<DecideCallsRequest>();
        server.Decided = decided.SetResult;
        server.Does(async (stream, _) =>
        {
            foreach (var said in new[] { Say.Run(Waits(server, Write)), Say.Answer(1, "I write.", Write) }) await stream.WriteAsync(said);
            await decided.Task;
            await stream.WriteAsync(Say.Done(RunStatus.Completed, "Done"));
        });
        var keyboard = new ScriptedKeyboard().Type(typed);
        var screen = new Screen(inIsTerminal: true, outIsTerminal: true, errorIsTerminal: true, keyboard: keyboard);

        await Watch(server, screen);

        var request = await decided.Task;
        Assert.Equal((yes, "c1"), (request.Yes, request.Call));
        Assert.StartsWith("  files.write\n    path: a.txt\n    content:\n      one\n      two^[[2J\\u202e\nAllow it? [y/N] ", screen.Error);
        Assert.False(keyboard.IsOpen);
    }

    [Fact]
    public async Task An_answer_given_elsewhere_ends_the_question_and_the_next_one_is_asked()
    {
        await using var server = await ScriptedServer.Start();
        var keyboard = new ScriptedKeyboard();
        var screen = new Screen(inIsTerminal: true, errorIsTerminal: true, keyboard: keyboard);
        var decided = new TaskCompletionSource<DecideCallsRequest>();
        server.Decided = decided.SetResult;
        server.Does(async (stream, _) =>
        {
            foreach (var said in new[] { Say.Run(Waits(server, Write, Run)), Say.Answer(1, "", Write, Run) }) await stream.WriteAsync(said);
            await stream.WriteAsync(new WatchRunResponse { Changed = Waits(server, Run) });
            await screen.ErrorSays("elsewhere");
            keyboard.Type("y\r");
            await decided.Task;
            await stream.WriteAsync(Say.Done(RunStatus.Completed, "Done"));
        });

        await Watch(server, screen);

        Assert.Equal("c2", (await decided.Task).Call);
        Assert.Contains("It was answered elsewhere\n  workspace.run\n", screen.Error);
    }

    [Fact]
    public async Task A_terminal_that_goes_away_is_no_answer()
    {
        await using var server = await ScriptedServer.Start();
        server.Does(async (stream, context) =>
        {
            foreach (var said in new[] { Say.Run(Waits(server, Write)), Say.Answer(1, "", Write) }) await stream.WriteAsync(said);
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
        });
        var screen = new Screen(inIsTerminal: true, errorIsTerminal: true, keyboard: new ScriptedKeyboard().HangUp());
        Assert.Equal("A tool call waits for a person's yes", (await Assert.ThrowsAsync<Failure>(() => Watch(server, screen))).What);
        Assert.Empty(server.Requests.OfType<DecideCallsRequest>());
    }

    [Fact]
    public void A_long_argument_says_how_much_of_it_is_not_shown()
    {
        var lines = CallTexts.Whole(Say.Call(1, "workspace.run", $$"""{"command":"{{new string('x', 5000)}}","a":[1,2]}""")).ToList();
        Assert.Equal(["  workspace.run", $"    command: {new string('x', 2000)}", "      ... and 3000 more characters: `stigmer runs get` shows all", "    a: [1,2]"], lines);
    }

    static Run Waits(ScriptedServer server, params ToolCall[] calls)
    {
        var run = server.Run.Clone();
        run.Status = RunStatus.Waiting;
        run.WaitingFor = "a yes";
        run.WaitingCalls.AddRange(calls.Select(call => new WaitingCall { Turn = 1, Step = 1, Call = call }));
        return run;
    }

    static async Task<int> Watch(ScriptedServer server, Screen screen)
    {
        using var link = server.Link();
        return await RunsWatch.Watch(link, "last", screen.Terminal, TestContext.Current.CancellationToken);
    }
}
