using System.Text.Json;
using System.Text.Json.Serialization;
using Stigmer.Config;
using Stigmer.Processes;

namespace Stigmer.Runtime;

/// <summary>A process as children.json names it.</summary>
/// <param name="Name">The component.</param>
/// <param name="Pid">Its id.</param>
/// <param name="Start">When it was started, as <see cref="ProcessIdentity"/> counts it.</param>
/// <param name="Boot">The boot that both belong to.</param>
/// <param name="Home">The home whose process it is: a copy of a running home holds files that name the original's.</param>
sealed record NamedProcess(string Name, int Pid, long Start, string Boot, string? Home)
{
    /// <summary>Null where the system does not tell who it is: then it cannot be named safely.</summary>
    public static NamedProcess? From(string name, ProcessIdentity? identity, StigmerHome home) =>
        identity is null ? null : new NamedProcess(name, identity.Pid, identity.Start, identity.Boot, home.Root);

    [JsonIgnore]
    public ProcessIdentity Identity => new(Pid, Start, Boot);
}

/// <summary>What children.json holds.</summary>
/// <param name="Children">The components' processes, each the leader of a group.</param>
/// <param name="Lives">
/// The latest lives of the agent-runner, the present one last. After a daemon that was killed, and once no process of it is
/// left, they are known to have ended: the next runner takes their place at once.
/// </param>
/// <param name="Mark">What all that they start has in its environment (<see cref="Leftovers.Mark"/>); null: nothing.</param>
sealed record ChildrenDocument(IReadOnlyList<NamedProcess> Children, IReadOnlyList<string> Lives, string? Mark = null);

/// <summary>
/// The small files in which the daemon tells who it and its children are. They are worthless after a reboot, which the boot id
/// in them tells, so that they need not be forced to the disk.
/// </summary>
static class StateFiles
{
    /// <summary>Writes a file that names one process.</summary>
    public static void WriteProcess(string path, NamedProcess? process)
    {
        if (process is null) Delete(path);
        else PrivateFile.Replace(path, JsonSerializer.SerializeToUtf8Bytes(process, StateJson.Default.NamedProcess), lasting: false);
    }

    /// <summary>Reads such a file; null where there is none, or an older installation's plain number.</summary>
    public static NamedProcess? ReadProcess(string path) => Read(path, StateJson.Default.NamedProcess);

    /// <summary>Writes children.json.</summary>
    public static void WriteChildren(string path, ChildrenDocument children) =>
        PrivateFile.Replace(path, JsonSerializer.SerializeToUtf8Bytes(children, StateJson.Default.ChildrenDocument), lasting: false);

    /// <summary>Reads children.json; one without anything where it is not there or not ours.</summary>
    public static ChildrenDocument ReadChildren(string path)
    {
        var read = Read(path, StateJson.Default.ChildrenDocument);
        // A file of another release lacks fields, and one that was written by something else may hold nulls anywhere.
        return new ChildrenDocument([.. (read?.Children ?? []).Where(c => c is { Name: not null })], [.. (read?.Lives ?? []).Where(l => l is not null)], read?.Mark);
    }

    /// <summary>Removes a file; nothing where there is none.</summary>
    public static void Delete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A leftover that names a process that has ended harms nobody.
        }
    }

    /// <summary>
    /// What stands in the place of a file that is to be written and is none: an empty folder is removed, and a link that leads
    /// nowhere; another folder is moved aside, for nobody knows whose it is.
    /// </summary>
    public static void ClearAway(string path)
    {
        try
        {
            if (File.ResolveLinkTarget(path, returnFinalTarget: true) is { } target)
            {
                // Asked of the link itself, .NET says that it exists.
                if (!Path.Exists(target.FullName)) File.Delete(path);
                return;
            }
            if (!Directory.Exists(path)) return;
            if (Directory.EnumerateFileSystemEntries(path).Any()) Directory.Move(path, $"{path}.{RandomId.New(bytes: 4)}");
            else Directory.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Somebody else was faster, or it cannot be: whoever needs the place says so.
        }
    }

    /// <summary>Makes room for what a daemon writes. Only who holds the lock may do this.</summary>
    public static void MakeRoom(StigmerHome home)
    {
        foreach (var file in (ReadOnlySpan<string>)[home.DaemonPid, home.Children, home.TemporalPid])
        {
            ClearAway(file);
            ClearAway($"{file}.new");
        }
        ClearAway(home.ControlSocket);
        ClearAway(home.Token);
        // It is made whole or not at all: one that no header can carry is none of ours, and opens nothing.
        if (!IsToken(home.Token)) Delete(home.Token);
    }

    static bool IsToken(string path)
    {
        try
        {
            return File.ReadAllBytes(path).AsSpan().Trim(" \r\n\t"u8) is { IsEmpty: false } content && content.IndexOfAnyExceptInRange((byte)0x21, (byte)0x7e) < 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return true; // None, or one of whose like whoever needs it tells.
        }
    }

    static T? Read<T>(string path, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type) where T : class
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), type);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            return null;
        }
    }
}

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(NamedProcess))]
[JsonSerializable(typeof(ChildrenDocument))]
sealed partial class StateJson : JsonSerializerContext;
