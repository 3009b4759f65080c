using Grpc.Core;
using Stigmer.Commands;
using Stigmer.Rpc.V1;

namespace Stigmer.Tests.Commands;

public class RunTests
{
    static readonly ToolCall List = Say.Call(1, "workspace.list", """{"path":"."}""");

    [Fact]
    public async Task Json_events_are_one_a_line_in_the_order_of_the_run()
    {
        await using var server = await ScriptedServer.Start();
        server.Says(
            Say.Run(server.Run), Say.Prompt("What is here?"), Say.Text(1, "Let me "), Say.Text(1, "look"), Say.Answer(1, "Let me look", List),
            Say.Result(1, 1, "a.txt"), Say.Text(2, "Grüße"), Say.Retry(2, "the stream broke"), Say.Text(2, "One file"), Say.Answer(2, "One file"),
            Say.Done(RunStatus.Completed, "One file"));
        var screen = new Screen(json: true);

        Assert.Equal(ExitCode.Done, await Start(server, screen));

        Assert.Equal(
            $$$"""
            {"type":"run","id":"{{{server.Run.Id}}}","agent":"assistant"}
            {"type":"text","step":1,"text":"Let me "}
            {"type":"text","step":1,"text":"look"}
            {"type":"tool_call","step":1,"id":"c1","name":"workspace.list","arguments":{"path":"."}}
            {"type":"tool_result","step":1,"id":"c1","ok":true,"text":"a.txt"}
            {"type":"text","step":2,"text":"Gr\u00FC\u00DFe"}
            {"type":"retry","step":2,"why":"the stream broke"}
            {"type":"text","step":2,"text":"One file"}
            {"type":"done","status":"completed","output":"One file","steps":2,"usage":{"inputTokens":100,"outputTokens":20},"error":null,"limit":null}

            """,
            screen.Out);
        Assert.Equal("", screen.Error);
    }

    [Fact]
    public async Task On_a_terminal_text_streams_and_each_tool_call_is_a_line_of_its_own()
    {
        await using var server = await ScriptedServer.Start();
        server.Says(
            Say.Run(server.Run), Say.Text(1, "Let me look"), Say.Answer(1, "Let me look", List), Say.Result(1, 1, "a.txt"),
            Say.Text(2, "One "), Say.Text(2, "file"), Say.Answer(2, "One file"), Say.Done(RunStatus.Completed, "One file"));
        var screen = new Screen(outIsTerminal: true, errorIsTerminal: true);

        Assert.Equal(ExitCode.Done, await Start(server, screen));

        Assert.Equal("Let me look\nOne file\n", screen.Out);
        Assert.Equal("  workspace.list {\"path\":\".\"} (12 ms)\nrun aaaaaaaa: 2 steps, 120 tokens, 2.5 s\n", screen.Error);
    }

    [Fact]
    public async Task Into_a_pipe_goes_the_final_steps_text_alone()
    {
        await using var server = await ScriptedServer.Start();
        server.Says(
            Say.Run(server.Run), Say.Text(1, "Let me look"), Say.Answer(1, "Let me look", List), Say.Result(1, 1, "no such folder", ok: false),
            Say.Text(2, "Nothing"), Say.Answer(2, "Nothing"), Say.Done(RunStatus.Completed, "Nothing"));
        var screen = new Screen();

        Assert.Equal(ExitCode.Done, await Start(server, screen));

        Assert.Equal("Nothing\n", screen.Out);
        Assert.Equal("  workspace.list {\"path\":\".\"} (12 ms) ✗ no such folder\n", screen.Error);
    }

