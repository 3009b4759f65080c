using Stigmer.Commands;
using Stigmer.Rpc.V1;

namespace Stigmer.Tests.Commands;

public class RunsTests
{
    static readonly Run Finished = new()
    {
        Id = "0123456789abcdef0123456789abcdef", Agent = "assistant", Status = RunStatus.TimedOut, Prompt = "What?\nNow", StartedAt = 1768809600000,
        EndedAt = 1768809601500, Steps = 2, Usage = new Usage { InputTokens = 10, OutputTokens = 3 }, Engine = "embedded",
    };

    [Fact]
    public async Task The_list_is_one_document()
    {
        await using var server = await ScriptedServer.Start();
        server.Run = Finished;
        var screen = new Screen(json: true);
        using var link = server.Link();
        await RunsList.List(link, new ListRunsRequest(), screen.Terminal, TestContext.Current.CancellationToken);
        Assert.Equal(
            """{"runs":[{"id":"0123456789abcdef0123456789abcdef","agent":"assistant","status":"timed_out","prompt":"What?\nNow","startedAt":"2026-01-19T08:00:00Z","endedAt":"2026-01-19T08:00:01Z","steps":2,"usage":{"inputTokens":10,"outputTokens":3},"engine":"embedded"}]}""" + "\n",
            screen.Out);
    }

    [Fact]
    public async Task What_is_not_known_is_null_and_not_absent()
    {
        await using var server = await ScriptedServer.Start();
        server.Run = new Run { Id = Finished.Id, Agent = "assistant", Status = RunStatus.Queued, Prompt = "p" };
        server.Transcript.AddRange(
        [
            Say.Prompt("p").Entry, Say.Answer(1, "Look", Say.Call(1, "workspace.read", "no json")).Entry, Say.Result(1, 1, "gone", ok: false).Entry,
        ]);
        var screen = new Screen(json: true);
        using var link = server.Link();
        await RunsGet.Get(link, "last", screen.Terminal, TestContext.Current.CancellationToken);
        Assert.Equal(
            """{"id":"0123456789abcdef0123456789abcdef","agent":"assistant","status":"queued","prompt":"p","startedAt":null,"endedAt":null,"steps":0,"usage":{"inputTokens":0,"outputTokens":0},"engine":null,"transcript":[{"turn":1,"step":1,"role":"user","text":"p","calls":[],"results":[],"notes":[],"shortened":[],"tools":null,"provider":null,"model":null,"usage":null,"workedMs":0},{"turn":1,"step":1,"role":"assistant","text":"Look","calls":[{"id":"c1","name":"workspace.read","arguments":"no json","needsApproval":false}],"results":[{"id":"c1","ok":false,"text":"gone","kind":"ran","workedMs":12,"begunBefore":false}],"notes":[],"shortened":[],"tools":null,"provider":null,"model":null,"usage":{"inputTokens":0,"outputTokens":0},"workedMs":0}],"waitingFor":null,"error":null,"limit":null,"output":null}""" + "\n",
            screen.Out);
    }

    [Fact]
    public async Task A_person_sees_a_table_and_a_transcript()
    {
        await using var server = await ScriptedServer.Start();
        server.Run = Finished;
        server.Transcript.AddRange([Say.Prompt("What?\nNow").Entry, Say.Answer(1, "A file", Say.Call(1, "workspace.list", "{}")).Entry, Say.Result(1, 1, "a").Entry]);
        using var link = server.Link();

        var table = new Screen(outIsTerminal: true);
        await RunsList.List(link, new ListRunsRequest(), table.Terminal, TestContext.Current.CancellationToken);
        Assert.Matches("^ID            STATUS         STARTED           STEPS  PROMPT\n0123456789ab  timed_out      2026-01-1. ..:..      2  What\\? Now\n$", table.Out);

        var transcript = new Screen(outIsTerminal: true);
        await RunsGet.Get(link, "last", transcript.Terminal, TestContext.Current.CancellationToken);
        Assert.EndsWith("\n\n> What?\n> Now\n\nA file\n  workspace.list {} (ok, 12 ms)\n    a\n", transcript.Out);
    }

