using System.Globalization;
using System.Reflection;

namespace Stigmer.Server.Storage;

/// <summary>
/// The database's schema, as the scripts that made it. A release that changes it adds a script; one that has been released is
/// never edited. PRAGMA user_version counts the scripts that a file has seen.
/// </summary>
static partial class Schema
{
    /// <summary>In order. The server's own tables, and those of the embedded engine (prefix engine_).</summary>
    static readonly string[] Scripts = [ServerTables, EngineTables];

    /// <summary>What a table of the server's own says about itself: the server's id, and the version that last wrote the file.</summary>
    const string ServerTables = """
        CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
        """;

    /// <summary>This release, as it stands in the database.</summary>
    internal static string Version { get; } =
        typeof(Schema).Assembly.GetName().Version is { } version ? version.ToString(3) : "0.0.0";

    internal static void Migrate(Connection connection, string file) => Migrate(connection, file, Scripts, Version);

    /// <summary>Brings the file to the last of <paramref name="scripts"/>; refuses one that has seen more.</summary>
    internal static void Migrate(Connection connection, string file, IReadOnlyList<string> scripts, string version)
    {
        var seen = connection.Number("PRAGMA user_version");
        if (seen > scripts.Count)
        {
            var by = connection.Text("SELECT value FROM meta WHERE key = 'version'") ?? "a newer version";
            throw new Failure(
                $"The database {file} was written by stigmer {by}", $"this is stigmer {version}, which is older",
                $"Use stigmer {by} or newer, or give this one another folder (STIGMER_DATA_DIR)");
        }
        for (var next = (int)seen; next < scripts.Count; next++)
        {
            connection.Execute("BEGIN IMMEDIATE");
            using (var script = connection.CreateCommand())
            {
                script.CommandText = scripts[next];
                script.ExecuteNonQuery();
            }
            connection.Execute(string.Create(CultureInfo.InvariantCulture, $"PRAGMA user_version = {next + 1}"));
            connection.Execute("INSERT INTO meta (key, value) VALUES ('version', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value", version);
            connection.Execute("COMMIT");
        }
    }
}
