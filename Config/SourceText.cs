using System.Text;

namespace Stigmer.Config;

/// <summary>The text of a file that a person wrote.</summary>
static class SourceText
{
    // A hand-written file has a few hundred bytes, an agent's with long instructions some thousands: what is larger is something else.
    const int MaxBytes = 1024 * 1024;

    /// <summary>Reads it. Both null: there is no such file; else what is wrong with it, as a sentence after its name.</summary>
    /// <param name="what">What it should be.</param>
    public static (string? Text, string? Problem) Read(string path, string what)
    {
        try
        {
            if (Directory.Exists(path)) return (null, "this is a folder");
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            return Read(stream, what);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return (null, null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return (null, $"this cannot be read: {e.Message}");
        }
    }

    /// <summary>Reads a stream, which may be a pipe, to its end.</summary>
    public static (string? Text, string? Problem) Read(Stream stream, string what)
    {
        if (stream.CanSeek && stream.Length > MaxBytes) return (null, $"this is no {what}: it has {stream.Length} bytes");
        using var bytes = new MemoryStream();
        var buffer = new byte[16 * 1024];
        for (int count; (count = stream.Read(buffer)) > 0;)
        {
            bytes.Write(buffer, 0, count);
            if (bytes.Length > MaxBytes) return (null, $"this is no {what}: it has more than {MaxBytes} bytes");
        }
        try
        {
            return (new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true).GetString(bytes.GetBuffer(), 0, (int)bytes.Length), null);
        }
        catch (DecoderFallbackException)
        {
            return (null, "this is not UTF-8 text");
        }
    }
}
