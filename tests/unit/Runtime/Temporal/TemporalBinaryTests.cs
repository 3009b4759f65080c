using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Microsoft.Extensions.Time.Testing;
using Stigmer.Config;
using Stigmer.Runtime.Temporal;
using Stigmer.Standins;

namespace Stigmer.Tests.Runtime.Temporal;

public sealed class TemporalBinaryTests : IAsyncLifetime
{
    const string Old = "9.9.8";
    const string New = "9.9.9";

    readonly string folder = Directory.CreateTempSubdirectory("stigmer-binary-").FullName;
    Mirror mirror = null!;

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    static DownloadPatience Patience { get; } = DownloadPatience.Asked with { Pauses = [TimeSpan.Zero, TimeSpan.Zero] };

    StigmerHome Home => new(Path.Combine(folder, "home"));

    public async ValueTask InitializeAsync()
    {
        foreach (var version in (string[])[Old, New, "1.8.2"]) TemporalArchives.Build(Releases, version);
        mirror = await Mirror.Start(Releases);
    }

    public async ValueTask DisposeAsync()
    {
        await mirror.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }

    string Releases => Path.Combine(folder, "releases");

    [Fact]
    public async Task A_release_is_downloaded_verified_installed_and_recorded()
    {
        var seen = new Seen();
        var binary = await Acquire(New, progress: seen);
        Assert.Equal((Home.TemporalBinary, New), (binary.Path, binary.Version));
        Assert.Empty(binary.Warnings);
        Assert.Equal(TemporalArchives.Script(New), await File.ReadAllTextAsync(Home.TemporalBinary, Cancel));
        if (!OperatingSystem.IsWindows()) Assert.Equal("755", Convert.ToString((int)File.GetUnixFileMode(Home.TemporalBinary), 8));

        var record = TemporalRecord.Read(Home.TemporalRecord)!;
        var archive = await File.ReadAllBytesAsync(Path.Combine(Releases, $"v{New}", Asset(New)), Cancel);
        Assert.Equal(
            (New, Hex(archive), Hex(await File.ReadAllBytesAsync(binary.Path, Cancel)), $"{mirror.Url}/v{New}/{Asset(New)}"),
            (record.Version, record.ArchiveSha256, record.BinarySha256, record.Url));
        Assert.Equal((TemporalStandin.Server, TemporalStandin.Server), (binary.Server, record.Server));

        Assert.Equal(new InstallNews.Downloading(New, 0, archive.Length), seen.All[0]);
        Assert.Equal(new InstallNews.Downloading(New, archive.Length, archive.Length), seen.All[^1]);
        Assert.Equal(["temporal", "temporal.json"], InBin());
    }

    [Fact]
    public async Task A_binary_that_matches_its_record_is_not_downloaded_again()
    {
        await Acquire(New);
        var asked = mirror.Requests.Count;
        var seen = new Seen();
        Assert.Equal(New, (await Acquire(New, progress: seen)).Version);
        Assert.Equal(asked, mirror.Requests.Count);
        Assert.Empty(seen.All);
    }

    [Fact]
    public async Task Folders_where_its_files_belong_are_moved_out_of_the_way()
    {
        foreach (var place in (string[])["temporal", "temporal.json", "temporal.next", "temporal.tar.gz.part", "temporal.tar.gz.part.json"])
        {
            Directory.CreateDirectory(Path.Combine(Home.Bin, place, "something"));
        }
        Directory.CreateDirectory(Home.TemporalLock);
        Assert.Equal(New, (await Acquire(New)).Version);
        Assert.Equal(["temporal", "temporal.json"], InBin());
    }

    [Fact]
    public async Task Another_version_takes_its_place()
    {
        await Acquire(Old);
        Assert.Equal(New, (await Acquire(New)).Version);
        Assert.Equal(TemporalArchives.Script(New), await File.ReadAllTextAsync(Home.TemporalBinary, Cancel));
        Assert.Equal(New, TemporalRecord.Read(Home.TemporalRecord)!.Version);
    }

