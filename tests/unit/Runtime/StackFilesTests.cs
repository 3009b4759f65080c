using System.Collections;
using Stigmer.Config;
using Stigmer.Rpc;
using Stigmer.Runtime;
using Stigmer.Runtime.Control;

namespace Stigmer.Tests.Runtime;

public sealed class StackFilesTests : IDisposable
{
    readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("stigmer-home-");

    public void Dispose() => folder.Delete(recursive: true);

    StigmerHome Home()
    {
        var home = new StigmerHome(folder.FullName);
        StigmerHome.Ensure(home.Run);
        return home;
    }

    Settings Settings(params ReadOnlySpan<(string, string)> environment)
    {
        var table = new Dictionary<string, string> { ["STIGMER_HOME"] = folder.FullName };
        foreach (var (name, value) in environment) table[name] = value;
        return Configuration.Resolve(name => table.GetValueOrDefault(name), new Flags());
    }

    [Fact]
    public void An_order_arrives_as_it_was_given_secrets_included()
    {
        var settings = Settings(("TEMPORAL_SERVICE_ADDRESS", "t.example.com:7233"), ("TEMPORAL_API_KEY", "sesame"), ("STIGMER_LLM_PROVIDER", "demo"));
        var order = new StartOrder { Settings = settings, Keys = new LlmKeys(Anthropic: new Secret("k")), TimeoutMs = 5 };
        var arrived = StartOrder.FromJson(order.ToJson());
        Assert.NotNull(arrived);
        Assert.DoesNotContain('\n', order.ToJson());
        Assert.Equal("sesame", arrived.Settings.Temporal.ApiKey?.Reveal());
        Assert.Equal("k", arrived.Keys.Anthropic?.Reveal());
        Assert.Equal(settings.Llm, arrived.Settings.Llm);
        Assert.Equal(settings.Temporal, arrived.Settings.Temporal);
        Assert.Equal(settings.Endpoint, arrived.Settings.Endpoint);
        Assert.Equal(settings.Home, arrived.Settings.Home);
        Assert.Equal(settings.Values, arrived.Settings.Values);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("{}")]
    [InlineData("hello")]
    public void What_is_no_order_is_none(string? line) => Assert.Null(StartOrder.FromJson(line));

