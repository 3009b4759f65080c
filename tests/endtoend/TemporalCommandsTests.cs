using Stigmer.EndToEnd.Harness;
using Stigmer.Standins;

namespace Stigmer.EndToEnd;

/// <summary><c>stigmer temporal …</c>, against mirrors near and behind a proxy.</summary>
public sealed class TemporalCommandsTests : IAsyncLifetime
{
    const string Old = "1.98.0";
    const string New = "1.99.0";

    readonly string releases = Directory.CreateTempSubdirectory("stg-mirror-").FullName;
    Mirror? mirror;

    public async ValueTask InitializeAsync()
    {
        TemporalArchives.Build(releases, Old);
        TemporalArchives.Build(releases, New);
        mirror = await Mirror.Start(releases);
    }

    public async ValueTask DisposeAsync()
    {
        await mirror!.DisposeAsync();
        Directory.Delete(releases, recursive: true);
    }

    [Fact]
    public async Task A_binary_that_was_altered_is_reported_not_started_and_replaced_when_asked()
    {
        await using var stack = Managed();
        (await stack.Run("temporal", "version")).Exits(1);
        Assert.Contains($"✓ Downloading Temporal CLI v{New}...", (await stack.Run("temporal", "install")).Exits(0).Lines);
        Assert.Contains("already", (await stack.Run("temporal", "install")).Exits(0).Out, StringComparison.Ordinal);
        Assert.Single(mirror!.Requests, path => path.EndsWith(".gz", StringComparison.Ordinal));
        var version = (await stack.Run("temporal", "version", "--json")).Exits(0).Json;
        Assert.Equal((New, TemporalStandin.Server, true), (version.GetProperty("version").GetString(), version.GetProperty("server").GetString(), version.GetProperty("sound").GetBoolean()));

        (await stack.Run("local")).Exits(0);
        await File.AppendAllTextAsync(Binary(stack), "# altered\n", TestContext.Current.CancellationToken);
        Assert.Contains("no longer what was downloaded", (await stack.Status()).GetProperty("temporal").GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.Contains("⚠ ", (await stack.Run("local", "status")).Exits(0).Error, StringComparison.Ordinal);
        Assert.Contains("no longer what was downloaded", (await stack.Run("temporal", "version")).Exits(1).Out, StringComparison.Ordinal);
        (await stack.Run("local", "stop")).Exits(0);
        Assert.Contains("no longer what was downloaded", (await stack.Run("local", "status")).Exits(3).Error, StringComparison.Ordinal);
        Assert.Contains("`stigmer temporal install`", (await stack.Run("local")).Exits(1).Error, StringComparison.Ordinal);
        Assert.False((await stack.Run("temporal", "upgrade", "--json")).Exits(1).Out.Contains("\"changed\":true", StringComparison.Ordinal));

        Assert.True((await stack.Run("temporal", "install", "--json")).Exits(0).Json.GetProperty("changed").GetBoolean());
        Assert.Equal("", (await stack.Run("local", "status")).Exits(3).Error);
    }

    [Fact]
    public async Task A_restart_for_which_there_is_no_sound_binary_leaves_what_runs_alone()
    {
        await using var stack = Managed(Old);
        (await stack.Run("local")).Exits(0);
        var pid = await stack.Pid("temporal");
        Configure(stack, "1.97.0");
        Assert.Contains("has no Temporal CLI v1.97.0", (await stack.Run("local", "restart")).Exits(1).Error, StringComparison.Ordinal);
        Configure(stack, Old);
        await File.AppendAllTextAsync(Binary(stack), "# altered\n", TestContext.Current.CancellationToken);
        Assert.Contains("no longer what was downloaded", (await stack.Run("local", "restart")).Exits(1).Error, StringComparison.Ordinal);
        Assert.Equal(pid, await stack.Pid("temporal"));

        (await stack.Run("temporal", "install")).Exits(0);
        (await stack.Run("local", "restart")).Exits(0);
        Assert.NotEqual(pid, await stack.Pid("temporal"));
    }

    [Fact]
    public async Task An_upgrade_leaves_the_running_stack_alone_and_says_what_comes_next()
    {
        await using var stack = Managed(Old);
        (await stack.Run("local")).Exits(0);
        var pid = await stack.Pid("temporal");
        Configure(stack, New);
        var upgraded = (await stack.Run("temporal", "upgrade")).Exits(0).Out;
        Assert.Contains($"v{New} is installed", upgraded, StringComparison.Ordinal);
        Assert.Contains($"v{Old}: `stigmer local restart`", upgraded, StringComparison.Ordinal);
        Assert.Equal(pid, await stack.Pid("temporal"));
        Assert.Contains("up to date", (await stack.Run("temporal", "upgrade")).Exits(0).Out, StringComparison.Ordinal);
        Assert.Contains("newer than", (await Configured(Old).Run("temporal", "upgrade")).Exits(0).Out, StringComparison.Ordinal);

        Stack Configured(string version)
        {
            Configure(stack, version);
            return stack;
        }
    }

    [Fact]
    public async Task Ctrl_C_leaves_what_the_next_attempt_goes_on_with_and_nothing_else()
    {
        mirror!.Fault = MirrorFault.Stall;
        await using var stack = Managed();
        await using (var installing = stack.Begin("temporal", "install").Input(""))
        {
            await installing.Line(line => line.Contains("Downloading", StringComparison.Ordinal));
            var part = new FileInfo(Path.Combine(stack.Home, "bin", "temporal.tar.gz.part"));
            for (; part.Length == 0; part.Refresh()) await Task.Yield();
            installing.Signal(2);
            (await installing.End()).Exits(130);
        }
        Assert.Equal(["temporal.tar.gz.part", "temporal.tar.gz.part.json"], Directory.GetFiles(Path.Combine(stack.Home, "bin")).Select(Path.GetFileName).Order());
        var left = new FileInfo(Path.Combine(stack.Home, "bin", "temporal.tar.gz.part")).Length;
        mirror.Fault = MirrorFault.None;
        (await stack.Run("temporal", "install")).Exits(0);
        Assert.Equal([$"bytes={left}-"], mirror.Ranges);
        Assert.Equal(["temporal", "temporal.json"], Directory.GetFiles(Path.Combine(stack.Home, "bin")).Select(Path.GetFileName).Order());
    }

    [Fact]
    public async Task Of_two_at_once_one_downloads_and_the_other_says_that_it_waits()
    {
        mirror!.Fault = MirrorFault.Stall;
        await using var stack = Managed();
        await using var first = stack.Begin("temporal", "install").Input("");
        await first.Line(line => line.Contains("Downloading", StringComparison.Ordinal));
        await using var second = stack.Begin("local").Input("");
        await second.ErrorLine(line => line.Contains("waiting for it", StringComparison.Ordinal));
        await using var third = stack.Begin("local").Input("");
        await third.ErrorLine(line => line.Contains("waiting for it", StringComparison.Ordinal));
        mirror.Fault = MirrorFault.None;
        first.Signal(2);
        (await first.End()).Exits(130);
        (await second.End()).Exits(0);
        (await third.End()).Exits(0);
        Assert.Equal(2, mirror.Requests.Count(path => path.EndsWith(".gz", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("https_proxy", "mirror.example", ".example")]
    [InlineData("HTTPS_PROXY", "localhost", "localhost")]
    public async Task Behind_a_proxy_with_a_login_and_an_authority_of_ones_own_it_downloads(string variable, string host, string exception)
    {
        using var authority = new Certificates();
        var folder = Directory.CreateDirectory(Path.Combine(releases, "tls")).FullName;
        var (certificate, key) = Certificates.Write(authority.Issue(host), folder, "mirror");
        await using var secure = await Mirror.Start(releases, tls: new TlsFiles(certificate, key, null).ToOptions());
        await using var proxy = TunnelProxy.Start("me:secret", new Uri(secure.Url).Port);
        await using var stack = Managed();
        stack.Environment["STIGMER_TEMPORAL_MIRROR"] = $"https://{host}";

        stack.Environment[variable] = $"http://me:wrong@{proxy.Address}";
        var refused = (await stack.Run("temporal", "install")).Exits(1).Error;
        Assert.Contains($"the proxy at {proxy.Address} asks for a login", refused, StringComparison.Ordinal);
        Assert.DoesNotContain("wrong", refused, StringComparison.Ordinal);

        stack.Environment[variable] = $"http://me:secret@{proxy.Address}";
        Assert.Contains("no certificate that this machine trusts", (await stack.Run("temporal", "install")).Exits(1).Error, StringComparison.Ordinal);

        var roots = Path.Combine(folder, "roots.pem");
        await File.WriteAllTextAsync(roots, authority.Authority, TestContext.Current.CancellationToken);
        stack.Environment["SSL_CERT_FILE"] = roots;
        (await stack.Run("temporal", "install")).Exits(0);
        Assert.All(proxy.Opened, place => Assert.Equal($"{host}:443", place));

        stack.Environment["STIGMER_TEMPORAL_MIRROR"] = "https://another.example";
        Assert.Contains("has a certificate for another name", (await stack.Run("temporal", "install", Old)).Exits(1).Error, StringComparison.Ordinal);
        stack.Environment["STIGMER_TEMPORAL_MIRROR"] = $"https://{host}";

        stack.Environment["NO_PROXY"] = $"other.example,{exception}";
        var direct = (await stack.Run("temporal", "install", Old)).Exits(1).Error;
        Assert.Contains(host, direct, StringComparison.Ordinal);
        Assert.DoesNotContain("proxy at", direct, StringComparison.Ordinal);
    }

    static string Binary(Stack stack) => Path.Combine(stack.Home, "bin", "temporal");

    static void Configure(Stack stack, string version) => stack.Configure($$"""
        backend:
          local:
            endpoint: localhost:0
            llm: { provider: demo }
            temporal: { version: {{version}}, port: 0 }
        """);

    Stack Managed(string version = New)
    {
        var stack = Stack.Create();
        Configure(stack, version);
        stack.Environment["STIGMER_TEMPORAL_MIRROR"] = mirror!.Url;
        return stack;
    }
}
