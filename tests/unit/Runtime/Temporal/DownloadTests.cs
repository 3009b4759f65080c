using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Time.Testing;
using Stigmer.Config;
using Stigmer.Runtime.Temporal;
using Stigmer.Standins;

namespace Stigmer.Tests.Runtime.Temporal;

/// <summary>Downloads from servers that break off, contradict themselves and lie.</summary>
public sealed class DownloadTests : IDisposable
{
    const string Version = "9.9.9";
    const string Tag = "ETag: \"one\"";
    const string Modified = "Last-Modified: Tue, 24 Nov 2026 10:00:00 GMT|Date: Tue, 24 Nov 2026 11:00:00 GMT";

    readonly string folder = Directory.CreateTempSubdirectory("stigmer-download-").FullName;
    readonly byte[] archive;
    readonly byte[] content;

    public DownloadTests()
    {
        var random = new byte[400_000];
        new Random(7).NextBytes(random);
        content = Encoding.ASCII.GetBytes(Convert.ToBase64String(random));
        archive = TemporalArchives.Pack((TemporalPlatform.Current().Executable, Encoding.ASCII.GetString(content)), ("LICENSE", "as you like"));
    }

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    StigmerHome Home => new(Path.Combine(folder, "home"));

    string Asset => TemporalRelease.Of(Version, TemporalPlatform.Current()).Asset;

    int Half => archive.Length / 2;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task A_transfer_that_breaks_off_anywhere_any_number_of_times_brings_each_byte_once(int seed)
    {
        var random = new Random(seed);
        long sent = 0;
        await using var server = Serve((request, _) =>
        {
            var from = (int)(request.From ?? 0);
            var count = Math.Min(random.Next(archive.Length / 10), archive.Length - from);
            sent += count;
            return Answer(from, Tag, archive.AsSpan(from, count), reset: random.Next(2) == 0);
        });
        await Acquire(server);
        Assert.Equal(archive.Length, sent);
        Assert.All(server.Requests.Skip(2).Where(r => r.From is not null), request => Assert.Equal("\"one\"", request.Headers["If-Range"]));
        AssertInstalled();
    }

    [Theory]
    [InlineData(Tag, "\"one\"")]
    [InlineData(Modified, "Tue, 24 Nov 2026 10:00:00 GMT")]
    [InlineData("ETag: W/\"one\"|" + Modified, "Tue, 24 Nov 2026 10:00:00 GMT")]
    public async Task What_an_interrupted_download_left_is_gone_on_with_by_the_next_one(string validator, string named)
    {
        await Interrupted(validator);
        Assert.Equal(["temporal.tar.gz.part", "temporal.tar.gz.part.json"], InBin());
        Assert.Equal(archive[..Half], await File.ReadAllBytesAsync(Part, Cancel));
        foreach (var file in Directory.GetFiles(Home.Bin))
        {
            if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
        }

        await using var server = Serve((request, _) => Answer((int)request.From!, validator, archive.AsSpan((int)request.From)));
        await Acquire(server);
        var asked = Assert.Single(server.Requests, r => r.Path.EndsWith(".gz", StringComparison.Ordinal));
        Assert.Equal((Half, named), (asked.From, asked.Headers["If-Range"]));
        AssertInstalled();
    }

    [Theory]
    [InlineData("")]
    [InlineData("ETag: W/\"one\"")]
    [InlineData("Last-Modified: Tue, 24 Nov 2026 10:00:00 GMT|Date: Tue, 24 Nov 2026 10:00:00 GMT")]
    public async Task Without_a_name_for_the_very_bytes_nothing_is_left_and_another_attempt_begins_anew(string validator)
    {
        await Interrupted(validator);
        Assert.Empty(InBin());
        await using var server = Serve((request, n) =>
        {
            Assert.Null(request.From);
            return Answer(0, validator, n == 0 ? archive.AsSpan(0, Half) : archive);
        });
        await Acquire(server);
        AssertInstalled();
    }

    public static TheoryData<string> NoContinuations => ["200", "other tag", "other date", "other start", "other length", "beyond the end", "no range", "two ranges", "416", "416 with a page"];

