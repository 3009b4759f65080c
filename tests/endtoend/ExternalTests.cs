using Stigmer.EndToEnd.Harness;
using Stigmer.Standins;

namespace Stigmer.EndToEnd;

public sealed class ExternalTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("stg-ext-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public async Task Two_stacks_on_one_Temporal_each_complete_their_own_runs()
    {
        await using var temporal = Standin.Start("temporal", "1.99.0", "server", "start-dev", "--port", "0", "--db-filename", Path.Combine(folder, "t.db"), "--headless");
        var address = (await temporal.Line(line => line.StartsWith("Server:", StringComparison.Ordinal))).Split(' ')[^1];
        await using var mine = await Ollama.Start(Ollama.ToolsThenAnswer(3, "Mine."));
        await using var yours = await Ollama.Start(Ollama.ToolsThenAnswer(3, "Yours."));
        await using var one = External(mine, address);
        await using var two = External(yours, address);

        var started = (await one.Run("local")).Exits(0);
        var endpoint = (await one.Status()).GetProperty("endpoint").GetString();
        Assert.Equal(
            [
                "✓ Using Ollama (no API key required)",
                $"✓ Using external Temporal at {address}",
                "✓ Starting stigmer-server...",
                "✓ Starting agent-runner...",
                $"✓ Ready! Stigmer is running on {endpoint}",
                "✓ Daemon started successfully",
            ],
            started.Lines);
        (await two.Run("local")).Exits(0);

        var runs = await Task.WhenAll(one.Run("run", "A"), two.Run("run", "B"), one.Run("run", "C"), two.Run("run", "D"));
        Assert.Equal(["Mine.\n", "Yours.\n", "Mine.\n", "Yours.\n"], runs.Select(run => run.Exits(0).Out));
        Assert.Equal(["A", "A", "A", "C", "C", "C"], mine.Calls.Select(call => call.Prompt).Order());
        Assert.Equal(["B", "B", "B", "D", "D", "D"], yours.Calls.Select(call => call.Prompt).Order());
    }

    [Fact]
    public async Task The_copy_of_a_home_is_refused_by_name_while_the_first_goes_on()
    {
        await using var temporal = Standin.Start("temporal", "1.99.0", "server", "start-dev", "--port", "0", "--db-filename", Path.Combine(folder, "t.db"), "--headless");
        var address = (await temporal.Line(line => line.StartsWith("Server:", StringComparison.Ordinal))).Split(' ')[^1];
        await using var mine = await Ollama.Start(Ollama.ToolsThenAnswer(2, "Mine."));
        await using var yours = await Ollama.Start(Ollama.ToolsThenAnswer(2, "Yours."));
        await using var first = External(mine, address);
        await using var copy = External(yours, address);
        (await first.Run("local")).Exits(0);
        (await first.Run("local", "stop")).Exits(0);
        var (from, to) = (Path.Combine(first.Home, "data"), Path.Combine(copy.Home, "data"));
        Directory.CreateDirectory(to);
        foreach (var file in Directory.GetFiles(from)) File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
        // Its own last runner is still listed at the Temporal.
        (await first.Run("local")).Exits(0);
        (await first.Run("local", "restart")).Exits(0);

        var refused = (await copy.Run("local")).Exits(1);
        Assert.Contains($"✗ Another stigmer with this one's id works at the Temporal at {address}\n", refused.Error, StringComparison.Ordinal);
        Assert.Contains($"remove stigmer.db, stigmer.db-wal and stigmer.db-shm from {to} ", refused.Error, StringComparison.Ordinal);
        Assert.Equal("Mine.\n", (await first.Run("run", "A")).Exits(0).Out);

        // What it says helps.
        foreach (var file in Directory.GetFiles(to, "stigmer.db*")) File.Delete(file);
        (await copy.Run("local")).Exits(0);
        Assert.Equal("Yours.\n", (await copy.Run("run", "B")).Exits(0).Out);
        Assert.Equal("Mine.\n", (await first.Run("run", "C")).Exits(0).Out);
    }

    [Fact]
    public async Task A_Temporal_that_cannot_be_reached_is_named_before_anything_starts()
    {
        var port = Ports.Free();
        await using var stack = Stack.Create();
        stack.Configure("backend: { local: { endpoint: \"localhost:0\", llm: { provider: demo } } }");
        stack.Environment["TEMPORAL_SERVICE_ADDRESS"] = $"localhost:{port}";
        var started = (await stack.Run("local")).Exits(1);
        Assert.Equal(["✓ Using the built-in demo model"], started.Lines);
        Assert.StartsWith($"✗ Temporal at localhost:{port} cannot be reached\n", started.Error, StringComparison.Ordinal);
        Assert.Empty(File.ReadAllText(Path.Combine(stack.Home, "logs", "stigmer-server.log")));
    }

    [Fact]
    public async Task Runs_go_through_TLS_with_a_client_certificate_and_a_key_and_without_them_nothing_starts()
    {
        using var authority = new Certificates();
        using var certificate = authority.Issue("temporal.example");
        using var own = authority.Issue("me");
        var (serverCertificate, serverKey) = Certificates.Write(certificate, folder, "server");
        var (ownCertificate, ownKey) = Certificates.Write(own, folder, "own");
        var ca = Path.Combine(folder, "ca.pem");
        await File.WriteAllTextAsync(ca, authority.Authority, TestContext.Current.CancellationToken);
        await using var temporal = Standin.Start(
            "temporal", "1.99.0", "server", "start-dev", "--port", "0", "--db-filename", Path.Combine(folder, "t.db"), "--headless",
            "--tls-cert", serverCertificate, "--tls-key", serverKey, "--tls-client-ca", ca, "--api-key", "k3y");
        var address = (await temporal.Line(line => line.StartsWith("Server:", StringComparison.Ordinal))).Split(' ')[^1];
        await using var ollama = await Ollama.Start(Ollama.ToolsThenAnswer(3, "Done."));

        await using var byFile = External(ollama, null);
        File.WriteAllText(Path.Combine(byFile.Home, "key"), "k3y\n");
        byFile.Configure($$"""
            backend:
              local:
                endpoint: localhost:0
                llm: { provider: ollama, base_url: "{{ollama.Url}}" }
                temporal:
                  address: {{address}}
                  api_key_file: key
                  tls: { ca_file: {{ca}}, cert_file: {{ownCertificate}}, key_file: {{ownKey}}, server_name: temporal.example }
            """);
        (await byFile.Run("local")).Exits(0);
        Assert.Equal("Done.\n", (await byFile.Run("run", "By file")).Exits(0).Out);

        await using var byVariable = External(ollama, address);
        async Task Refused(string what)
        {
            var started = (await byVariable.Run("local")).Exits(1);
            Assert.StartsWith($"✗ {what}\n", started.Error, StringComparison.Ordinal);
            Assert.DoesNotContain("Starting", started.Out, StringComparison.Ordinal);
        }

        await Refused($"Temporal at {address} wants TLS");
        byVariable.Environment["TEMPORAL_TLS_SERVER_CA_CERT_DATA"] = authority.Authority;
        await Refused($"The certificate of Temporal at {address} is not for the name localhost");
        byVariable.Environment["TEMPORAL_TLS_SERVER_NAME"] = "temporal.example";
        await Refused($"Temporal at {address} wants a client certificate");
        byVariable.Environment["TEMPORAL_TLS_CLIENT_CERT_DATA"] = own.ExportCertificatePem();
        byVariable.Environment["TEMPORAL_TLS_CLIENT_KEY_DATA"] = Certificates.KeyOf(own);
        await Refused($"Temporal at {address} wants an API key");
        byVariable.Environment["TEMPORAL_API_KEY"] = "wr0ng";
        await Refused($"Temporal at {address} rejects the API key");
        byVariable.Environment["TEMPORAL_API_KEY"] = "k3y";
        byVariable.Environment["TEMPORAL_NAMESPACE"] = "team";
        await Refused($"Namespace team does not exist at {address}");
        byVariable.Environment.Remove("TEMPORAL_NAMESPACE");
        (await byVariable.Run("local")).Exits(0);
        Assert.Equal("Done.\n", (await byVariable.Run("run", "By variable")).Exits(0).Out);

        // The daemon looks, whatever the shell that asks has in its environment.
        foreach (var name in byVariable.Environment.Keys.Where(name => name.StartsWith("TEMPORAL_", StringComparison.Ordinal)).ToList()) byVariable.Environment.Remove(name);
        var seen = (await byVariable.Status()).GetProperty("temporal");
        Assert.Equal((true, 0), (seen.GetProperty("reachable").GetBoolean(), seen.GetProperty("runningWorkflows").GetInt32()));
        Assert.DoesNotContain("k3y", byVariable.Logs() + byFile.Logs(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_outage_shows_in_the_status_and_restarts_nothing()
    {
        var port = Ports.Free();
        string[] arguments = ["temporal", "1.99.0", "server", "start-dev", "--port", $"{port}", "--db-filename", Path.Combine(folder, "t.db"), "--headless"];
        await using var ollama = await Ollama.Start(Ollama.ToolsThenAnswer(2, "Done."));
        await using var first = Standin.Start(arguments);
        await first.Line(line => line.StartsWith("Server:", StringComparison.Ordinal));
        await using var stack = External(ollama, $"localhost:{port}");
        (await stack.Run("local")).Exits(0);
        first.Signal(9);
        await first.End();

        var status = (await stack.Run("local", "status", "--json")).Exits(0).Json;
        var temporal = status.GetProperty("temporal");
        Assert.False(temporal.GetProperty("reachable").GetBoolean());
        Assert.Equal($"Temporal at localhost:{port} cannot be reached: the connection is refused: nobody listens on that port", temporal.GetProperty("detail").GetString());
        Assert.Contains("cannot be reached", (await stack.Run("local", "status")).Exits(0).Out, StringComparison.Ordinal);
        Assert.All(status.GetProperty("components").EnumerateArray(), component => Assert.Equal(0, component.GetProperty("restarts").GetInt32()));

        // Whoever asks for a new stack now keeps the old one, which goes on when the Temporal does.
        Assert.Contains("cannot be reached", (await stack.Run("local", "restart")).Exits(1).Error, StringComparison.Ordinal);

        await using var second = Standin.Start(arguments);
        Assert.Equal("Done.\n", (await stack.Run("run", "Go on")).Exits(0).Out);
        var after = await stack.Status();
        Assert.True(after.GetProperty("temporal").GetProperty("reachable").GetBoolean());
        Assert.Equal(Pids(status), Pids(after));

        static IEnumerable<int> Pids(System.Text.Json.JsonElement status) => status.GetProperty("components").EnumerateArray().Select(component => component.GetProperty("pid").GetInt32());
    }

    [Fact]
    public async Task The_official_clients_name_for_an_address_is_pointed_out_and_not_obeyed()
    {
        await using var stack = Stack.Create();
        stack.Environment["TEMPORAL_ADDRESS"] = "temporal.example:7233";
        var started = (await stack.Run("local")).Exits(0);
        Assert.Equal("⚠ TEMPORAL_ADDRESS=temporal.example:7233 is not used: to use that Temporal, set TEMPORAL_SERVICE_ADDRESS to it\n", started.Error);
        Assert.Equal("embedded", (await stack.Status()).GetProperty("temporal").GetProperty("mode").GetString());
    }

    [Fact]
    public async Task A_run_outlives_a_restart_of_the_Temporal()
    {
        var port = Ports.Free();
        string[] arguments = ["temporal", "1.99.0", "server", "start-dev", "--port", $"{port}", "--db-filename", Path.Combine(folder, "t.db"), "--headless"];
        await using var ollama = await Ollama.Start(
            new OllamaAnswer { Step = 1, Text = "One. ", Calls = [OllamaToolCall.Of("workspace_list")] },
            new OllamaAnswer { Step = 2, Text = "Two. ", Calls = [OllamaToolCall.Of("workspace_list")], Hold = "second" },
            new OllamaAnswer { Step = 3, Text = "Done." });
        await using var first = Standin.Start(arguments);
        await first.Line(line => line.StartsWith("Server:", StringComparison.Ordinal));
        await using var stack = External(ollama, $"localhost:{port}");
        (await stack.Run("local")).Exits(0);
        await using var running = stack.Begin("run", "Count").Input("");
        await ollama.Held("second");
        first.Signal(9);
        await first.End();
        await ollama.Release("second");
        await using var second = Standin.Start(arguments);
        Assert.Equal("Done.\n", (await running.End()).Exits(0).Out);
        Assert.Equal([1, 2, 3], ollama.Calls.Select(call => call.Step));
    }

    static Stack External(Ollama ollama, string? address)
    {
        var stack = Stack.Create(ollama);
        stack.Configure($$"""
            backend:
              local:
                endpoint: localhost:0
                llm: { provider: ollama, base_url: "{{ollama.Url}}" }
            """);
        if (address is not null) stack.Environment["TEMPORAL_SERVICE_ADDRESS"] = address;
        return stack;
    }
}
