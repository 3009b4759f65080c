using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Stigmer.Config;

namespace Stigmer.Runtime.Temporal;

/// <summary>What stands beside a database: which server made it. Written before the database is.</summary>
/// <param name="Server">The maker, as <see cref="TemporalDatabases.Maker"/> names it.</param>
/// <param name="Created">When.</param>
/// <param name="Complete">A server became ready with it. Before that a kill may have left half a schema, which no server mends.</param>
sealed record DatabaseRecord(string Server, DateTimeOffset Created, bool Complete);

/// <summary>A database of the dev server in temporal-data/.</summary>
/// <param name="File">The SQLite file, absolute.</param>
/// <param name="Record">Null: nobody knows which server made it.</param>
sealed record TemporalDatabase(string File, DatabaseRecord? Record)
{
    /// <summary>All that belongs to it, as far as it is there: the file, SQLite's own beside it, the record.</summary>
    public IEnumerable<string> Files => Data.Append(TemporalDatabases.RecordOf(File)).Where(System.IO.File.Exists);

    /// <summary>When a server last wrote to it.</summary>
    public DateTime LastUsed => Data.Where(System.IO.File.Exists).Select(System.IO.File.GetLastWriteTimeUtc).DefaultIfEmpty(System.IO.File.GetLastWriteTimeUtc(TemporalDatabases.RecordOf(File))).Max();

    /// <summary>For people: whose it is.</summary>
    public string Name => Record is null ? $"{Path.GetFileName(File)} (of an unknown version)" : $"that of {Record.Server}";

    IEnumerable<string> Data => [File, $"{File}-wal", $"{File}-shm", $"{File}-journal"];

    /// <summary>Removes it all; the record last, so that what is left of a broken-off removal is still known.</summary>
    public void Delete()
    {
        foreach (var file in Files) System.IO.File.Delete(file);
    }
}

/// <summary>The database for a start of the dev server.</summary>
/// <param name="File">Where it is, or will be.</param>
/// <param name="IsNew">The server is going to make it.</param>
/// <param name="Server">Who opens it, as <see cref="TemporalDatabases.Maker"/> names it.</param>
/// <param name="Others">Those of other servers, which are kept; the one used last comes first.</param>
sealed record DatabaseChoice(string File, bool IsNew, string Server, IReadOnlyList<TemporalDatabase> Others)
{
    /// <summary>What a start says when the server changed; null: it did not.</summary>
    public string? News => !IsNew || Others.Count == 0 ? null
        : $"Temporal is now {Server} and begins a database of its own: {Others[0].Name} is kept, and open runs go on from their transcripts";

    /// <summary>What the status says as long as databases of other servers are kept; null: there are none.</summary>
    public string? Detail => Others.Count == 0 ? null
        : (IsNew ? $"now {Server}, with a new database, on which open runs go on from their transcripts; " : "")
            + $"{(Others.Count == 1 ? $"{Others[0].Name} is" : $"{Others[0].Name} and {Others.Count - 1} more are")} kept in {Path.GetDirectoryName(File)}: "
            + "`stigmer local clean --temporal --older-than 7d` removes what is older";
}

/// <summary>
/// temporal-data/: one database for each version of the server, with a record of which made it. A dev server creates its schema
/// only in a file that is not there, never migrates it, and need not work with another version's: none is ever opened by a
/// server that did not make it. What Temporal forgets thereby, the runs' transcripts bring back.
/// </summary>
static class TemporalDatabases
{
    /// <summary>
    /// Who makes the databases of a binary: its server's version. Where the binary does not say it, its CLI's, which contains one
    /// server; where that is unknown too, its hash.
    /// </summary>
    public static string Maker(TemporalBinary binary) =>
        binary.Server is { } server ? $"server {server}" : binary.Version is { } cli ? $"CLI {cli}" : $"binary {Hash(binary.Path)}";

    /// <summary>The record beside a database.</summary>
    public static string RecordOf(string file) => Path.ChangeExtension(file, ".json");

