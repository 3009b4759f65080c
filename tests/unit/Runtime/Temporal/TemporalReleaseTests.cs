using System.Runtime.InteropServices;
using Stigmer.Runtime.Temporal;

namespace Stigmer.Tests.Runtime.Temporal;

public class TemporalReleaseTests
{
    [Theory]
    [InlineData("darwin", Architecture.X64, "temporal_cli_1.8.2_darwin_amd64.tar.gz", "temporal")]
    [InlineData("darwin", Architecture.Arm64, "temporal_cli_1.8.2_darwin_arm64.tar.gz", "temporal")]
    [InlineData("linux", Architecture.X64, "temporal_cli_1.8.2_linux_amd64.tar.gz", "temporal")]
    [InlineData("linux", Architecture.Arm64, "temporal_cli_1.8.2_linux_arm64.tar.gz", "temporal")]
    [InlineData("windows", Architecture.X64, "temporal_cli_1.8.2_windows_amd64.tar.gz", "temporal.exe")]
    [InlineData("windows", Architecture.Arm64, "temporal_cli_1.8.2_windows_arm64.tar.gz", "temporal.exe")]
    public void A_version_and_a_platform_name_an_archive_an_address_and_a_member(string os, Architecture architecture, string asset, string member)
    {
        var release = TemporalRelease.Of("1.8.2", TemporalPlatform.Of(os, architecture));
        Assert.Equal(asset, release.Asset);
        Assert.Equal(member, release.Platform.Executable);
        Assert.Equal($"https://github.com/temporalio/cli/releases/download/v1.8.2/{asset}", release.ArchiveUrl(null).AbsoluteUri);
        Assert.Equal("https://github.com/temporalio/cli/releases/download/v1.8.2/checksums.txt", release.ChecksumsUrl(null).AbsoluteUri);
    }

    [Theory]
    [InlineData("linux", Architecture.RiscV64)]
    [InlineData("linux", Architecture.X86)]
    [InlineData("FreeBSD 14", Architecture.X64)]
    public void A_platform_without_a_release_is_named(string os, Architecture architecture) =>
        Assert.Contains(os, Assert.Throws<Failure>(() => TemporalPlatform.Of(os, architecture)).What, StringComparison.Ordinal);

    [Fact]
    public void The_default_version_is_pinned_on_all_six_platforms_and_no_hash_twice()
    {
        var pins = TemporalPlatform.All.Select(platform => TemporalRelease.Of("1.8.2", platform).PinnedSha256).ToArray();
        Assert.Equal(6, pins.Distinct().Count());
        Assert.All(pins, pin => Assert.Matches("^[0-9a-f]{64}$", pin));
    }

    [Fact]
    public void Another_version_is_not_pinned() => Assert.Null(TemporalRelease.Of("1.8.3", TemporalPlatform.All[0]).PinnedSha256);

    [Theory]
    [InlineData("http://127.0.0.1:8080")]
    [InlineData("http://127.0.0.1:8080/")]
    public void A_mirror_takes_the_origins_place(string mirror) => Assert.Equal(
        "http://127.0.0.1:8080/v1.8.3/temporal_cli_1.8.3_linux_amd64.tar.gz", TemporalRelease.Of("1.8.3", new TemporalPlatform("linux", "amd64")).ArchiveUrl(mirror).AbsoluteUri);

    [Theory]
    [InlineData("mirror.example")]
    [InlineData("ftp://mirror.example")]
    [InlineData("/srv/mirror")]
    public void A_mirror_that_is_no_address_is_refused(string mirror) =>
        Assert.Equal(2, Assert.Throws<Failure>(() => TemporalRelease.Of("1.8.2", TemporalPlatform.All[0]).ArchiveUrl(mirror)).ExitCode);

    [Theory]
    [InlineData("latest")]
    [InlineData("1.8")]
    [InlineData("1.8.2/../../evil")]
    [InlineData("1.8.2\n")]
    [InlineData("")]
    public void What_is_no_version_is_refused(string version) =>
        Assert.Equal(2, Assert.Throws<Failure>(() => TemporalRelease.Of(version, TemporalPlatform.All[0])).ExitCode);

    [Fact]
    public void The_dev_server_is_told_its_ports_its_database_and_whether_it_shows_its_UI()
    {
        Assert.Equal(["server", "start-dev", "--port", "7233", "--db-filename", "/d/t.db", "--headless"], TemporalDevServer.Arguments(7233, null, "/d/t.db", "default"));
        Assert.Equal(["--ui-port", "8233"], TemporalDevServer.Arguments(7233, 8233, "/d/t.db", "default").Skip(6));
        Assert.Equal(["--namespace", "team"], TemporalDevServer.Arguments(7233, null, "/d/t.db", "team").Skip(7));
    }
}