    /// <summary>Whatever a server makes of the wish for the rest, in the end the archive is whole.</summary>
    [Theory]
    [MemberData(nameof(NoContinuations))]
    public async Task An_answer_that_does_not_go_on_where_the_last_one_broke_off_begins_anew(string kind)
    {
        var (rest, n) = (archive.AsSpan(Half).ToArray(), archive.Length);
        await Interrupted(kind == "other date" ? Modified : Tag);
        await using var server = Serve((request, _) => request.From is null || kind == "200" ? Answer(0, "ETag: \"two\"", archive) : kind switch
        {
            "other tag" => RawAnswer.Of("206 Partial", $"ETag: \"two\"|Content-Range: bytes {Half}-{n - 1}/{n}|Content-Length: {rest.Length}", rest),
            "other date" => RawAnswer.Of("206 Partial", $"Last-Modified: Tue, 24 Nov 2026 10:30:00 GMT|Content-Range: bytes {Half}-{n - 1}/{n}|Content-Length: {rest.Length}", rest),
            "other start" => RawAnswer.Of("206 Partial", $"{Tag}|Content-Range: bytes 0-{n - 1}/{n}|Content-Length: {n}", archive),
            "other length" => RawAnswer.Of("206 Partial", $"{Tag}|Content-Range: bytes {Half}-{n}/{n + 1}|Content-Length: {rest.Length + 1}", [.. rest, 0]),
            "beyond the end" => RawAnswer.Of("206 Partial", $"{Tag}|Content-Range: bytes {Half}-{n + 9}/{n}|Content-Length: {rest.Length + 10}", [.. rest, .. new byte[10]]),
            "no range" => RawAnswer.Of("206 Partial", $"{Tag}|Content-Length: {rest.Length}", rest),
            "two ranges" => RawAnswer.Of("206 Partial", $"{Tag}|Content-Type: multipart/byteranges; boundary=x|Content-Length: {rest.Length}", rest),
            "416" => RawAnswer.Of("416 No", $"Content-Range: bytes */{n}|Content-Length: 0", []),
            _ => RawAnswer.Of("416 No", "Content-Type: text/html|Content-Length: 6", "<html>"u8),
        });
        await Acquire(server);
        AssertInstalled();
    }

    [Fact]
    public async Task The_rest_may_come_in_parts_and_without_a_length()
    {
        await Interrupted(Tag);
        await using var server = Serve((request, _) =>
        {
            var from = (int)request.From!;
            var to = Math.Min(from + Half / 2, archive.Length);
            return RawAnswer.Of("206 Partial", $"{Tag}|Content-Range: bytes {from}-{to - 1}/*|Transfer-Encoding: chunked", Chunked(archive.AsSpan(from, to - from)));
        });
        await Acquire(server);
        AssertInstalled();
    }

    [Fact]
    public async Task A_part_that_was_damaged_on_the_disk_costs_a_download_and_no_more()
    {
        await Interrupted(Tag);
        var part = await File.ReadAllBytesAsync(Part, Cancel);
        part[part.Length / 2] ^= 1;
        await File.WriteAllBytesAsync(Part, part, Cancel);
        await using var server = Serve((request, _) => Answer((int)(request.From ?? 0), Tag, archive.AsSpan((int)(request.From ?? 0))));
        await Acquire(server);
        Assert.Equal([Half, null], server.Requests.Where(r => r.Path.EndsWith(".gz", StringComparison.Ordinal)).Select(r => r.From));
        AssertInstalled();
    }

    [Fact]
    public async Task A_part_that_was_complete_already_is_not_asked_for_again()
    {
        await Interrupted(Tag);
        await File.WriteAllBytesAsync(Part, archive, Cancel);
        await using var server = Serve((_, _) => throw new InvalidOperationException("the archive is there"));
        await Acquire(server);
        AssertInstalled();
    }

    [Theory]
    [InlineData("longer")]
    [InlineData("no note")]
    [InlineData("broken note")]
    [InlineData("another hash")]
    public async Task A_part_that_is_not_of_this_archive_is_not_used(string kind)
    {
        await Interrupted(Tag);
        var note = Part + ".json";
        switch (kind)
        {
            case "longer": await File.WriteAllBytesAsync(Part, new byte[archive.Length + 1], Cancel); break;
            case "no note": File.Delete(note); break;
            case "broken note": await File.WriteAllTextAsync(note, "{", Cancel); break;
            case "another hash": await File.WriteAllTextAsync(note, (await File.ReadAllTextAsync(note, Cancel)).Replace(Hash(archive), new string('a', 64), StringComparison.Ordinal), Cancel); break;
        }
        await using var server = Serve((request, _) =>
        {
            Assert.Null(request.From);
            return Answer(0, Tag, archive);
        });
        await Acquire(server);
        AssertInstalled();
    }

