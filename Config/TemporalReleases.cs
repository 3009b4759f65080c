using System.Globalization;

namespace Stigmer.Config;

/// <summary>
/// Releases of Temporal's CLI, the one thing that is downloaded, and of the server that each contains: older configurations
/// name the server. Gathered on 2026-11-24 from stored copies of
/// public pages about temporalio/cli's releases.
/// </summary>
static class TemporalReleases
{
    /// <summary>The release that is taken where none is named.</summary>
    public const string Default = "1.8.2";

    static readonly (string Server, string Cli)[] Bundles =
    [
        ("1.25.0", "1.1.0"),
        ("1.25.1", "1.1.1"),
        ("1.29.1", "1.5.1"),
        ("1.31.2", "1.8.3"),
    ];

    /// <summary>
    /// Whether a version is a server's rather than the CLI's. The CLI had reached 1.8 when the server stood at 1.31; between
    /// 1.20 and 1.39 lie servers that configurations may name and CLIs that are years away.
    /// </summary>
    public static bool IsServer(string version) =>
        TryParse(version, out var number) && number.Split('.') is ["1", var minor, _]
        && int.Parse(minor, CultureInfo.InvariantCulture) is >= 20 and < 40;

    /// <summary>The CLI's release that contains a server's version; null where that is not known.</summary>
    public static string? ForServer(string server) => Bundles.FirstOrDefault(row => row.Server == server).Cli;

    /// <summary>What is known of a version that somebody asks the CLI's releases for, as half a sentence.</summary>
    public static string About(string version)
    {
        if (ForServer(version) is { } cli) return $"{version} is the version of a Temporal server, which the CLI's release {cli} contains";
        if (Bundles.FirstOrDefault(row => row.Cli == version).Server is { } server) return $"it would contain the Temporal server {server}";
        return IsServer(version)
            ? $"{version} looks like the version of a Temporal server: the CLI has releases of its own" : $"{version} is not known as a server's version either";
    }

    /// <summary>
    /// The CLI's release that somebody means who names it, or the server that it contains. Fails (exit code 2) on what is neither.
    /// </summary>
    /// <param name="text">With or without a v before it.</param>
    public static string Meant(string text)
    {
        if (!TryParse(text, out var version))
        {
            throw new Failure($"'{text}' is not a version of the Temporal CLI", null, $"Name one like {Default}, which is the default", ExitCode.Usage);
        }
        if (!IsServer(version)) return version;
        return ForServer(version) ?? throw new Failure(
            $"{version} is the version of a Temporal server", "which release of the CLI contains it is not known",
            $"Name a release of the CLI, or none for the default, {Default}", ExitCode.Usage);
    }

    /// <summary>Below 0 where the first is the older one, above 0 where it is the newer one. Both must be versions.</summary>
    public static int Compare(string one, string other)
    {
        var (a, b) = (one.Split('-', 2), other.Split('-', 2));
        var numbers = System.Version.Parse(a[0]).CompareTo(System.Version.Parse(b[0]));
        // 1.8.0-rc.1 comes before 1.8.0.
        return numbers != 0 || (a.Length == 1 && b.Length == 1) ? numbers : a.Length != b.Length ? b.Length - a.Length : string.CompareOrdinal(a[1], b[1]);
    }

    /// <summary>Reads MAJOR.MINOR.PATCH, with or without a v before and a -suffix behind.</summary>
    /// <param name="text">A version.</param>
    /// <param name="number">Without the v.</param>
    public static bool TryParse(string text, out string number)
    {
        number = text.StartsWith('v') ? text[1..] : text;
        var dash = number.IndexOf('-', StringComparison.Ordinal);
        var parts = (dash < 0 ? number : number[..dash]).Split('.');
        return parts.Length == 3 && parts.All(part => part.Length is > 0 and < 5 && part.All(char.IsAsciiDigit))
            && (dash < 0 || (number.Length > dash + 1
                && number[(dash + 1)..].All(symbol => char.IsAsciiLetterOrDigit(symbol) || symbol is '.' or '-')));
    }
}