    [Fact]
    public async Task What_a_terminal_would_obey_is_made_visible_on_it_and_left_alone_elsewhere()
    {
        foreach (var (terminal, expected) in new[] { (true, "^[]0;pwned^G\n"), (false, "\e]0;pwned\a\n") })
        {
            await using var server = await ScriptedServer.Start();
            server.Says(Say.Run(server.Run), Say.Text(1, "\e]0;pw"), Say.Text(1, "ned\a"), Say.Answer(1, "\e]0;pwned\a"), Say.Done(RunStatus.Completed, "\e]0;pwned\a"));
            var screen = new Screen(outIsTerminal: terminal);
            await Start(server, screen);
            Assert.Equal(expected, screen.Out);
        }
    }

    [Fact]
    public async Task After_a_restart_that_begins_the_text_again_nothing_is_shown_twice()
    {
        await using var server = await ScriptedServer.Start();
        server
            .Says(Say.Run(server.Run), Say.Answer(1, "", List), Say.Result(1, 1, "a.txt"), Say.Text(2, "One "))
            .SaysAndBreaks(Say.Run(server.Run), Say.Result(1, 1, "a.txt"), Say.Text(2, "On"), Say.Text(2, "e fi"))
            .Says(Say.Run(server.Run), Say.Text(2, "One file"), Say.Answer(2, "One file"), Say.Done(RunStatus.Completed, "One file"));
        var screen = new Screen(outIsTerminal: true);

        Assert.Equal(ExitCode.Done, await Start(server, screen));

        Assert.Equal("One file\n", screen.Out);
        Assert.Single(screen.Error.Split('\n'), l => l.Contains("workspace.list"));
        Assert.Equal([0, 1, 1], server.Requests.OfType<WatchRunRequest>().Select(r => r.AfterStep));
    }

    [Fact]
    public async Task After_a_restart_that_continues_in_the_middle_of_the_text_the_rest_comes_with_the_whole_answer()
    {
        await using var server = await ScriptedServer.Start();
        server
            .Says(Say.Run(server.Run), Say.Text(1, "One "))
            .Says(Say.Run(server.Run), Say.Text(1, "le in all"), Say.Answer(1, "One file in all"), Say.Done(RunStatus.Completed, "One file in all"));
        var screen = new Screen(outIsTerminal: true);

        Assert.Equal(ExitCode.Done, await Start(server, screen));

        Assert.Equal("One file in all\n", screen.Out);
    }

    [Theory]
    [InlineData("One file", "One file\n", "")]
    [InlineData("No file", "One \nNo file\n", "  begun anew: the stream broke\n")]
    public async Task Text_that_begins_anew_is_told_on_a_terminal_only_where_it_differs(string again, string shown, string noted)
    {
        await using var server = await ScriptedServer.Start();
        server.Says(
            Say.Run(server.Run), Say.Text(1, "One "), Say.Retry(1, "the stream broke"), Say.Text(1, again[..2]), Say.Text(1, again[2..]), Say.Answer(1, again),
            Say.Done(RunStatus.Completed, again));
        var screen = new Screen(outIsTerminal: true);

        Assert.Equal(ExitCode.Done, await Start(server, screen));

        Assert.Equal((shown, noted), (screen.Out, screen.Error));
    }

    [Fact]
    public async Task Into_a_pipe_that_a_call_is_made_again_is_told_at_once_for_nothing_of_its_text_was_shown()
    {
        await using var server = await ScriptedServer.Start();
        server.Says(
            Say.Run(server.Run), Say.Text(1, "One "), Say.Retry(1, "the stream broke"), Say.Text(1, "One file"), Say.Answer(1, "One file"),
            Say.Done(RunStatus.Completed, "One file"));
        var screen = new Screen();

        Assert.Equal(ExitCode.Done, await Start(server, screen));

        Assert.Equal(("One file\n", "  begun anew: the stream broke\n"), (screen.Out, screen.Error));
    }

