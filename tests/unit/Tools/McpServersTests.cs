using System.Globalization;
using Microsoft.Extensions.Time.Testing;
using Stigmer.Agents.Tools;
using Stigmer.Agents.Tools.Mcp;
using Stigmer.Config;
using Stigmer.Processes;
using Stigmer.Rpc.V1;

namespace Stigmer.Tests.Tools;

public sealed class McpServersTests : IAsyncDisposable
{
    readonly string top = Directory.CreateTempSubdirectory("stigmer-mcp-").FullName;
    readonly Dictionary<string, string> environment = new() { ["PATH"] = "/usr/bin:/bin", ["HOME"] = "/h", ["TOKEN"] = "the secret", ["OTHER"] = "x" };
    readonly FakeTimeProvider time = new();
    readonly Log log = new("test", TextWriter.Null, TimeProvider.System);
    readonly ToolProcesses processes;
    readonly McpServers servers;
    readonly RunSpec spec;

    public McpServersTests()
    {
        Directory.CreateDirectory(Path.Combine(top, "run"));
        Directory.CreateDirectory(Path.Combine(top, "work"));
        processes = new ToolProcesses(new StigmerHome(top), log, time);
        servers = new McpServers(name => environment.GetValueOrDefault(name), processes, log, time);
        spec = new RunSpec { RunId = "r", Workspace = Path.Combine(top, "work"), McpServers = { Standin("s") } };
    }

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    string Journal => File.ReadAllText(Path.Combine(top, "journal"));

