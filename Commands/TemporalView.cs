using System.Text.Json.Serialization;
using Stigmer.Config;
using Stigmer.Runtime;
using Stigmer.Runtime.Temporal;

namespace Stigmer.Commands;

/// <summary>What the commands about the managed binary have in common.</summary>
static class TemporalView
{
    /// <summary>Configuration, with its warnings said.</summary>
    public static Settings Resolve(Terminal terminal)
    {
        var settings = Configuration.Resolve(Environment.GetEnvironmentVariable, new Flags());
        foreach (var warning in settings.Warnings) terminal.Warn(warning);
        return settings;
    }

    /// <summary>The managed Temporal of a stack that runs; null: none does, or it does not answer.</summary>
    public static async Task<TemporalStatus?> Running(StigmerHome home, CancellationToken cancel)
    {
        try
        {
            return await Launcher.Status(home, TimeProvider.System, cancel) is { Document.Temporal: { Mode: EngineName.Managed } temporal } ? temporal : null;
        }
        catch (Failure)
        {
            return null; // Of a daemon that hangs nobody knows.
        }
    }

    /// <summary>The document about what is installed, or about the binary that is named in its place.</summary>
    public static TemporalDocument Document(Settings settings, InstalledTemporal found, string? server)
    {
        var home = settings.Home;
        if (settings.Temporal.Binary is { } own)
        {
            return new TemporalDocument(File.Exists(own), null, server, own, null, null, null, settings.Temporal.Version, "STIGMER_TEMPORAL_BIN names it, and it is started unchecked");
        }
        bool? sound = found.Soundness switch { Soundness.Sound => true, Soundness.Altered => false, _ => null };
        var detail = found.Soundness switch
        {
            Soundness.Altered => $"{found.Complaint(home)}: `stigmer temporal install` puts a sound one in its place",
            Soundness.Unrecorded => "an older installation left it without a record, and it is started unchecked: `stigmer temporal install` puts a checked one in its place",
            _ => null,
        };
        return new TemporalDocument(
            found.Soundness != Soundness.Absent, found.Record?.Version, server, home.TemporalBinary, sound, found.Record?.Url, found.Record?.Date.UtcDateTime, settings.Temporal.Version, detail);
    }

    /// <summary>What the status has to tell of the installed binary; null: nothing, or it does not matter.</summary>
    /// <param name="home">Where it is.</param>
    /// <param name="engine">managed, external or embedded.</param>
    /// <param name="own">The binary that STIGMER_TEMPORAL_BIN names in its place.</param>
    /// <param name="running">The release that runs; null: none does.</param>
    public static async Task<string?> Concern(StigmerHome home, string engine, string? own, string? running, CancellationToken cancel)
    {
        if (engine != EngineName.Managed || own is not null) return null;
        var found = await InstalledTemporal.Look(home, cancel);
        if (found.Complaint(home) is { } complaint) return $"{complaint}. It is not started again; `stigmer temporal install` puts a sound one in its place";
        return running is not null && found.Record?.Version is { } installed && installed != running ? $"Temporal CLI v{installed} is installed meanwhile: `stigmer local restart` starts it" : null;
    }
}

/// <summary>What <c>temporal version --json</c> shows, and <c>install</c> and <c>upgrade</c> with what they changed.</summary>
/// <param name="Installed">There is a binary.</param>
/// <param name="Version">The CLI's release, by its record; null: nobody knows.</param>
/// <param name="Server">The version of the server in it; null: it does not say.</param>
/// <param name="Path">Where it is, or would be.</param>
/// <param name="Sound">It is what was downloaded; null: there is nothing to compare it with.</param>
/// <param name="Url">Where it came from.</param>
/// <param name="Date">When, in UTC.</param>
/// <param name="Configured">The release that a start takes.</param>
/// <param name="Detail">What there is to tell.</param>
sealed record TemporalDocument(
    bool Installed, string? Version, string? Server, string Path, bool? Sound, string? Url, DateTime? Date, string Configured, string? Detail)
{
    /// <summary>Only of what changes something.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public bool? Changed { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, GenerationMode = JsonSourceGenerationMode.Serialization)]
[JsonSerializable(typeof(TemporalDocument))]
sealed partial class TemporalJson : JsonSerializerContext;