    [Theory]
    [InlineData("408 Late")]
    [InlineData("429 Slowly")]
    [InlineData("500 Broken")]
    [InlineData("502 Bad")]
    [InlineData("503 Busy")]
    public async Task An_answer_that_may_pass_is_asked_for_again(string status)
    {
        await using var server = Serve((_, n) => n < 2 ? RawAnswer.Of(status, "Content-Length: 0", []) : Answer(0, Tag, archive));
        await Acquire(server);
        Assert.Equal(3, server.Requests.Count(r => r.Path.EndsWith(".gz", StringComparison.Ordinal)));
        AssertInstalled();
    }

    [Theory]
    [InlineData("400 Bad", "400")]
    [InlineData("401 Who", "asks for a login")]
    [InlineData("403 No", "forbidden")]
    [InlineData("404 None", "answered 404")]
    [InlineData("410 Gone", "answered 410")]
    [InlineData("451 Law", "451")]
    [InlineData("304 Same", "304")]
    [InlineData("302 Nowhere", "302")]
    [InlineData("206 Unasked", "206")]
    [InlineData("416 Unasked", "416")]
    [InlineData("204 Nothing", "204")]
    public async Task An_answer_that_will_not_pass_is_given_up_at_once(string status, string why)
    {
        await using var server = Serve((_, _) => RawAnswer.Of(status, "Content-Length: 0", []));
        var failure = await Assert.ThrowsAsync<Failure>(() => Acquire(server));
        Assert.Contains(why, failure.Why, StringComparison.Ordinal);
        Assert.Equal(1, failure.ExitCode);
        Assert.Single(server.Requests, r => r.Path.EndsWith(".gz", StringComparison.Ordinal));
        Assert.Empty(InBin());
    }

    public static TheoryData<string, string> Lies => new()
    {
        { "longer than announced", "longer than the" },
        { "followed by more", "longer than the" },
        { "empty", "the answer is empty" },
        { "empty without a length", "the answer is empty" },
        { "zipped once more", "SHA-256 differs" },
        { "a page", "HTML page" },
        { "a page that says that it is an archive", "HTML page" },
        { "ftp", "not https" },
        { "file", "not https" },
        { "no address", "no address" },
        { "a chain", "more than 5 times" },
    };

    [Theory]
    [MemberData(nameof(Lies))]
    public async Task A_lie_is_refused_at_once_and_leaves_nothing(string kind, string why)
    {
        await using var server = Serve((request, n) => kind switch
        {
            "longer than announced" => RawAnswer.Of("200 OK", $"{Tag}|Content-Length: {Half}", archive),
            "followed by more" => RawAnswer.Of("200 OK", $"{Tag}|Content-Length: {archive.Length}", [.. archive, 1]),
            "empty" => RawAnswer.Of("200 OK", $"{Tag}|Content-Length: 0", []),
            "empty without a length" => RawAnswer.Of("200 OK", Tag, []),
            "zipped once more" => RawAnswer.Of("200 OK", $"{Tag}|Content-Encoding: gzip", TemporalArchives.Pack(("x", "y"))),
            "a page" => RawAnswer.Of("200 OK", $"{Tag}|Content-Type: text/html; charset=utf-8|Content-Length: 8", "Sign in."u8),
            "a page that says that it is an archive" => RawAnswer.Of("200 OK", $"{Tag}|Content-Type: application/gzip|Content-Length: 9", " \n<html>\n"u8),
            "ftp" => RawAnswer.Of("302 Found", "Location: ftp://127.0.0.1/x|Content-Length: 0", []),
            "file" => RawAnswer.Of("302 Found", "Location: file:///etc/passwd|Content-Length: 0", []),
            "no address" => RawAnswer.Of("302 Found", "Location: http://[|Content-Length: 0", []),
            _ => RawAnswer.Of("302 Found", $"Location: ./again{n}.tar.gz|Content-Length: 0", []),
        });
        var failure = await Assert.ThrowsAsync<Failure>(() => Acquire(server));
        Assert.Contains(why, failure.Why, StringComparison.Ordinal);
        Assert.Equal(kind == "a chain" ? 6 : 1, server.Requests.Count(r => r.Path.EndsWith(".gz", StringComparison.Ordinal)));
        Assert.Empty(InBin());
    }