    Stigmer.Rpc.V1.McpServer Standin(string name) => new()
    {
        Name = name,
        Command = Path.Combine(AppContext.BaseDirectory, "Stigmer.Standins"),
        Args = { "mcp", Path.Combine(top, "journal") },
        Env = { ["GIVEN"] = "<${TOKEN}>", ["DOTNET_ROOT"] = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(typeof(object).Assembly.Location)!, "..", "..", "..")) },
    };

    public async ValueTask DisposeAsync()
    {
        await servers.DisposeAsync();
        Directory.Delete(top, recursive: true);
    }

    async Task<ToolOutcome> Call(string tool, string arguments = "{}", CancellationToken? cancel = null) =>
        Assert.IsType<ToolOutcome>(await servers.Call(spec, 1, $"s.{tool}", arguments, cancel ?? Cancel));

    async Task<ProcessIdentity> Spawned() =>
        Assert.IsType<ProcessIdentity>(ProcessIdentity.Of(int.Parse((await Call("spawn")).Text, CultureInfo.InvariantCulture)));

    [Fact]
    public async Task The_tools_of_all_servers_are_offered_as_the_rules_let_through_and_one_that_does_not_start_is_told_of()
    {
        spec.McpServers.Add(new Stigmer.Rpc.V1.McpServer { Name = "absent", Command = "nowhere-at-all" });
        var offer = await servers.Open(spec, 1, name => name is "s.echo" or "s.big", Cancel);
        Assert.Equal([("s.echo", "Does echo"), ("s.big", "Does big")], offer.Tools.Select(tool => (tool.Name, tool.Description)));
        Assert.Contains("\"object\"", offer.Tools[0].Schema, StringComparison.Ordinal);
        Assert.Contains("there is no nowhere-at-all on the PATH", Assert.Single(offer.Notes), StringComparison.Ordinal);
        Assert.Null(await servers.Call(spec, 1, "workspace.read", "{}", Cancel));
    }

    [Fact]
    public async Task A_server_works_in_the_workspace_and_knows_what_its_file_gives_it_and_no_more()
    {
        Assert.Equal(spec.Workspace, (await Call("folder")).Text);
        Assert.Equal("DOTNET_ROOT\nGIVEN\nHOME\nPATH", (await Call("environment")).Text);
    }

    [Fact]
    public async Task A_variable_that_is_not_set_fails_by_name_before_anything_starts_and_later_is_a_result()
    {
        environment.Remove("TOKEN");
        var failure = await Assert.ThrowsAsync<Failure>(() => servers.Open(spec, 1, _ => true, Cancel));
        Assert.Equal("TOKEN is not set", failure.What);
        Assert.Contains("stigmer local restart", failure.Remedy, StringComparison.Ordinal);
        var outcome = await Call("echo");
        Assert.False(outcome.Ok);
        Assert.Contains("TOKEN is not set", outcome.Text, StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(top, "journal")));
    }

    [Fact]
    public async Task One_server_serves_all_calls_of_a_run_and_one_that_died_is_started_anew_and_has_forgotten()
    {
        await Call("remember", """{"text":"blue"}""");
        Assert.Equal("blue", (await Call("recall")).Text);
        var outcome = await Call("die");
        Assert.False(outcome.Ok);
        Assert.Contains("whether it took effect is unknown: it ended with exit code 3 and said last:\nthe stand-in is here\nit was too much", outcome.Text, StringComparison.Ordinal);
        Assert.Equal("(The server s was started anew since it was last called: what it kept in memory is gone.)\n(it answered without any content)", (await Call("recall")).Text);
        Assert.Equal("(it answered without any content)", (await Call("recall")).Text);
        Assert.Equal(2, Journal.Split('\n').Count(line => line.StartsWith("start", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task A_call_that_is_cancelled_is_told_to_the_server_which_lives_on()
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Cancel);
        var hanging = Call("hang", cancel: stop.Token);
        while (!File.Exists(Path.Combine(top, "journal")) || !Journal.Contains("call hang", StringComparison.Ordinal)) await Task.Delay(5, Cancel);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => hanging);
        Assert.Equal("hello", (await Call("echo", """{"text":"hello"}""")).Text);
        Assert.Contains("cancelled\n", Journal, StringComparison.Ordinal);
        Assert.Single(Journal.Split('\n'), line => line.StartsWith("start", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Results_are_bounded_and_what_is_no_text_is_described()
    {
        var big = (await Call("big", """{"bytes":1000000}""")).Text;
        Assert.Contains("[… 936000 characters in the middle of 1000000 are not shown …]", big, StringComparison.Ordinal);
        Assert.Equal(64_000, big.Count(c => c == 'x'));
        Assert.Equal(new ToolOutcome(true, "[an image: image/png, 6 bytes; it cannot be shown]"), await Call("picture"));
        Assert.Equal(new ToolOutcome(false, "it cannot be done"), await Call("fail"));
        Assert.Contains("not a JSON object", (await Call("echo", "nonsense")).Text, StringComparison.Ordinal);
        Assert.Equal(1_000_000, (await Call("echo", $$"""{"text":"{{new string('y', 1_000_000)}}"}""")).Text is { } echo ? int.Parse(echo.Split(" of ")[1].Split(' ')[0], CultureInfo.InvariantCulture) : 0);
    }

    [Fact]
    public async Task The_servers_of_a_run_live_five_minutes_beyond_its_turn_and_end_with_all_that_they_started()
    {
        var spawned = await Spawned();
        servers.TurnEnded("r", 1);
        time.Advance(McpServers.Rest - TimeSpan.FromSeconds(1));
        await Call("remember", """{"text":"red"}""");
        servers.TurnEnded("r", 1);
        time.Advance(McpServers.Rest - TimeSpan.FromSeconds(1));
        Assert.True(spawned.IsAlive);
        time.Advance(TimeSpan.FromSeconds(1));
        await spawned.WaitForEnd(TimeProvider.System, Cancel);
        Assert.Contains("what it kept in memory is gone", (await Call("recall")).Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Of_many_runs_that_have_ended_the_servers_of_the_last_ones_live_on()
    {
        var spawned = await Spawned();
        servers.TurnEnded("r", 1);
        for (var i = 1; i <= McpServers.MostResting; i++)
        {
            Assert.True(spawned.IsAlive);
            var other = new RunSpec { RunId = $"other {i}", McpServers = { new Stigmer.Rpc.V1.McpServer { Name = "s", Url = "http://127.0.0.1:1/" } } };
            await servers.Call(other, 1, "s.echo", "{}", Cancel);
            servers.TurnEnded(other.RunId, 1);
        }
        await spawned.WaitForEnd(TimeProvider.System, Cancel);
        Assert.Contains("what it kept in memory is gone", (await Call("recall")).Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_servers_end_with_their_owner()
    {
        var spawned = await Spawned();
        await servers.DisposeAsync();
        Assert.False(spawned.IsAlive);
        Assert.DoesNotContain("pid", File.ReadAllText(new StigmerHome(top).Tools), StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_an_owner_left_whose_guardian_was_killed_too_is_ended_by_the_next()
    {
        if (!OperatingSystem.IsLinux()) return;
        // In the place of a guardian: a leader of a group that is killed alone, with two that it leaves behind.
        var left = Child.Start(new ChildSpec
        {
            Path = "/bin/sh", Arguments = ["-c", "sleep 1000 & echo $!; wait"], Environment = new Dictionary<string, string> { ["PATH"] = "/usr/bin:/bin" },
        });
        var leader = Assert.IsType<ProcessIdentity>(left.Identity);
        var session = LinuxProcessTable.SessionOf(left.Pid);
        var sleeper = Assert.IsType<ProcessIdentity>(ProcessIdentity.Of(int.Parse((await new StreamReader(left.Output).ReadLineAsync(Cancel))!, CultureInfo.InvariantCulture)));
        string Document(string home) => string.Create(
            CultureInfo.InvariantCulture,
            $$"""{"home":"{{home}}","processes":[{"run":"r","name":"s","pid":{{leader.Pid}},"start":{{leader.Start}},"boot":"{{leader.Boot}}","group":{{leader.Pid}},"session":{{session}}}],"called":[{"run":"r","server":"s"}]}""");

        File.WriteAllText(new StigmerHome(top).Tools, Document("/another"));
        await new ToolProcesses(new StigmerHome(top), log, TimeProvider.System).EndLeftovers(Cancel);
        Assert.True(sleeper.IsAlive);

        File.WriteAllText(new StigmerHome(top).Tools, Document(top));
        var next = new ToolProcesses(new StigmerHome(top), log, TimeProvider.System);
        await next.EndLeftovers(Cancel);
        Assert.False(sleeper.IsAlive);
        Assert.True(next.HasForgotten("r", "s"));
        Assert.False(next.HasForgotten("r", "s"));
    }

    [Fact]
    public async Task The_tools_have_one_owner_and_another_takes_over()
    {
        var home = new StigmerHome(top);
        var first = await WaitingLock.Take(home.ToolsLock, TimeProvider.System, Cancel);
        var second = WaitingLock.Take(home.ToolsLock, TimeProvider.System, Cancel);
        using var impatient = new CancellationTokenSource();
        var given = WaitingLock.Take(home.ToolsLock, TimeProvider.System, impatient.Token);
        await impatient.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => given);
        Assert.False(second.IsCompleted);
        first.Dispose();
        (await second).Dispose();
        (await WaitingLock.Take(home.ToolsLock, TimeProvider.System, Cancel)).Dispose();
    }
}
