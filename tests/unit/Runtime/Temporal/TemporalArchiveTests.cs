using System.Formats.Tar;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;
using Stigmer.Runtime.Temporal;
using Stigmer.Standins;

namespace Stigmer.Tests.Runtime.Temporal;

public sealed class TemporalArchiveTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("stigmer-archive-").FullName;

    string Target => Path.Combine(folder, "inside", "temporal.next");

    public TemporalArchiveTests() => Directory.CreateDirectory(Path.Combine(folder, "inside"));

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Theory]
    [InlineData("temporal")]
    [InlineData("./temporal")]
    public async Task Only_the_expected_file_is_unpacked_and_it_is_not_executable_yet(string name)
    {
        var hash = await Extract(TemporalArchives.Pack(("LICENSE", "text"), (name, "the binary"), ("temporal.txt", "no")));
        Assert.Equal("the binary", await File.ReadAllTextAsync(Target, TestContext.Current.CancellationToken));
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData("the binary"u8)), hash);
        Assert.Equal([Target], Directory.GetFileSystemEntries(folder, "*", SearchOption.AllDirectories).Where(File.Exists));
        if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Target));
    }

    [Fact]
    public Task Folders_and_pax_headers_are_let_through() => Extract(TemporalArchives.Pack(tar =>
    {
        tar.WriteEntry(new PaxGlobalExtendedAttributesTarEntry(new Dictionary<string, string> { ["comment"] = "a commit" }));
        tar.WriteEntry(new PaxTarEntry(TarEntryType.Directory, "docs/"));
        tar.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, "docs/" + new string('n', 200)));
        tar.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, "temporal") { DataStream = Text("binary") });
    }));

    public static TheoryData<string, string> Hostile => new()
    {
        { "absolute", "absolute path '/tmp/evil'" },
        { "windows absolute", "absolute path 'C:evil'" },
        { "parent", "'../evil', which leads out of its folder" },
        { "parent inside", "'docs/../../evil', which leads out of its folder" },
        { "backslash parent", @"'..\evil', which leads out of its folder" },
        { "symbolic link", "'temporal' is a link" },
        { "hard link", "'other' is a link" },
        { "device", "'null' is a device" },
        { "pipe", "'pipe' is a device" },
        { "twice", "temporal twice" },
        { "twice by another name", "temporal twice" },
        { "twice by a longer name", "temporal twice" },
        { "twice in other letters", "LICENSE twice" },
        { "a huge header", "headers are larger than 1 MB" },
        { "too many", "more than 1000 members" },
        { "missing", "holds no temporal" },
        { "only a folder", "holds no temporal" },
        { "in a folder", "holds no temporal" },
        { "empty", "its temporal is empty" },
    };

    [Theory]
    [MemberData(nameof(Hostile))]
    public async Task A_hostile_archive_is_refused_by_name_of_the_reason(string kind, string reason)
    {
        static void File(TarWriter tar, string name, string text = "evil") => tar.WriteEntry(new UstarTarEntry(TarEntryType.RegularFile, name) { DataStream = Text(text) });
        var archive = TemporalArchives.Pack(tar =>
        {
            // Where the expected file stands first, it was written already when the rest is refused.
            if (kind is not ("symbolic link" or "missing" or "only a folder" or "in a folder" or "empty")) File(tar, "temporal");
            switch (kind)
            {
                case "absolute": File(tar, "/tmp/evil"); break;
                case "windows absolute": File(tar, "C:evil"); break;
                case "parent": File(tar, "../evil"); break;
                case "parent inside": File(tar, "docs/../../evil"); break;
                case "backslash parent": File(tar, @"..\evil"); break;
                case "symbolic link": tar.WriteEntry(new UstarTarEntry(TarEntryType.SymbolicLink, "temporal") { LinkName = "/bin/sh" }); break;
                case "hard link": tar.WriteEntry(new UstarTarEntry(TarEntryType.HardLink, "other") { LinkName = "/bin/sh" }); break;
                case "device": tar.WriteEntry(new UstarTarEntry(TarEntryType.CharacterDevice, "null") { DeviceMajor = 1, DeviceMinor = 3 }); break;
                case "pipe": tar.WriteEntry(new UstarTarEntry(TarEntryType.Fifo, "pipe")); break;
                case "twice": File(tar, "temporal"); break;
                case "twice by another name": File(tar, "./temporal"); break;
                case "twice by a longer name": File(tar, ".//./temporal"); break;
                case "twice in other letters": File(tar, "license"); File(tar, "LICENSE"); break;
                case "a huge header": tar.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, "x", new Dictionary<string, string> { ["comment"] = new('x', 3 << 20) })); break;
                case "too many": for (var n = 0; n < 1000; n++) File(tar, $"docs/{n}"); break;
                case "missing": File(tar, "LICENSE"); break;
                case "only a folder": tar.WriteEntry(new UstarTarEntry(TarEntryType.Directory, "temporal")); break;
                case "in a folder": File(tar, "bin/temporal"); break;
                case "empty": File(tar, "temporal", ""); break;
            }
        });
        var failure = await Refused(archive);
        Assert.Contains(reason, failure.Why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_larger_than_allowed_is_refused_by_its_header()
    {
        var failure = await Refused(TemporalArchives.Pack(("temporal", new string('x', 3 << 20))), maxSize: 2 << 20);
        Assert.Contains("more than 2 MB", failure.Why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Other_members_count_too_when_they_unpack_to_more_than_allowed()
    {
        var failure = await Refused(TemporalArchives.Pack(("a", new string('x', 1 << 20)), ("b", new string('x', 1 << 20)), ("temporal", "x")), maxSize: 2 << 20);
        Assert.Contains("more than 2 MB", failure.Why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_archive_that_is_cut_short_anywhere_is_refused()
    {
        var random = new Random(1);
        var whole = TemporalArchives.Pack(("LICENSE", "text"), ("temporal", Convert.ToBase64String(RandomBytes(random, 3000))));
        Assert.NotNull(await Extract(whole));
        for (var length = 0; length < whole.Length; length += length < whole.Length - 40 ? 97 : 1)
        {
            var failure = await Refused(whole[..length]);
            Assert.Contains("damaged or cut short", failure.Why, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(20_000)]
    public async Task What_follows_the_archives_end_is_refused(int count)
    {
        var whole = TemporalArchives.Pack(("temporal", Convert.ToBase64String(RandomBytes(new Random(3), 3000))));
        Assert.Contains("follows its end", (await Refused([.. whole, .. RandomBytes(new Random(4), count)])).Why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_follows_the_end_inside_of_the_archive_is_refused()
    {
        var tar = new MemoryStream();
        await using (var gzip = new GZipStream(new MemoryStream(TemporalArchives.Pack(("temporal", "binary"))), CompressionMode.Decompress)) await gzip.CopyToAsync(tar, TestContext.Current.CancellationToken);
        tar.Write("more"u8);
        var packed = new MemoryStream();
        await using (var gzip = new GZipStream(packed, CompressionMode.Compress, leaveOpen: true)) gzip.Write(tar.ToArray());
        Assert.Contains("follows its end", (await Refused(packed.ToArray())).Why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_flipped_bit_is_found_by_gzips_own_sum()
    {
        var whole = TemporalArchives.Pack(("temporal", Convert.ToBase64String(RandomBytes(new Random(2), 3000))));
        whole[whole.Length / 2] ^= 4;
        await Refused(whole);
    }

    [Fact]
    public async Task What_is_no_archive_is_refused()
    {
        await Refused("plain text"u8.ToArray());
        using var gzip = new MemoryStream();
        await using (var packed = new GZipStream(gzip, CompressionMode.Compress, leaveOpen: true)) packed.Write(Encoding.UTF8.GetBytes(new string('x', 2000)));
        await Refused(gzip.ToArray());
    }

    async Task<Failure> Refused(byte[] archive, long maxSize = TemporalArchive.MaxSize)
    {
        var failure = await Assert.ThrowsAsync<Failure>(() => Extract(archive, maxSize));
        Assert.Equal("The archive of the Temporal CLI is refused", failure.What);
        Assert.DoesNotContain(Directory.GetFileSystemEntries(folder, "*", SearchOption.AllDirectories), File.Exists);
        return failure;
    }

    Task<string> Extract(byte[] archive, long maxSize = TemporalArchive.MaxSize) =>
        TemporalArchive.Extract(new MemoryStream(archive), "temporal", Target, TestContext.Current.CancellationToken, maxSize);

    static MemoryStream Text(string text) => new(Encoding.UTF8.GetBytes(text));

    static byte[] RandomBytes(Random random, int count)
    {
        var bytes = new byte[count];
        random.NextBytes(bytes);
        return bytes;
    }
}
