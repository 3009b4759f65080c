using Stigmer.Config;
using Stigmer.EndToEnd.Harness;
using Stigmer.Runtime.Control;
using StartOrder = Stigmer.Runtime.StartOrder;

namespace Stigmer.EndToEnd;

/// <summary>What the daemon does about components, commands and files that are not as they should be.</summary>
public class SupervisionTests
{
    [Fact]
    public async Task A_component_that_cannot_stay_alive_is_given_up_and_told_and_a_restart_clears_it()
    {
        await using var stack = await Stack.Start();
        var server = await stack.Pid("stigmer-server");
        var killed = new HashSet<int>();
        while (killed.Count < 5)
        {
            var runner = Component(await stack.Status(), "agent-runner");
            if (runner.GetProperty("pid").ValueKind != System.Text.Json.JsonValueKind.Null && killed.Add(runner.GetProperty("pid").GetInt32())) Running.Kill(killed.Last(), 9);
        }
        System.Text.Json.JsonElement failed;
        do failed = Component(await stack.Status(), "agent-runner");
        while (failed.GetProperty("state").GetString() != "failed");
        Assert.Equal(4, failed.GetProperty("restarts").GetInt32());
        Assert.Contains("signal 9 (KILL)", failed.GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.Contains("INFO  agent-runner  started", failed.GetProperty("detail").GetString(), StringComparison.Ordinal);
        // The others are left running.
        Assert.Equal(server, await stack.Pid("stigmer-server"));
        Assert.Contains("failed", (await stack.Run("local", "status")).Exits(1).Out, StringComparison.Ordinal);
        Assert.Contains("signal 9 (KILL)", (await stack.Run("local")).Exits(0).Error, StringComparison.Ordinal);
        (await stack.Run("local", "restart")).Exits(0);
        (await stack.Run("local", "status")).Exits(0);
    }

    [Fact]
    public async Task A_daemon_that_was_stopped_is_running_and_unhealthy_and_a_stop_gets_rid_of_it_and_its_children()
    {
        await using var stack = await Stack.Start();
        var daemon = (await stack.Status()).GetProperty("pid").GetInt32();
        // Nobody can be misled by what the file says: the system knows who holds the lock.
        await File.WriteAllTextAsync(Path.Combine(stack.Home, "run", "daemon.pid"), "1", TestContext.Current.CancellationToken);
        Running.Kill(daemon, 19);
        var status = (await stack.Run("local", "status", "--json")).Exits(1).Json;
        Assert.True(status.GetProperty("running").GetBoolean() && !status.GetProperty("ready").GetBoolean());
        Assert.Equal(daemon, status.GetProperty("pid").GetInt32());
        (await stack.Run("local", "stop")).Exits(0);
        Assert.Empty(stack.Processes());
    }

    [Fact]
    public async Task A_control_socket_that_was_removed_is_made_again()
    {
        await using var stack = await Stack.Start();
        File.Delete(Path.Combine(stack.Home, "run", "control.sock"));
        (await stack.Run("local", "status")).Exits(0);
    }

    [Fact]
    public async Task A_stack_whose_home_is_removed_ends()
    {
        await using var stack = await Stack.Start();
        var config = await File.ReadAllTextAsync(Path.Combine(stack.Home, "config.yaml"), TestContext.Current.CancellationToken);
        Directory.Delete(stack.Home, recursive: true);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(50));
        // Of the end of processes that are no children of this one there is no event.
        while (stack.Processes().Count > 0) await Task.Delay(50, limit.Token);
        Assert.False(Directory.Exists(stack.Home));
        Directory.CreateDirectory(stack.Home);
        stack.Configure(config);
        (await stack.Run("local")).Exits(0);
    }

    [Fact]
    public async Task Whatever_stands_where_state_files_should_no_start_is_blocked_and_no_stranger_harmed()
    {
        await using var stack = Stack.Create();
        var run = Path.Combine(stack.Home, "run");
        Directory.CreateDirectory(run);
        File.SetUnixFileMode(run, (UnixFileMode)0b111_101_101);
        foreach (var folder in (string[])["daemon.lock", "daemon.pid", "control.sock/x", "children.json", "token"]) Directory.CreateDirectory(Path.Combine(run, folder));
        await File.WriteAllTextAsync(Path.Combine(stack.Home, "temporal.pid"), Environment.ProcessId.ToString(System.Globalization.CultureInfo.InvariantCulture), TestContext.Current.CancellationToken);
        (await stack.Run("local")).Exits(0);
        Assert.Equal((UnixFileMode)0b111_000_000, File.GetUnixFileMode(run));
        (await stack.Run("local", "stop")).Exits(0);
        foreach (var file in (string[])["daemon.lock", "daemon.pid", "control.sock", "children.json", "token"]) await File.WriteAllTextAsync(Path.Combine(run, file), "\u0001{\"pid\":", TestContext.Current.CancellationToken);
        (await stack.Run("local")).Exits(0);
        (await stack.Run("local", "status")).Exits(0);
    }

