using System.Runtime.InteropServices;
using System.Text.RegularExpressions;

namespace Stigmer.Runtime.Temporal;

/// <summary>A system that the Temporal CLI is released for, by the names in its archives.</summary>
/// <param name="Os">darwin, linux or windows.</param>
/// <param name="Arch">amd64 or arm64.</param>
sealed record TemporalPlatform(string Os, string Arch)
{
    /// <summary>The six that exist.</summary>
    public static IReadOnlyList<TemporalPlatform> All { get; } =
        [new("darwin", "amd64"), new("darwin", "arm64"), new("linux", "amd64"), new("linux", "arm64"), new("windows", "amd64"), new("windows", "arm64")];

    /// <summary>The executable's name in the archive.</summary>
    public string Executable => Os == "windows" ? "temporal.exe" : "temporal";

    /// <summary>The system this process runs on. Fails where there is no Temporal CLI for it.</summary>
    public static TemporalPlatform Current() => Of(
        OperatingSystem.IsWindows() ? "windows" : OperatingSystem.IsMacOS() ? "darwin" : OperatingSystem.IsLinux() ? "linux" : RuntimeInformation.OSDescription,
        RuntimeInformation.OSArchitecture);

    /// <summary>The platform of that name and architecture. Fails where there is no Temporal CLI for it.</summary>
    public static TemporalPlatform Of(string os, Architecture architecture)
    {
        var arch = architecture switch { Architecture.X64 => "amd64", Architecture.Arm64 => "arm64", var other => other.ToString().ToLowerInvariant() };
        return All.FirstOrDefault(platform => platform == new TemporalPlatform(os, arch)) ?? throw new Failure(
            $"There is no Temporal CLI for {os} on {arch}", null, "Start with --embedded, or set STIGMER_TEMPORAL_BIN to a binary of your own");
    }
}

/// <summary>One release of the Temporal CLI for one platform: from the version to the archive, its address and its hash.</summary>
/// <param name="Version">The CLI's version, such as 1.8.2.</param>
/// <param name="Platform">The system it runs on.</param>
sealed partial record TemporalRelease(string Version, TemporalPlatform Platform)
{
    /// <summary>Where releases are, unless STIGMER_TEMPORAL_MIRROR says otherwise.</summary>
    public const string Origin = "https://github.com/temporalio/cli/releases/download";

    /// <summary>
    /// SHA-256 of archives that we trust more than whoever serves them. Read on 2026-11-24 from two independent projects that
    /// pin the same release; the Windows rows from two files of one of them.
    /// </summary>
    static readonly (string Version, string Os, string Arch, string Sha256)[] Pins =
    [
        ("1.8.2", "darwin", "amd64", "489d7f5420cae02b559774ac23df035141954c33a51dba96f5759a0ddccdf1b6"),
        ("1.8.2", "darwin", "arm64", "dacdc3587682c04cf27e67c8878ca2d755230b6ad63c0c6ebddd7348ae90ed94"),
        ("1.8.2", "linux", "amd64", "d8421bda989e6514b4bdb4d63a9012a8a05a806892e881a5aad8510496349a94"),
        ("1.8.2", "linux", "arm64", "83600a8fac6e3da54093e5da6918d399f501532b9f1172235603f9606f4ac6e4"),
        ("1.8.2", "windows", "amd64", "c845948aa4ab3b1a3643f9fea6d1cd691188bc31513de5f2dc5f7eceea25f22a"),
        ("1.8.2", "windows", "arm64", "da78339510b1f91a8212ff247940d3b1dd3022ccfa00add400359311f941697e"),
    ];

    /// <summary>The archive's file name.</summary>
    public string Asset => $"temporal_cli_{Version}_{Platform.Os}_{Platform.Arch}.tar.gz";

    /// <summary>The archive's SHA-256 in small hex where it is known beforehand; null: ask the checksums.txt beside it.</summary>
    public string? PinnedSha256 => Pins.FirstOrDefault(pin => (pin.Version, pin.Os, pin.Arch) == (Version, Platform.Os, Platform.Arch)).Sha256;

    /// <summary>Fails (exit code 2) on a version that is no version: it becomes part of an address and of file names.</summary>
    public static TemporalRelease Of(string version, TemporalPlatform platform) => VersionPattern().IsMatch(version)
        ? new TemporalRelease(version, platform)
        : throw new Failure($"'{version}' is not a version of the Temporal CLI", null, "Set temporal.version to something like 1.8.2, or remove the line", ExitCode.Usage);

    /// <summary>The archive's address below <see cref="Origin"/> or a mirror.</summary>
    public Uri ArchiveUrl(string? mirror) => Below(mirror, Asset);

    /// <summary>The address of the list of hashes beside it.</summary>
    public Uri ChecksumsUrl(string? mirror) => Below(mirror, "checksums.txt");

    Uri Below(string? mirror, string file)
    {
        var text = mirror ?? Origin;
        if (!Uri.TryCreate($"{text.TrimEnd('/')}/v{Version}/{file}", UriKind.Absolute, out var url) || url.Scheme is not ("https" or "http"))
        {
            throw new Failure($"STIGMER_TEMPORAL_MIRROR is not an address", $"'{text}' begins with neither https:// nor http://", $"Set it to what takes the place of {Origin}", ExitCode.Usage);
        }
        return url;
    }

    [GeneratedRegex(@"\A[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?\z")]
    private static partial Regex VersionPattern();
}