    public static TheoryData<MirrorFault, string, string> Faults => new()
    {
        { MirrorFault.WrongHash, "is not the archive that was released", "computed: " },
        { MirrorFault.HtmlPage, "is refused", "HTML page" },
        { MirrorFault.Missing, $"The mirror has no Temporal CLI v{New}", "answered 404" },
        { MirrorFault.Error, "cannot be downloaded", "answered 503" },
        { MirrorFault.Reset, "cannot be downloaded", "broke off" },
        { MirrorFault.RedirectLoop, "is refused", "redirected more than 5 times" },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task A_bad_answer_is_named_and_the_previous_binary_is_what_it_was(MirrorFault fault, string what, string why)
    {
        await Acquire(Old);
        mirror.Fault = fault;
        var failure = await Assert.ThrowsAnyAsync<Failure>(() => Acquire(New));
        Assert.Contains(what, failure.What, StringComparison.Ordinal);
        Assert.Contains(why, failure.Why, StringComparison.Ordinal);
        Assert.Equal(1, failure.ExitCode);
        Assert.Equal(["temporal", "temporal.json"], InBin().Where(file => !file.Contains(".part", StringComparison.Ordinal)));
        Assert.Equal(TemporalArchives.Script(Old), await File.ReadAllTextAsync(Home.TemporalBinary, Cancel));
        Assert.Equal(Old, (await Acquire(Old)).Version);
    }

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task After_a_bad_answer_to_a_first_start_there_is_nothing(MirrorFault fault, string what, string why)
    {
        mirror.Fault = fault;
        var failure = await Assert.ThrowsAnyAsync<Failure>(() => Acquire(New));
        Assert.Contains(what, failure.What, StringComparison.Ordinal);
        Assert.Contains(why, failure.Why, StringComparison.Ordinal);
        // A transfer that broke off may leave what the next one goes on with.
        Assert.DoesNotContain(InBin(), file => fault is not MirrorFault.Reset || !file.Contains(".part", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(MirrorFault.ErrorOnce)]
    [InlineData(MirrorFault.ResetOnce)]
    [InlineData(MirrorFault.Redirect)]
    public async Task A_passing_fault_and_a_redirect_are_got_over(MirrorFault fault)
    {
        mirror.Fault = fault;
        await Acquire(New);
        Assert.Equal(TemporalArchives.Script(New), await File.ReadAllTextAsync(Home.TemporalBinary, Cancel));
    }

    [Fact]
    public async Task A_pinned_hash_holds_on_a_mirror_too()
    {
        var failure = await Assert.ThrowsAsync<Failure>(() => Acquire("1.8.2"));
        Assert.Contains($"expected: {TemporalRelease.Of("1.8.2", TemporalPlatform.Current()).PinnedSha256}", failure.Why, StringComparison.Ordinal);
        Assert.DoesNotContain(mirror.Requests, path => path.EndsWith("checksums.txt", StringComparison.Ordinal));
        Assert.Empty(InBin());
    }

    [Fact]
    public async Task An_archive_that_its_list_does_not_name_is_not_fetched()
    {
        await File.WriteAllTextAsync(Path.Combine(Releases, $"v{New}", "checksums.txt"), $"{new string('a', 64)}  other.tar.gz\n", Cancel);
        var failure = await Assert.ThrowsAsync<Failure>(() => Acquire(New));
        Assert.Contains("cannot be verified", failure.What, StringComparison.Ordinal);
        Assert.Equal([$"/v{New}/checksums.txt"], mirror.Requests);
    }

    [Fact]
    public async Task A_hostile_archive_with_the_right_hash_is_refused()
    {
        TemporalArchives.Build(Releases, New, platform => TemporalArchives.Pack((platform.Executable, "binary"), ("../evil", "evil")));
        var failure = await Assert.ThrowsAsync<Failure>(() => Acquire(New));
        Assert.Contains("../evil", failure.Why, StringComparison.Ordinal);
        Assert.Empty(InBin());
        Assert.False(File.Exists(Path.Combine(Home.Root, "evil")));
    }

    /// <summary>A pinned version asks for its archive first; for another one its list has answered before.</summary>
    [Theory]
    [InlineData("1.8.2", 5)]
    [InlineData(New, 30)]
    public async Task A_default_that_nobody_answers_is_given_up_after_five_seconds_and_after_a_first_answer_has_the_usual_thirty(string version, int seconds)
    {
        mirror.Fault = MirrorFault.Silent;
        var time = new FakeTimeProvider();
        var acquiring = TemporalBinary.Acquire(Settings(version), Home, null, null, DownloadPatience.Default with { Pauses = [] }, time, Cancel);
        await mirror.ArchiveAsked;
        time.Advance(TimeSpan.FromSeconds(seconds - 0.1));
        Assert.False(acquiring.IsCompleted);
        time.Advance(TimeSpan.FromSeconds(0.1));
        var failure = await Assert.ThrowsAsync<TemporalUnavailable>(() => acquiring);
        Assert.Contains($"did not answer within {seconds} s", failure.Why, StringComparison.Ordinal);
        Assert.Single(mirror.Requests, path => path.EndsWith(".tar.gz", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_download_that_stalls_is_given_up_after_thirty_seconds_of_silence()
    {
        mirror.Fault = MirrorFault.Stall;
        var time = new FakeTimeProvider();
        var seen = new Seen();
        var acquiring = TemporalBinary.Acquire(Settings(New), Home, null, seen, Patience with { Pauses = [] }, time, Cancel);
        await seen.SomeBytes;
        time.Advance(TimeSpan.FromSeconds(29));
        Assert.False(acquiring.IsCompleted);
        time.Advance(TimeSpan.FromSeconds(1));
        var failure = await Assert.ThrowsAsync<TemporalUnavailable>(() => acquiring);
        Assert.Contains("sent nothing for 30 s", failure.Why, StringComparison.Ordinal);
        Assert.Equal(["temporal.tar.gz.part", "temporal.tar.gz.part.json"], InBin());
    }

    [Fact]
    public async Task Nobody_listening_is_said_in_words_after_one_try()
    {
        using (var listener = new TcpListener(IPAddress.Loopback, 0))
        {
            listener.Start();
            var port = ((IPEndPoint)listener.LocalEndpoint).Port;
            listener.Stop();
            // The default's retries would take the clock that nobody moves: it makes none.
            var failure = await Assert.ThrowsAsync<TemporalUnavailable>(() => TemporalBinary.Acquire(
                Settings(New) with { Mirror = $"http://127.0.0.1:{port}" }, Home, null, null, DownloadPatience.Default, new FakeTimeProvider(), Cancel));
            Assert.Contains($"127.0.0.1:{port}: ", failure.Why, StringComparison.Ordinal);
            Assert.Contains("refused", failure.Why, StringComparison.OrdinalIgnoreCase);
        }
    }

    [Fact]
    public async Task A_name_that_cannot_be_resolved_is_said_in_words()
    {
        var failure = await Assert.ThrowsAsync<TemporalUnavailable>(() => Acquire(
            "1.8.2", new Scripted(_ => throw new HttpRequestException(HttpRequestError.NameResolutionError, "x")), mirror: null));
        Assert.Equal("github.com cannot be resolved", failure.Why);
    }

    [Fact]
    public async Task From_the_origin_nothing_is_fetched_without_https()
    {
        var handler = new Scripted(_ => new HttpResponseMessage(HttpStatusCode.Found) { Headers = { Location = new Uri("http://elsewhere.example/file?signature=x") } });
        var failure = await Assert.ThrowsAsync<Failure>(() => Acquire("1.8.2", handler, mirror: null));
        Assert.Equal("it redirects to http://elsewhere.example/file, which is not https", failure.Why);
        Assert.Equal("https", Assert.Single(handler.Asked).Scheme);
    }

    [Fact]
    public async Task A_body_longer_than_announced_is_refused()
    {
        var handler = new Scripted(_ => new HttpResponseMessage { Content = new StreamContent(new MemoryStream(new byte[100])) { Headers = { ContentLength = 99 } } });
        Assert.Contains("longer than the 99 bytes", (await Assert.ThrowsAsync<Failure>(() => Acquire("1.8.2", handler, mirror: null))).Why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_body_larger_than_any_release_is_not_begun()
    {
        var handler = new Scripted(_ => new HttpResponseMessage { Content = new ByteArrayContent([1]) { Headers = { ContentLength = 2L << 30 } } });
        Assert.Contains("larger than 1024 MB", (await Assert.ThrowsAsync<Failure>(() => Acquire("1.8.2", handler, mirror: null))).Why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_release_that_does_not_exist_is_explained()
    {
        var failure = await Assert.ThrowsAsync<Failure>(() => Acquire("1.25.1", new Scripted(_ => new HttpResponseMessage(HttpStatusCode.NotFound)), mirror: null));
        Assert.Equal("Temporal CLI v1.25.1 does not exist", failure.What);
        Assert.Contains("1.25.1 is the version of a Temporal server, which the CLI's release 1.1.1 contains", failure.Why, StringComparison.Ordinal);
        Assert.Contains("the default, 1.8.2", failure.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Two_starts_at_once_download_once()
    {
        mirror.Fault = MirrorFault.ErrorOnce;
        var (first, second) = (new Seen(), new Seen());
        var both = await Task.WhenAll(Acquire(New, progress: first), Acquire(New, progress: second));
        Assert.All(both, binary => Assert.Equal(New, binary.Version));
        Assert.Equal(2, mirror.Requests.Count(path => path.EndsWith(".tar.gz", StringComparison.Ordinal)));
        Assert.Equal([new InstallNews.Waiting()], new[] { first, second }.Single(seen => !seen.All.OfType<InstallNews.Downloading>().Any()).All);
    }

    [Fact]
    public async Task A_binary_that_no_longer_matches_its_record_is_not_started()
    {
        await Acquire(New);
        await File.AppendAllTextAsync(Home.TemporalBinary, "# changed", Cancel);
        var failure = await Assert.ThrowsAsync<Failure>(() => Acquire(New));
        Assert.Equal($"{Home.TemporalBinary} is not started", failure.What);
        Assert.StartsWith("`stigmer temporal install`", failure.Remedy, StringComparison.Ordinal);
        Assert.Equal(Soundness.Altered, (await InstalledTemporal.Look(Home, Cancel)).Soundness);

        Assert.True((await TemporalBinary.Replace(Settings(New), Home, null, TimeProvider.System, Cancel)).Changed);
        Assert.Equal(New, (await Acquire(New)).Version);
        Assert.False((await TemporalBinary.Replace(Settings(New), Home, null, TimeProvider.System, Cancel)).Changed);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{}")]
    [InlineData("{\"version\":null}")]
    public async Task A_record_that_cannot_be_read_vouches_for_nothing(string record)
    {
        await Acquire(New);
        await File.WriteAllTextAsync(Home.TemporalRecord, record, Cancel);
        Assert.Contains("is not started", (await Assert.ThrowsAsync<Failure>(() => Acquire(New))).What, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_installation_interrupted_before_its_record_was_in_place_is_completed()
    {
        await Acquire(Old);
        var oldRecord = await File.ReadAllBytesAsync(Home.TemporalRecord, Cancel);
        await Acquire(New);
        File.Move(Home.TemporalRecord, Home.TemporalRecord + ".next");
        await File.WriteAllBytesAsync(Home.TemporalRecord, oldRecord, Cancel);
        var asked = mirror.Requests.Count;
        Assert.Equal(New, (await Acquire(New)).Version);
        Assert.Equal(asked, mirror.Requests.Count);
        Assert.Equal(["temporal", "temporal.json"], InBin());
    }

    [Fact]
    public async Task The_binary_of_an_older_installation_is_started_with_a_warning()
    {
        Directory.CreateDirectory(Home.Bin);
        await File.WriteAllTextAsync(Home.TemporalBinary, "old", Cancel);
        var binary = await Acquire(New);
        Assert.Equal((Home.TemporalBinary, null), (binary.Path, binary.Version));
        Assert.Contains("older installation and started unchecked", Assert.Single(binary.Warnings), StringComparison.Ordinal);
        Assert.Empty(mirror.Requests);
    }

    [Fact]
    public async Task A_binary_of_ones_own_is_started_unchecked_and_said_to_be()
    {
        var own = Path.Combine(folder, "my-temporal");
        await File.WriteAllTextAsync(own, "#!/bin/sh\n", Cancel);
        var settings = Settings(New) with { Binary = own };
        Failure failure;
        if (!OperatingSystem.IsWindows())
        {
            failure = await Assert.ThrowsAsync<Failure>(() => TemporalBinary.Acquire(settings, Home, null, null, Cancel));
            Assert.Equal((2, "it is not executable"), (failure.ExitCode, failure.Why));
            File.SetUnixFileMode(own, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        }
        var binary = await TemporalBinary.Acquire(settings, Home, null, null, Cancel);
        Assert.Equal((own, null), (binary.Path, binary.Version));
        Assert.Equal($"{own} (STIGMER_TEMPORAL_BIN) is started unchecked", Assert.Single(binary.Warnings));

        File.Delete(own);
        failure = await Assert.ThrowsAsync<Failure>(() => TemporalBinary.Acquire(settings, Home, null, null, Cancel));
        Assert.Equal((2, "there is no such file"), (failure.ExitCode, failure.Why));
    }

    Task<TemporalBinary> Acquire(string version, IProgress<InstallNews>? progress = null) =>
        TemporalBinary.Acquire(Settings(version), Home, null, progress, Patience, TimeProvider.System, Cancel);

    Task<TemporalBinary> Acquire(string version, HttpMessageHandler handler, string? mirror) =>
        TemporalBinary.Acquire(Settings(version) with { Mirror = mirror }, Home, handler, null, Patience, TimeProvider.System, Cancel);

    TemporalSettings Settings(string version) => new()
    {
        Mode = TemporalMode.Managed, IsDefault = false, Version = version, Port = 7233, Ui = false, UiPort = 8233,
        Address = new HostPort("localhost", 7233), Namespace = "default", Mirror = mirror.Url,
    };

    string[] InBin() => Directory.Exists(Home.Bin) ? [.. Directory.GetFiles(Home.Bin).Select(Path.GetFileName).Order()!] : [];

    static string Asset(string version) => TemporalRelease.Of(version, TemporalPlatform.Current()).Asset;

    static string Hex(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    sealed class Seen : IProgress<InstallNews>
    {
        readonly TaskCompletionSource someBytes = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public List<InstallNews> All { get; } = [];

        public Task SomeBytes => someBytes.Task;

        public void Report(InstallNews value)
        {
            All.Add(value);
            if (value is InstallNews.Downloading { Bytes: > 0 }) someBytes.TrySetResult();
        }
    }

    /// <summary>Answers that a server of this machine cannot give: from https://github.com, or against HTTP's own rules.</summary>
    sealed class Scripted(Func<HttpRequestMessage, HttpResponseMessage> answer) : HttpMessageHandler
    {
        public List<Uri> Asked { get; } = [];

        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            Asked.Add(request.RequestUri!);
            return Task.FromResult(answer(request));
        }
    }
}
