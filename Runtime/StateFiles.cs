using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Stigmer.Config;
using Stigmer.Processes;

namespace Stigmer.Runtime;

/// <summary>A process as children.json names it.</summary>
sealed record NamedProcess(string Name, int Pid, long Start, string Boot)
{
    /// <summary>Null where the system does not tell who it is: then it cannot be named safely.</summary>
    public static NamedProcess? From(string name, ProcessIdentity? identity) =>
        identity is null ? null : new NamedProcess(name, identity.Pid, identity.Start, identity.Boot);

    [JsonIgnore]
    public ProcessIdentity Identity => new(Pid, Start, Boot);
}

/// <summary>What children.json holds.</summary>
sealed record ChildrenDocument(IReadOnlyList<NamedProcess> Children);

/// <summary>
/// The small files in which the daemon tells who it and its children are, and the token. All but the token are worthless after
/// a reboot, which the boot id in them tells, so that they need not be forced to the disk.
/// </summary>
static class StateFiles
{
    /// <summary>Writes a file that names one process.</summary>
    public static void WriteProcess(string path, NamedProcess? process)
    {
        if (process is null) Delete(path);
        else Replace(path, JsonSerializer.SerializeToUtf8Bytes(process, StateJson.Default.NamedProcess));
    }

    /// <summary>Reads such a file; null where there is none, or an older installation's plain number.</summary>
    public static NamedProcess? ReadProcess(string path) => Read(path, StateJson.Default.NamedProcess);

    /// <summary>Writes children.json.</summary>
    public static void WriteChildren(string path, IReadOnlyList<NamedProcess> children) =>
        Replace(path, JsonSerializer.SerializeToUtf8Bytes(new ChildrenDocument(children), StateJson.Default.ChildrenDocument));

    /// <summary>Reads children.json; empty where it is not there or not ours.</summary>
    public static IReadOnlyList<NamedProcess> ReadChildren(string path) => Read(path, StateJson.Default.ChildrenDocument)?.Children ?? [];

    /// <summary>run/token: 256 random bits in hex, made once, readable by this user only.</summary>
    public static string Token(StigmerHome home)
    {
        try
        {
            if (File.ReadAllText(home.Token).Trim() is { Length: > 0 } token) return token;
        }
        catch (IOException)
        {
            // Not there yet.
        }
        var made = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32));
        PrivateFile.Replace(home.Token, System.Text.Encoding.ASCII.GetBytes(made + "\n"));
        return made;
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

    /// <summary>As <see cref="PrivateFile.Replace"/>, without the wait for the disk.</summary>
    static void Replace(string path, byte[] content)
    {
        var beside = path + ".new";
        using (var file = PrivateFile.Create(beside)) file.Write(content);
        File.Move(beside, path, overwrite: true);
    }
}

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(NamedProcess))]
[JsonSerializable(typeof(ChildrenDocument))]
sealed partial class StateJson : JsonSerializerContext;
