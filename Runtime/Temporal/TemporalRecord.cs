using System.Text.Json;
using System.Text.Json.Serialization;
using Stigmer.Config;

namespace Stigmer.Runtime.Temporal;

/// <summary>bin/temporal.json: what bin/temporal is and where it came from.</summary>
/// <param name="Version">The CLI's version.</param>
/// <param name="ArchiveSha256">Of the archive, in small hex.</param>
/// <param name="BinarySha256">Of bin/temporal, in small hex.</param>
/// <param name="Url">Where the archive came from.</param>
/// <param name="Date">When.</param>
/// <param name="Server">The version of the server in it, as <c>temporal --version</c> says; null: it was not asked yet, or does not say.</param>
sealed record TemporalRecord(string Version, string ArchiveSha256, string BinarySha256, string Url, DateTimeOffset Date, string? Server = null)
{
    /// <summary>Reads a record; null where there is none, or none that can be read.</summary>
    public static TemporalRecord? Read(string path)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), TemporalRecordJson.Default.TemporalRecord);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException or JsonException)
        {
            // A record that cannot be read vouches for nothing: the same as a record of something else.
            return null;
        }
    }

    /// <summary>Puts this record in the file's place.</summary>
    public void Write(string path) => PrivateFile.Replace(path, JsonSerializer.SerializeToUtf8Bytes(this, TemporalRecordJson.Default.TemporalRecord));
}

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, WriteIndented = true, RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(TemporalRecord))]
sealed partial class TemporalRecordJson : JsonSerializerContext;