    [Fact]
    public async Task Five_redirects_relative_ones_among_them_are_followed()
    {
        await using var server = Serve((_, n) => n < 5 ? RawAnswer.Of($"30{"12378"[n]} Moved", $"Location: {(n % 2 == 0 ? $"./x{n}.tar.gz?a=b" : $"/y{n}.tar.gz")}|Content-Length: 0", []) : Answer(0, Tag, archive));
        await Acquire(server);
        AssertInstalled();
    }

    [Fact]
    public async Task A_server_that_announces_more_than_it_ever_sends_is_given_up()
    {
        await using var server = Serve((request, _) => request.From is null
            ? RawAnswer.Of("200 OK", $"{Tag}|Content-Length: {archive.Length + 5}", archive) : RawAnswer.Of("416 No", $"Content-Range: bytes */{archive.Length}|Content-Length: 0", []));
        var failure = await Assert.ThrowsAsync<TemporalUnavailable>(() => Acquire(server));
        Assert.Contains("broke off", failure.Why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Word_before_the_answer_is_not_the_answer()
    {
        await using var server = Serve((_, _) => new RawAnswer([.. "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"u8, .. Answer(0, Tag, archive).Bytes]));
        await Acquire(server);
        AssertInstalled();
    }

    [Fact]
    public async Task A_chunked_body_is_taken_and_one_that_is_cut_off_is_asked_for_again()
    {
        await using var server = Serve((_, n) => RawAnswer.Of("200 OK", "Transfer-Encoding: chunked", n == 0 ? Chunked(archive)[..^9] : Chunked(archive)));
        await Acquire(server);
        AssertInstalled();
    }

    [Theory]
    [InlineData("3")]
    [InlineData("date")]
    public async Task A_server_that_says_when_to_come_again_is_obeyed(string kind)
    {
        var time = new FakeTimeProvider(new DateTimeOffset(2026, 11, 24, 10, 0, 0, TimeSpan.Zero));
        var after = kind == "date" ? (time.GetUtcNow() + TimeSpan.FromSeconds(3)).ToString("r", CultureInfo.InvariantCulture) : kind;
        await using var server = Serve((_, n) => n == 0 ? RawAnswer.Of("429 Slowly", $"Retry-After: {after}|Content-Length: 0", []) : Answer(0, Tag, archive));
        var told = new Told();
        var acquiring = Acquire(server, time, told);
        Assert.Equal(TimeSpan.FromSeconds(3), (await told.Retrying).Pause);
        time.Advance(TimeSpan.FromSeconds(2.9));
        Assert.Equal(2, server.Requests.Count);
        time.Advance(TimeSpan.FromSeconds(0.1));
        await acquiring;
        AssertInstalled();
    }

    [Theory]
    [InlineData("3600", "60 min")]
    [InlineData("99999999999999999999", "24 h")]
    public async Task A_server_that_wants_to_be_left_alone_for_long_is_given_up(string after, string why)
    {
        await using var server = Serve((_, _) => RawAnswer.Of("503 Busy", $"Retry-After: {after}|Content-Length: 0", []));
        var failure = await Assert.ThrowsAsync<TemporalUnavailable>(() => Acquire(server));
        Assert.Contains(why, failure.Why, StringComparison.Ordinal);
        Assert.Equal(2, server.Requests.Count);
    }

    [Fact]
    public async Task A_mirror_with_a_login_gets_it_and_nobody_else_learns_of_it()
    {
        await using var elsewhere = RawServer.Start(_ => Answer(0, Tag, archive));
        await using var server = Serve((_, _) => RawAnswer.Of("302 Found", $"Location: {elsewhere.Url}/x.tar.gz|Content-Length: 0", []));
        await Acquire(server.Url.Replace("http://", "http://me:p%40ss@", StringComparison.Ordinal), TimeProvider.System, null);
        Assert.All(server.Requests, request => Assert.Equal($"Basic {Convert.ToBase64String("me:p@ss"u8)}", request.Headers["Authorization"]));
        Assert.DoesNotContain("Authorization", Assert.Single(elsewhere.Requests).Headers.Keys);
        Assert.DoesNotContain("ss@", await File.ReadAllTextAsync(Home.TemporalRecord, Cancel), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_mirror_on_IPv6_is_a_mirror()
    {
        Assert.SkipUnless(System.Net.Sockets.Socket.OSSupportsIPv6, "needs IPv6");
        await using var server = Serve((_, _) => Answer(0, Tag, archive), IPAddress.IPv6Loopback);
        await Acquire(server);
        AssertInstalled();
    }

    /// <summary>Serves checksums.txt, and for archives what it is given: the request, and how many there were before.</summary>
    RawServer Serve(Func<RawRequest, int, RawAnswer> serve, IPAddress? address = null)
    {
        var before = 0;
        var sums = Encoding.ASCII.GetBytes($"{Hash(archive)}  {Asset}\n");
        return RawServer.Start(request => request.Path.EndsWith(".txt", StringComparison.Ordinal) ? RawAnswer.Of("200 OK", $"Content-Length: {sums.Length}", sums) : serve(request, before++), address);
    }

    /// <summary>An answer that announces everything from there on, and sends what it is given.</summary>
    RawAnswer Answer(int from, string headers, ReadOnlySpan<byte> body, bool reset = false) => RawAnswer.Of(
        from == 0 ? "200 OK" : "206 Partial Content",
        $"{headers}|Content-Length: {archive.Length - from}{(from == 0 ? "" : $"|Content-Range: bytes {from}-{archive.Length - 1}/{archive.Length}")}", body, reset);

    /// <summary>A download that was broken off in its middle, for good.</summary>
    async Task Interrupted(string validator)
    {
        await using var server = Serve((request, _) => request.From is null ? Answer(0, validator, archive.AsSpan(0, Half)) : RawAnswer.Of("503 Busy", "Content-Length: 0", []));
        address = server.Url;
        await Assert.ThrowsAsync<TemporalUnavailable>(() => Acquire(server));
    }

    string? address;

    Task<TemporalBinary> Acquire(RawServer server, TimeProvider? time = null, IProgress<InstallNews>? progress = null) => Acquire(server.Url, time ?? TimeProvider.System, progress);

    async Task<TemporalBinary> Acquire(string url, TimeProvider time, IProgress<InstallNews>? progress)
    {
        // The place of an interrupted download is known by its address, and each server has a port of its own.
        if (address is not null && File.Exists(Part + ".json")) await File.WriteAllTextAsync(Part + ".json", (await File.ReadAllTextAsync(Part + ".json", Cancel)).Replace(address, url, StringComparison.Ordinal), Cancel);
        var settings = new TemporalSettings
        {
            Mode = TemporalMode.Managed, IsDefault = false, Version = Version, Port = 7233, Ui = false, UiPort = 8233,
            Address = new HostPort("localhost", 7233), Namespace = "default", Mirror = url,
        };
        var patience = DownloadPatience.Asked with { Pauses = [TimeSpan.Zero, TimeSpan.Zero] };
        return await TemporalBinary.Acquire(settings, Home, null, progress, patience, time, Cancel);
    }

    string Part => Path.Combine(Home.Bin, "temporal.tar.gz.part");

    string[] InBin() => [.. Directory.GetFiles(Home.Bin).Select(Path.GetFileName).Order()!];

    void AssertInstalled()
    {
        Assert.Equal(["temporal", "temporal.json"], InBin());
        Assert.Equal(content, File.ReadAllBytes(Home.TemporalBinary));
    }

    static string Hash(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    static byte[] Chunked(ReadOnlySpan<byte> body) => [.. Encoding.ASCII.GetBytes($"{body.Length:x}\r\n"), .. body, .. "\r\n0\r\n\r\n"u8];

    sealed class Told : IProgress<InstallNews>
    {
        readonly TaskCompletionSource<InstallNews.Retrying> retrying = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<InstallNews.Retrying> Retrying => retrying.Task;

        public void Report(InstallNews value)
        {
            if (value is InstallNews.Retrying news) retrying.TrySetResult(news);
        }
    }
}