    [Fact]
    public async Task Results_that_come_out_of_order_around_a_restart_are_each_told_once()
    {
        await using var server = await ScriptedServer.Start();
        var second = Say.Call(2, "workspace.read", """{"path":"b"}""");
        server
            .Says(Say.Run(server.Run), Say.Answer(1, "", List, second), Say.Result(1, 2, "b"))
            .Says(Say.Run(server.Run), Say.Result(1, 1, "a"), Say.Result(1, 2, "b"), Say.Done(RunStatus.Completed, ""));
        var screen = new Screen(json: true);

        await Start(server, screen);

        Assert.Equal(["c2", "c1"], screen.Out.Split('\n').Where(l => l.Contains("tool_result")).Select(l => l.Split("\"id\":\"")[1][..2]));
    }

    [Fact]
    public async Task An_answer_that_is_not_the_one_that_was_shown_is_told_anew()
    {
        await using var server = await ScriptedServer.Start();
        server.Says(Say.Run(server.Run), Say.Text(1, "Perhaps"), Say.Answer(1, "Certainly"), Say.Done(RunStatus.Completed, "Certainly"));
        var screen = new Screen(json: true);

        await Start(server, screen);

        var types = screen.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Split('"')[3]);
        Assert.Equal(["run", "text", "retry", "text", "done"], types);
    }

    [Fact]
    public async Task Detached_it_prints_the_id_and_leaves()
    {
        await using var server = await ScriptedServer.Start();
        var screen = new Screen();
        Assert.Equal(ExitCode.Done, await Start(server, screen, detach: true));
        Assert.Equal(server.Run.Id + "\n", screen.Out);

        var json = new Screen(json: true);
        Assert.Equal(ExitCode.Done, await Start(server, json, detach: true));
        Assert.Equal($$"""{"type":"run","id":"{{server.Run.Id}}","agent":"assistant"}""" + "\n", json.Out);
    }

    [Fact]
    public async Task A_failed_run_fails_with_its_own_words_and_leaves_a_pipe_empty()
    {
        await using var server = await ScriptedServer.Start();
        var error = new Error { What = "Ollama does not answer", Why = "connection refused", Remedy = "`ollama serve` starts it" };
        server.Says(Say.Run(server.Run), Say.Text(1, "Half"), Say.Done(RunStatus.Failed, "", error));
        var screen = new Screen();

        var failure = await Assert.ThrowsAsync<Failure>(() => Start(server, screen));

        Assert.Equal(("Ollama does not answer", "connection refused", "`ollama serve` starts it", ExitCode.Failed), (failure.What, failure.Why, failure.Remedy, failure.ExitCode));
        Assert.Equal("", screen.Out);
    }

    [Fact]
    public async Task A_failed_run_in_json_is_a_done_event_and_exit_1()
    {
        await using var server = await ScriptedServer.Start();
        server.Says(Say.Run(server.Run), Say.Done(RunStatus.Failed, "", new Error { What = "It broke" }));
        var screen = new Screen(json: true);

        Assert.Equal(ExitCode.Failed, await Start(server, screen));

        Assert.EndsWith(
            """{"type":"done","status":"failed","output":"","steps":2,"usage":{"inputTokens":100,"outputTokens":20},"error":{"what":"It broke","why":null,"remedy":null},"limit":null}""" + "\n",
            screen.Out);
    }

    [Theory]
    [InlineData("Cancelled", "")]
    [InlineData("TimedOut", "")]
    [InlineData("LimitReached", "max_steps")]
    public async Task Any_other_end_is_exit_1(string status, string limit)
    {
        await using var server = await ScriptedServer.Start();
        server.Says(Say.Run(server.Run), Say.Done(Enum.Parse<RunStatus>(status), "part", limit: limit));
        var failure = await Assert.ThrowsAsync<Failure>(() => Start(server, new Screen()));
        Assert.Equal(ExitCode.Failed, failure.ExitCode);
    }

    [Fact]
    public async Task Interrupting_cancels_the_run_and_shows_its_end()
    {
        await using var server = await ScriptedServer.Start();
        using var interrupt = new CancellationTokenSource();
        server
            .Does(async (stream, context) =>
            {
                await stream.WriteAsync(Say.Run(server.Run), context.CancellationToken);
                await interrupt.CancelAsync();
                await Task.Delay(Timeout.Infinite, context.CancellationToken);
            })
            .Says(Say.Run(server.Run), Say.Done(RunStatus.Cancelled, ""));
        var screen = new Screen(json: true);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Start(server, screen, cancel: interrupt.Token));

        Assert.Single(server.Requests.OfType<CancelRunRequest>(), r => r.Run == server.Run.Id && r.Key.Length == 32);
        Assert.Contains("\"status\":\"cancelled\"", screen.Out);
    }

    [Fact]
    public async Task A_run_that_completes_while_it_is_interrupted_is_completed()
    {
        await using var server = await ScriptedServer.Start();
        using var interrupt = new CancellationTokenSource();
        server
            .Does(async (stream, context) =>
            {
                await stream.WriteAsync(Say.Run(server.Run), context.CancellationToken);
                server.Refusals.Enqueue(new Status(StatusCode.FailedPrecondition, "Run aaaaaaaa has ended already: completed"));
                await interrupt.CancelAsync();
                await Task.Delay(Timeout.Infinite, context.CancellationToken);
            })
            .Says(Say.Run(server.Run), Say.Answer(1, "Done"), Say.Done(RunStatus.Completed, "Done"));
        var screen = new Screen();

        Assert.Equal(ExitCode.Done, await Start(server, screen, cancel: interrupt.Token));
        Assert.Equal("Done\n", screen.Out);
        Assert.Equal("", screen.Error);
    }

    [Fact]
    public async Task A_start_that_the_server_missed_is_asked_for_again_with_the_same_id()
    {
        await using var server = await ScriptedServer.Start();
        server.Refusals.Enqueue(new Status(StatusCode.Unavailable, "restarting"));
        await Start(server, new Screen(), detach: true);
        Assert.Single(server.Requests.OfType<StartRunRequest>().Select(r => r.RunId).Distinct());
        Assert.Equal(2, server.Requests.Count);
    }

    [Fact]
    public async Task A_server_that_refuses_is_not_asked_again()
    {
        await using var server = await ScriptedServer.Start();
        server.Refusals.Enqueue(new Status(StatusCode.NotFound, "There is no agent \"x\""));
        var e = await Assert.ThrowsAsync<RpcException>(() => Start(server, new Screen(), detach: true));
        var failure = Failures.From(e);
        Assert.Equal(("There is no agent \"x\"", ExitCode.Failed), (failure.What, failure.ExitCode));
    }

    [Fact]
    public async Task A_resumed_run_shows_only_what_is_new()
    {
        await using var server = await ScriptedServer.Start();
        server.Transcript.AddRange([Say.Prompt("p").Entry, Say.Answer(1, "Let me look", List).Entry]);
        server.Says(Say.Run(server.Run), Say.Result(1, 1, "a.txt"), Say.Answer(2, "One file"), Say.Done(RunStatus.Completed, "One file"));
        var screen = new Screen(outIsTerminal: true);

        using var link = server.Link();
        Assert.Equal(ExitCode.Done, await RunsResume.Resume(link, "last", screen.Terminal, TestContext.Current.CancellationToken));

        Assert.Equal("One file\n", screen.Out);
        Assert.Equal("  workspace.list {\"path\":\".\"} (12 ms)\n", screen.Error);
        Assert.Equal(1, server.Requests.OfType<WatchRunRequest>().Single().AfterStep);
    }

    static async Task<int> Start(ScriptedServer server, Screen screen, bool detach = false, CancellationToken? cancel = null)
    {
        using var link = server.Link();
        var request = new StartRunRequest { RunId = new string('a', 32), Prompt = "What is here?" };
        return await RunCommand.Start(link, request, detach, screen.Terminal, cancel ?? TestContext.Current.CancellationToken);
    }
}
