using System.Globalization;
using Stigmer.Config;

namespace Stigmer.Runtime.Temporal;

/// <summary>How <c>temporal server start-dev</c> is called.</summary>
static class TemporalDevServer
{
    /// <summary>
    /// The server's database, a file of its own for each version of the CLI: a server creates its schema only in a new file
    /// and never migrates one. Its folder must be made first. No version: a binary of unknown origin.
    /// </summary>
    public static string DatabaseFile(StigmerHome home, string? version) => Path.Combine(home.TemporalData, $"temporal-{version ?? "unknown"}.db");

    /// <summary>The arguments. Port must be a real one: start-dev tells nobody which free one it took.</summary>
    public static IReadOnlyList<string> Arguments(int port, string databaseFile, string @namespace)
    {
        List<string> arguments = ["server", "start-dev", "--port", port.ToString(CultureInfo.InvariantCulture), "--db-filename", databaseFile, "--headless"];
        // `default` exists by itself.
        if (@namespace != "default") arguments.AddRange(["--namespace", @namespace]);
        return arguments;
    }
}