    [Fact]
    public void The_token_is_made_once_and_is_for_its_user_alone()
    {
        var home = Home();
        var token = home.ReadOrMakeToken();
        Assert.Matches("^[0-9a-f]{64}$", token);
        Assert.Equal(token, home.ReadOrMakeToken());
        if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(home.Token));
    }

    [Fact]
    public void A_link_that_leads_nowhere_makes_room_for_what_belongs_in_its_place_and_one_that_leads_to_a_file_stays()
    {
        var home = Home();
        foreach (var file in (string[])[home.DaemonLock, home.Token]) File.CreateSymbolicLink(file, Path.Combine(folder.FullName, "gone", "away"));
        File.WriteAllText(Path.Combine(folder.FullName, "elsewhere"), "");
        File.CreateSymbolicLink(home.Children, Path.Combine(folder.FullName, "elsewhere"));
        using (DaemonLock.TryTake(home)) Assert.True(DaemonLock.IsHeld(home));
        StateFiles.MakeRoom(home);
        Assert.Matches("^[0-9a-f]{64}$", home.ReadOrMakeToken());
        Assert.NotNull(File.ResolveLinkTarget(home.Children, returnFinalTarget: false));
    }

    [Theory]
    [InlineData("4711")]
    [InlineData("4711\n")]
    [InlineData("{\"pid\":")]
    [InlineData("")]
    public void A_pid_file_of_an_older_installation_names_nobody(string content)
    {
        File.WriteAllText(Home().TemporalPid, content);
        Assert.Null(StateFiles.ReadProcess(Home().TemporalPid));
    }

    [Fact]
    public void A_file_that_names_a_process_is_read_back()
    {
        var named = new NamedProcess("temporal", 7, 4711, "boot", "/home");
        StateFiles.WriteProcess(Home().TemporalPid, named);
        Assert.Equal(named, StateFiles.ReadProcess(Home().TemporalPid));
        StateFiles.WriteChildren(Home().Children, new ChildrenDocument([named], ["life"], "mark"));
        var read = StateFiles.ReadChildren(Home().Children);
        Assert.Equal([named], read.Children);
        Assert.Equal(["life"], read.Lives);
        Assert.Equal("mark", read.Mark);
        File.WriteAllText(Home().Children, """{"children":[]}""");
        Assert.Empty(StateFiles.ReadChildren(Home().Children).Lives);
    }

    [Fact]
    public void Only_one_daemon_holds_a_home()
    {
        var home = Home();
        Assert.False(DaemonLock.IsHeld(home));
        using (var held = DaemonLock.TryTake(home))
        {
            Assert.NotNull(held);
            Assert.Null(DaemonLock.TryTake(home));
            Assert.True(DaemonLock.IsHeld(home));
        }
        Assert.False(DaemonLock.IsHeld(home));
        using var again = DaemonLock.TryTake(home);
        Assert.NotNull(again);
    }

    [Fact]
    public async Task A_home_that_is_deeper_than_a_sockets_address_has_a_control_socket_all_the_same()
    {
        if (!OperatingSystem.IsLinux()) return;
        var home = new StigmerHome(Path.Combine(folder.FullName, new string('a', 80), new string('b', 80)));
        StigmerHome.Ensure(home.Run);
        using var listener = ControlSocket.Listen(home.ControlSocket);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(home.ControlSocket));
        using var client = await ControlSocket.TryConnect(home.ControlSocket, TestContext.Current.CancellationToken);
        Assert.NotNull(client);
        using var accepted = await listener.AcceptAsync(TestContext.Current.CancellationToken);
        await client.SendAsync("x"u8.ToArray(), TestContext.Current.CancellationToken);
        Assert.Equal(1, await accepted.ReceiveAsync(new byte[1], TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Nobody_listens_where_nothing_is() =>
        Assert.Null(await ControlSocket.TryConnect(Path.Combine(folder.FullName, "run", "control.sock"), TestContext.Current.CancellationToken));

    [Fact]
    public void The_users_own_settings_of_Temporal_reach_no_child_and_keys_only_the_runner()
    {
        var users = new Hashtable
        {
            ["PATH"] = "/bin", ["TEMPORAL_NAMESPACE"] = "theirs", ["TEMPORAL_ADDRESS"] = "x:1", ["STIGMER_TOKEN"] = "old", ["ANTHROPIC_API_KEY"] = "k", ["MODE"] = "cloud",
        };
        var clean = ChildEnvironment.Clean(users);
        Assert.Equal(["PATH"], clean.Keys);
        var settings = Settings(("STIGMER_LLM_PROVIDER", "demo"));
        var server = ChildEnvironment.Server(clean, settings, "token", TemporalMode.Embedded, null);
        Assert.Equal("embedded", server["STIGMER_ENGINE"]);
        Assert.Equal("token", server["STIGMER_TOKEN"]);
        Assert.DoesNotContain(server.Keys, name => name.StartsWith("TEMPORAL_", StringComparison.Ordinal) || name.EndsWith("_API_KEY", StringComparison.Ordinal));

        var order = new StartOrder { Settings = settings, Keys = new LlmKeys(Anthropic: new Secret("k")), TimeoutMs = 1 };
        var address = new HostPort("localhost", 4711);
        var runner = ChildEnvironment.Runner(clean, order, "token", address, new TemporalConnection(address, "default"), "life", ["gone", "before"]);
        Assert.Equal("localhost:4711", runner["TEMPORAL_SERVICE_ADDRESS"]);
        Assert.Equal("localhost:4711", runner["STIGMER_SERVER"]);
        Assert.Equal("local", runner["MODE"]);
        Assert.Equal("k", runner["ANTHROPIC_API_KEY"]);
        Assert.Equal("life", runner["STIGMER_RUNNER_LIFE"]);
        Assert.Equal("gone before", runner["STIGMER_RUNNER_REPLACES"]);
        var first = ChildEnvironment.Runner(clean, order, "token", address, new TemporalConnection(address, "default"), "life", []);
        Assert.DoesNotContain("STIGMER_RUNNER_REPLACES", first.Keys);
    }
}