    /// <summary>
    /// The database for a start of that server, noted in its record. What a broken-off start left half made is removed: no server
    /// was ever ready with it. Fails where the folder cannot be written.
    /// </summary>
    public static DatabaseChoice Choose(StigmerHome home, string maker, DateTimeOffset now)
    {
        StigmerHome.Ensure(home.TemporalData);
        try
        {
            var all = All(home);
            var mine = all.FirstOrDefault(database => database.Record?.Server == maker);
            var others = all.Where(database => database != mine && File.Exists(database.File)).ToList();
            if (mine is { Record.Complete: true } && File.Exists(mine.File)) return new DatabaseChoice(mine.File, false, maker, others);
            mine?.Delete();
            var file = mine?.File ?? Free(home, maker);
            Write(file, new DatabaseRecord(maker, now, Complete: false));
            return new DatabaseChoice(file, true, maker, others);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new Failure($"Temporal's database cannot be made in {home.TemporalData}", e.Message, "Make room there, or set STIGMER_HOME to a folder that you can write to", inner: e);
        }
    }

    /// <summary>A server became ready with it: from here on it is kept.</summary>
    public static void Completed(string file)
    {
        if (ReadRecord(file) is { Complete: false } record) Write(file, record with { Complete = true });
    }

    /// <summary>All databases, known or not; the one used last comes first.</summary>
    public static IReadOnlyList<TemporalDatabase> All(StigmerHome home)
    {
        if (!Directory.Exists(home.TemporalData)) return [];
        var files = Directory.GetFiles(home.TemporalData, "*.db").Concat(Directory.GetFiles(home.TemporalData, "*.json").Select(record => Path.ChangeExtension(record, ".db")));
        return [.. files.Distinct(StringComparer.Ordinal).Select(file => new TemporalDatabase(file, ReadRecord(file))).OrderByDescending(database => database.LastUsed).ThenBy(database => database.File, StringComparer.Ordinal)];
    }

    /// <summary>
    /// What an installation of that server is to say: the next start begins a new database, and the old ones are kept. Null where
    /// it has one already, or nothing was there before.
    /// </summary>
    /// <param name="binary">What was installed.</param>
    public static string? AfterInstalling(StigmerHome home, TemporalBinary binary)
    {
        var maker = Maker(binary);
        var all = All(home);
        var others = all.Where(database => database.Record?.Server != maker && File.Exists(database.File)).ToList();
        return all.Any(database => database.Record is { Complete: true } record && record.Server == maker) || others.Count == 0 ? null
            : $"The next start of Temporal, now {maker}, begins a database of its own: {others[0].Name} is kept, and open runs go on from their transcripts";
    }

    /// <summary>A name that nobody has taken: a file without a record of this maker is not ours to open.</summary>
    static string Free(StigmerHome home, string maker)
    {
        var name = maker.StartsWith("server ", StringComparison.Ordinal) ? maker["server ".Length..] : maker.Replace(' ', '-');
        for (var number = 1; ; number++)
        {
            var suffix = number == 1 ? "" : string.Create(CultureInfo.InvariantCulture, $"-{number}");
            var file = Path.Combine(home.TemporalData, $"temporal-{name}{suffix}.db");
            if (!Path.Exists(file) && !Path.Exists(RecordOf(file))) return file;
        }
    }

    static DatabaseRecord? ReadRecord(string file)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(RecordOf(file)), DatabaseRecordJson.Default.DatabaseRecord);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException or JsonException)
        {
            // A record that cannot be read vouches for nothing.
            return null;
        }
    }

    static void Write(string file, DatabaseRecord record) =>
        PrivateFile.Replace(RecordOf(file), JsonSerializer.SerializeToUtf8Bytes(record, DatabaseRecordJson.Default.DatabaseRecord));

    static string Hash(string path)
    {
        using var file = File.OpenRead(path);
        return Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(file))[..12];
    }
}

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, WriteIndented = true, RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(DatabaseRecord))]
sealed partial class DatabaseRecordJson : JsonSerializerContext;
