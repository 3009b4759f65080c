using Stigmer.Config;
using Stigmer.Runtime.Temporal;

namespace Stigmer.Runtime;

/// <summary>Files that belong together: they are removed together or not at all.</summary>
/// <param name="Name">For people.</param>
/// <param name="Files">Absolute; as far as they are there.</param>
/// <param name="LastUsed">When one of them was last written.</param>
sealed record StateItem(string Name, IReadOnlyList<string> Files, DateTime LastUsed)
{
    /// <summary>Their size in bytes.</summary>
    public long Bytes => Files.Sum(file => new FileInfo(file) is { Exists: true } info ? info.Length : 0);

    /// <summary>Files as one item; null where none of them is there.</summary>
    public static StateItem? Of(string name, IEnumerable<string> files)
    {
        var there = files.Where(File.Exists).ToList();
        return there.Count == 0 ? null : new StateItem(name, there, there.Max(File.GetLastWriteTimeUtc));
    }
}

/// <summary>A part of a home that <c>local clean</c> can remove.</summary>
/// <param name="Flag">The option that selects it: --temporal. Empty: only --all does.</param>
/// <param name="What">For people.</param>
/// <param name="Folder">Where it is.</param>
/// <param name="Ages">False: it does not become old, and is spared where only what is old goes.</param>
/// <param name="Items">What is there.</param>
sealed record StatePart(string Flag, string What, string Folder, bool Ages, IReadOnlyList<StateItem> Items)
{
    /// <summary>Its size in bytes.</summary>
    public long Bytes => Items.Sum(item => item.Bytes);
}

/// <summary>
/// What Stigmer has left on this machine, by parts. Only files that are its own are in them, never config.yaml, and never a lock's
/// file: removing it would let two processes lock two files of one name.
/// </summary>
static class LocalState
{
    public const string Temporal = "--temporal";
    public const string Data = "--data";
    public const string Logs = "--logs";
    public const string Binary = "--bin";

    /// <summary>All parts, empty ones as well.</summary>
    /// <param name="home">Whose.</param>
    /// <param name="dataDir">Where its server's database is.</param>
    public static IReadOnlyList<StatePart> Parts(StigmerHome home, string dataDir) =>
    [
        new(Temporal, "the databases of the managed Temporal", home.TemporalData, true,
            [.. TemporalDatabases.All(home).Select(database => new StateItem(Path.GetFileName(database.File), [.. database.Files], database.LastUsed)).Where(item => item.Files.Count > 0)]),
        new(Data, "all runs, transcripts and agents, what was typed in conversations, and this machine's id", dataDir, true,
            [.. One(StateItem.Of("stigmer.db", In(dataDir, "stigmer.db*").Append(Path.Combine(dataDir, "host-id")).Append(home.History)))]),
        new(Logs, "the logs", home.Logs, true,
            [.. In(home.Logs, "*.log*").Where(IsLog).SelectMany(file => One(StateItem.Of(Path.GetFileName(file), [file])))]),
        new(Binary, "the downloaded Temporal", home.Bin, false,
            [.. One(StateItem.Of(Path.GetFileName(home.TemporalBinary), In(home.Bin, "temporal*").Where(file => !file.EndsWith(".lock", StringComparison.Ordinal))))]),
        new("", "the API's token, and what the last daemon left", home.Run, false,
            [.. One(StateItem.Of("token", [home.Token, home.Children, home.DaemonPid, home.TemporalPid, home.Stops, .. In(home.Run, "*.json")]))]),
    ];

    /// <summary>Removes files, and the folder that they were in, if nothing else is in it.</summary>
    public static void Remove(StateItem item, string folder)
    {
        foreach (var file in item.Files) File.Delete(file);
        if (Directory.Exists(folder) && !Directory.EnumerateFileSystemEntries(folder).Any()) Directory.Delete(folder);
    }

    static bool IsLog(string file)
    {
        var name = Path.GetFileName(file);
        string[] components = [ComponentName.Daemon, ComponentName.Server, ComponentName.Runner, ComponentName.Temporal];
        return components.Any(component => name == $"{component}.log" || (name.StartsWith($"{component}.log.", StringComparison.Ordinal) && name[(component.Length + 5)..].All(char.IsAsciiDigit)));
    }

    static IEnumerable<string> In(string folder, string pattern) => Directory.Exists(folder) ? Directory.EnumerateFiles(folder, pattern).Order(StringComparer.Ordinal) : [];

    static IEnumerable<StateItem> One(StateItem? item) => item is null ? [] : [item];
}