    [Fact]
    public async Task Watching_the_last_run_stays_with_it_when_another_one_begins()
    {
        await using var server = await ScriptedServer.Start();
        server.Says(Say.Run(server.Run)).Says(Say.Run(server.Run), Say.Done(RunStatus.Completed, "x"));
        using var link = server.Link();
        Assert.Equal(ExitCode.Done, await RunsWatch.Watch(link, "last", new Screen().Terminal, TestContext.Current.CancellationToken));
        Assert.Equal(["last", server.Run.Id], server.Requests.OfType<WatchRunRequest>().Select(r => r.Run));
    }

    [Fact]
    public async Task Cancelling_says_what_became_of_the_run()
    {
        await using var server = await ScriptedServer.Start();
        server.Run.Status = RunStatus.Cancelled;
        var screen = new Screen();
        using var link = server.Link();
        Assert.Equal(ExitCode.Done, await RunsCancel.Cancel(link, "aaaa", screen.Terminal, TestContext.Current.CancellationToken));
        Assert.Equal($"✓ Run {server.Run.Id} is cancelled\n", screen.Out);
        Assert.Equal(32, server.Requests.OfType<CancelRunRequest>().Single().Key.Length);
    }

    [Theory]
    [InlineData("LAST", "last")]
    [InlineData("0AbC", "0abc")]
    public void An_id_is_taken_in_any_case(string typed, string id) => Assert.Equal(id, Runs.Id(typed));

    [Theory]
    [InlineData("")]
    [InlineData("latest")]
    [InlineData("0123456789abcdef0123456789abcdef0")]
    public void What_cannot_be_an_id_is_an_unknown_run(string typed) => Assert.Equal(ExitCode.Failed, Assert.Throws<Failure>(() => Runs.Id(typed)).ExitCode);

    [Fact]
    public async Task What_is_sent_is_followed_from_the_turn_that_reads_it()
    {
        await using var server = await ScriptedServer.Start();
        server.Says(Say.Run(server.Run), Say.Text(1, "And this", turn: 2)).Says(Say.Run(server.Run), Say.Text(1, "And this", turn: 2), Say.Done(RunStatus.Completed, "And this"));
        var screen = new Screen(outIsTerminal: true);
        using var link = server.Link();
        Assert.Equal(ExitCode.Done, await RunsSend.Send(link, "last", "And?", screen.Terminal, TestContext.Current.CancellationToken));
        Assert.Equal("And this\n", screen.Out);
        Assert.Equal(("last", "And?"), server.Requests.OfType<SendMessageRequest>().Select(r => (r.Run, r.Text)).Single());
        Assert.All(server.Requests.OfType<WatchRunRequest>(), r => Assert.Equal((server.Run.Id, 2, 2L), (r.Run, r.FromTurn, r.AfterMessage)));
    }

    [Fact]
    public async Task A_decision_says_what_was_decided()
    {
        await using var server = await ScriptedServer.Start();
        server.Run.WaitingCalls.Add(new WaitingCall { Turn = 1, Step = 3, Call = Say.Call(1, "files.write", """{"path":"a\nb"}""") });
        using var link = server.Link();
        var screen = new Screen();
        await RunsDecide.Decide(link, new DecideCallsRequest { Run = "last", Yes = true }, screen.Terminal, TestContext.Current.CancellationToken);
        Assert.Equal("✓ Approved files.write {\"path\":\"a\\nb\"}\n", screen.Out);

        var json = new Screen(json: true);
        await RunsDecide.Decide(link, new DecideCallsRequest { Run = "last", Reason = "no" }, json.Terminal, TestContext.Current.CancellationToken);
        Assert.Equal($$"""{"id":"{{server.Run.Id}}","status":"running","decided":[{"turn":1,"step":3,"id":"c1","name":"files.write","arguments":{"path":"a\nb"},"approved":false}]}""" + "\n", json.Out);
    }
}
