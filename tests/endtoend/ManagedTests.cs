using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Stigmer.EndToEnd.Harness;
using Stigmer.Standins;

namespace Stigmer.EndToEnd;

/// <summary>The managed Temporal, from a mirror whose releases are a stand-in's.</summary>
public sealed class ManagedTests : IAsyncLifetime
{
    const string Version = "1.99.0";

    readonly string releases = Directory.CreateTempSubdirectory("stg-mirror-").FullName;
    Mirror? mirror;

    public async ValueTask InitializeAsync()
    {
        TemporalArchives.Build(releases, Version);
        mirror = await Mirror.Start(releases);
    }

    public async ValueTask DisposeAsync()
    {
        if (mirror is not null) await mirror.DisposeAsync();
        Directory.Delete(releases, recursive: true);
    }

    [Fact]
    public async Task A_first_run_downloads_Temporal_once_and_prints_what_it_does()
    {
        await using var stack = Managed();
        var started = (await stack.Run("local")).Exits(0);
        var status = await stack.Status();
        Assert.Equal(
            [
                "✓ Using the built-in demo model",
                "✓ Starting managed Temporal server...",
                $"✓ Downloading Temporal CLI v{Version}...",
                $"✓ Temporal started on {status.GetProperty("temporal").GetProperty("address").GetString()}",
                "✓ Starting stigmer-server...",
                "✓ Starting agent-runner...",
                $"✓ Ready! Stigmer is running on {status.GetProperty("endpoint").GetString()}",
            ],
            started.Lines);
        Assert.Equal(("managed", Version), (status.GetProperty("temporal").GetProperty("mode").GetString(), status.GetProperty("temporal").GetProperty("version").GetString()));
        Assert.Contains("demo model", (await stack.Run("run", "Hi")).Exits(0).Out, StringComparison.Ordinal);

        (await stack.Run("local", "stop")).Exits(0);
        Assert.Empty(stack.Processes());
        Assert.False(File.Exists(Path.Combine(stack.Home, "temporal.pid")));
        Assert.DoesNotContain("Downloading", (await stack.Run("local")).Exits(0).Out, StringComparison.Ordinal);
        Assert.Single(mirror!.Requests, path => path.EndsWith(".tar.gz", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_run_in_progress_goes_on_with_the_other_local_engine()
    {
        await using var ollama = await Ollama.Start(
            new OllamaAnswer { Step = 1, Text = "One. ", Calls = [OllamaToolCall.Of("workspace_list")] },
            new OllamaAnswer { Step = 2, Text = "Held.", Hold = "never", Times = 1 },
            new OllamaAnswer { Step = 2, Text = "Done." });
        await using var stack = Managed(ollama);
        (await stack.Run("local")).Exits(0);
        var id = (await stack.Run("run", "--detach", "Count")).Exits(0).Out.Trim();
        await ollama.Held("never");
        (await stack.Run("local", "stop")).Exits(0);
        (await stack.Run("local", "--embedded")).Exits(0);
        Assert.Equal("Done.\n", (await stack.Run("runs", "watch", id)).Exits(0).Out);
        Assert.Equal([1, 2, 2], ollama.Calls.Select(call => call.Step));
    }

    [Fact]
    public async Task After_an_upgrade_of_the_server_an_open_run_goes_on_on_a_new_database_and_the_old_one_is_kept()
    {
        TemporalArchives.Build(releases, "1.99.1", server: "1.39.1");
        await using var ollama = await Ollama.Start(
            new OllamaAnswer { Step = 1, Text = "One. ", Calls = [OllamaToolCall.Of("workspace_list")] },
            new OllamaAnswer { Step = 2, Text = "Held.", Hold = "never", Times = 1 },
            new OllamaAnswer { Step = 2, Text = "Done." });
        await using var stack = Managed(ollama);
        (await stack.Run("local")).Exits(0);
        Assert.Equal(JsonValueKind.Null, (await stack.Status()).GetProperty("temporal").GetProperty("detail").ValueKind);
        var id = (await stack.Run("run", "--detach", "Count")).Exits(0).Out.Trim();
        await ollama.Held("never");
        (await stack.Run("local", "stop")).Exits(0);

        stack.Configure(File.ReadAllText(Path.Combine(stack.Home, "config.yaml")).Replace(Version, "1.99.1", StringComparison.Ordinal));
        var started = (await stack.Run("local")).Exits(0);
        Assert.Equal(
            "⚠ Temporal is now server 1.39.1 and begins a database of its own: that of server 1.39.0 is kept, and open runs go on from their transcripts\n", started.Error);
        Assert.Equal("Done.\n", (await stack.Run("runs", "watch", id)).Exits(0).Out);
        Assert.Equal([1, 2, 2], ollama.Calls.Select(call => call.Step));
        Assert.Equal(["temporal-1.39.0.db", "temporal-1.39.1.db"], Directory.GetFiles(Path.Combine(stack.Home, "temporal-data"), "*.db").Select(Path.GetFileName).Order());
        Assert.Contains("that of server 1.39.0 is kept", (await stack.Status()).GetProperty("temporal").GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.Contains("that of server 1.39.0 is kept", (await stack.Run("local", "status")).Exits(0).Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_web_UI_is_on_the_port_that_is_configured_and_the_status_says_where()
    {
        var port = Harness.Ports.Free();
        await using var stack = Managed(null, $", ui: true, ui_port: {port}");
        using (var taken = new TcpListener(IPAddress.Loopback, port))
        {
            taken.Start();
            Assert.StartsWith($"✗ Port {port}, which Temporal's web UI needs, is taken\n", (await stack.Run("local")).Exits(1).Error, StringComparison.Ordinal);
        }
        Assert.Equal("", (await stack.Run("local")).Exits(0).Error);
        var ui = (await stack.Status()).GetProperty("temporal").GetProperty("ui").GetString();
        Assert.Equal($"http://localhost:{port}", ui);
        Assert.Contains($"  UI:     {ui}\n", (await stack.Run("local", "status")).Exits(0).Out, StringComparison.Ordinal);
        using var http = new HttpClient();
        Assert.Contains("Temporal UI", await http.GetStringAsync(ui, TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_a_network_the_default_goes_on_embedded_with_one_warning()
    {
        await using var stack = Managed();
        mirror!.Fault = MirrorFault.Reset;
        await mirror.DisposeAsync();
        mirror = null;
        var started = (await stack.Run("local")).Exits(0);
        Assert.Equal(["✓ Using the built-in demo model", "✓ Using the embedded engine", "✓ Starting stigmer-server...", "✓ Starting agent-runner..."], started.Lines[..^1]);
        Assert.Single(started.Error.TrimEnd('\n').Split('\n'));
        Assert.StartsWith("⚠ ", started.Error, StringComparison.Ordinal);
        Assert.Contains("using the embedded engine", started.Error, StringComparison.Ordinal);
        Assert.NotNull((await stack.Status()).GetProperty("temporal").GetProperty("detail").GetString());
        Assert.Contains("demo model", (await stack.Run("run", "Hi")).Exits(0).Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_a_network_what_was_asked_for_by_name_fails_and_leaves_nothing()
    {
        await using var stack = Managed();
        await mirror!.DisposeAsync();
        mirror = null;
        var started = (await stack.Run("local", "--managed")).Exits(1);
        Assert.NotEqual("", started.Error);
        Assert.Empty(stack.Processes());
        Assert.False(File.Exists(Path.Combine(stack.Home, "bin", "temporal")));
        (await stack.Run("local", "status")).Exits(3);
    }

    [Theory]
    [InlineData(MirrorFault.WrongHash)]
    [InlineData(MirrorFault.HtmlPage)]
    public async Task A_download_that_is_not_what_it_says_leaves_nothing_executable(MirrorFault fault)
    {
        mirror!.Fault = fault;
        await using var stack = Managed();
        var started = (await stack.Run("local", "--managed")).Exits(1);
        Assert.Contains(Version, started.Error, StringComparison.Ordinal);
        Assert.Empty(stack.Processes());
        var folder = Path.Combine(stack.Home, "bin");
        var files = Directory.Exists(folder) ? Directory.GetFiles(folder) : [];
        Assert.All(files, file => Assert.False(File.GetUnixFileMode(file).HasFlag(UnixFileMode.UserExecute), file));
    }

    Stack Managed(Ollama? ollama = null, string temporal = "")
    {
        var stack = Stack.Create(ollama);
        stack.Configure($$"""
            backend:
              local:
                endpoint: localhost:0
                llm: { provider: {{(ollama is null ? "demo" : $"ollama, base_url: \"{ollama.Url}\"")}} }
                temporal: { version: {{Version}}, port: 0{{temporal}} }
            """);
        stack.Environment["STIGMER_TEMPORAL_MIRROR"] = mirror!.Url;
        return stack;
    }
}