    [Fact]
    public async Task Many_starts_at_once_are_one_start_and_many_stops_one_stop()
    {
        await using var stack = Stack.Create();
        await Task.WhenAll(Enumerable.Range(0, 8).Select(async _ => (await stack.Run("local")).Exits(0)));
        Assert.Equal(3, stack.Processes().Count);
        await Task.WhenAll(Enumerable.Range(0, 8).Select(async _ => (await stack.Run("local", "stop")).Exits(0)));
        Assert.Empty(stack.Processes());
    }

    [Theory]
    [InlineData("stop", 3)]
    [InlineData("start", 0)]
    public async Task Of_starts_and_stops_at_once_the_one_that_was_given_last_has_the_last_word(string last, int status)
    {
        await using var stack = Stack.Create();
        Directory.CreateDirectory(Path.Combine(stack.Home, "run"));
        var given = new List<Running>();
        for (var i = 0; i < 10; i++) given.Add(stack.Begin("local", i % 2 == (last == "stop" ? 1 : 0) ? "stop" : "start").Input(""));
        foreach (var command in given)
        {
            var ended = await command.End();
            if (ended.ExitCode != 0) Assert.Contains("✗ The start was stopped\n", ended.Exits(1).Error, StringComparison.Ordinal);
            await command.DisposeAsync();
        }
        (await stack.Run("local", "status")).Exits(status);
        Assert.Equal(status == 0 ? 3 : 0, stack.Processes().Count);
    }

    [Theory]
    [InlineData(2, 130)]
    [InlineData(15, 143)]
    [InlineData(9, 137)]
    public async Task A_start_whose_launcher_is_killed_is_undone(int signal, int code)
    {
        await using var stack = Stack.Create();
        await using var launcher = stack.Begin("local").Input("");
        await launcher.Line(line => line.Contains("embedded engine", StringComparison.Ordinal));
        launcher.Signal(signal);
        var ended = await launcher.End();
        // It may have been ready in that very moment.
        if (ended.ExitCode == 0) return;
        ended.Exits(code);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(50));
        while (stack.Processes().Count > 0) await Task.Delay(20, limit.Token);
        (await stack.Run("local", "status")).Exits(3);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_stack_that_is_ready_stays_only_where_somebody_heard_of_it(bool taken)
    {
        await using var stack = Stack.Create();
        var settings = Configuration.Resolve(name => stack.Environment.GetValueOrDefault(name), new Flags());
        var order = new StartOrder { Settings = settings, Keys = new LlmKeys(), TimeoutMs = 50_000 };
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(50));
        await using var daemon = stack.Begin("internal", "daemon").Write(order.ToJson() + "\n");
        ControlClient? launcher;
        while ((launcher = await ControlClient.TryConnect(settings.Home, limit.Token)) is null) await Task.Delay(20, limit.Token);
        using (launcher)
        {
            await launcher.Send(new ControlRequest(ControlRequest.Start), limit.Token);
            while (await launcher.Next(limit.Token) is { } reply && reply.Type != ControlReply.Ready) Assert.NotEqual(ControlReply.Failed, reply.Type);
            if (taken) await launcher.Send(new ControlRequest(ControlRequest.Taken), limit.Token);
        }
        // And now it is killed.
        daemon.Input("");
        if (taken)
        {
            (await stack.Run("local", "status")).Exits(0);
            (await stack.Run("local", "stop")).Exits(0);
        }
        (await daemon.End()).Exits(0);
        Assert.Empty(stack.Processes());
    }

    [Fact]
    public async Task Who_does_not_wait_for_the_look_at_the_model_has_started_the_stack_all_the_same()
    {
        await using var stack = Stack.Create();
        // Takes connections and says nothing.
        using var silent = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        silent.Start();
        stack.Environment["STIGMER_LLM_PROVIDER"] = "ollama";
        stack.Environment["STIGMER_LLM_BASE_URL"] = $"http://{silent.LocalEndpoint}";
        await using var launcher = stack.Begin("local").Input("");
        using var asked = await silent.AcceptTcpClientAsync(TestContext.Current.CancellationToken);
        await launcher.Line(line => line.Contains("Ready!", StringComparison.Ordinal));
        launcher.Signal(2);
        (await launcher.End()).Exits(0);
        (await stack.Run("local", "stop")).Exits(0);
    }

    static System.Text.Json.JsonElement Component(System.Text.Json.JsonElement status, string name) =>
        status.GetProperty("components").EnumerateArray().Single(c => c.GetProperty("name").GetString() == name);
}
