using System.Buffers;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Stigmer.Config;

namespace Stigmer.Runtime.Temporal;

/// <summary>What a transfer has brought so far. It outlives a connection that breaks off.</summary>
interface IReceived
{
    /// <summary>How many bytes are there, from the first one on.</summary>
    long Length { get; }

    /// <summary>What names these very bytes at their server: a strong ETag or a Last-Modified as it was sent; null: nothing does, so the rest cannot be asked for.</summary>
    string? Validator { get; }

    /// <summary>How many bytes there will be; null: not announced.</summary>
    long? Total { get; }

    /// <summary>An answer begins with the first byte: what was there is dropped.</summary>
    ValueTask Restart(string? validator, long? total);

    /// <summary>An answer goes on where the last one broke off.</summary>
    ValueTask Resume(CancellationToken cancel);

    /// <summary>The next bytes.</summary>
    ValueTask Append(ReadOnlyMemory<byte> piece, CancellationToken cancel);
}

/// <summary>Text, in memory.</summary>
sealed class ReceivedText : IReceived
{
    readonly MemoryStream bytes = new();

    public long Length => bytes.Length;

    public string? Validator => null;

    public long? Total { get; private set; }

    public ValueTask Restart(string? validator, long? total)
    {
        bytes.SetLength(0);
        Total = total;
        return default;
    }

    public ValueTask Resume(CancellationToken cancel) => default;

    public ValueTask Append(ReadOnlyMemory<byte> piece, CancellationToken cancel)
    {
        bytes.Write(piece.Span);
        return default;
    }

    public override string ToString() => System.Text.Encoding.UTF8.GetString(bytes.GetBuffer(), 0, (int)bytes.Length);
}

/// <summary>
/// An archive on its way: each byte is hashed, kept in a file and unpacked as it arrives. The file, and beside it what names
/// its bytes at the server, outlive this process where the transfer broke off; then the next one asks for the rest only. Nothing
/// of it is trusted before all of it has the expected hash.
/// </summary>
sealed class Partial : IReceived, IAsyncDisposable
{
    readonly string path;
    readonly PartialNote wanted;
    readonly string member;
    readonly string target;
    readonly FileStream file;
    readonly IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    Unpacking? unpacking;
    bool unread, kept;

    Partial(string path, PartialNote wanted, string member, string target, FileStream file) =>
        (this.path, this.wanted, this.member, this.target, this.file) = (path, wanted, member, target, file);

    public long Length { get; private set; }

    public string? Validator { get; private set; }

    public long? Total { get; private set; }

    /// <summary>The bytes came by more than one answer: where they are not what was expected, one answer alone may be.</summary>
    public bool IsPatched { get; private set; }

    /// <summary>Takes up what an earlier run has left of this very archive, or begins anew.</summary>
    /// <param name="path">The file; the note beside it has .json behind.</param>
    /// <param name="url">Where the archive comes from.</param>
    /// <param name="sha256">What it must be, in small hex.</param>
    /// <param name="member">The file to unpack.</param>
    /// <param name="target">Where to.</param>
    public static Partial Open(string path, string url, string sha256, string member, string target)
    {
        var options = PrivateFile.Options(FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        // Whatever ends this process, what has arrived is in the file.
        options.BufferSize = 0;
        var file = new FileStream(path, options);
        var partial = new Partial(path, new PartialNote(url, sha256, "", null), member, target, file);
        if (PartialNote.Read(Note(path)) is { } note && (note.Url, note.Sha256) == (url, sha256) && note.Validator.Length > 0 && file.Length > 0 && !(file.Length > note.Total))
        {
            (partial.Length, partial.Validator, partial.Total, partial.unread) = (file.Length, note.Validator, note.Total, true);
        }
        return partial;
    }

    public async ValueTask Restart(string? validator, long? total)
    {
        await Forget();
        _ = hash.GetHashAndReset();
        file.SetLength(0);
        (Length, Validator, Total, IsPatched, unread) = (0, validator, total, false, false);
        if (validator is null) File.Delete(Note(path));
        else (wanted with { Validator = validator, Total = total }).Write(Note(path));
        unpacking = new Unpacking(member, target);
    }

    public async ValueTask Resume(CancellationToken cancel)
    {
        IsPatched = true;
        if (!unread) return;
        // An earlier run's: it is read once, for the hash and the unpacking at the same time.
        unread = false;
        unpacking = new Unpacking(member, target);
        file.Position = 0;
        var buffer = ArrayPool<byte>.Shared.Rent(Download.PieceSize);
        try
        {
            for (var left = Length; left > 0;)
            {
                var count = file.Read(buffer, 0, (int)Math.Min(left, buffer.Length));
                if (count == 0) throw new EndOfStreamException($"{path} has become shorter");
                left -= count;
                await Take(buffer.AsMemory(0, count), cancel);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    public ValueTask Append(ReadOnlyMemory<byte> piece, CancellationToken cancel)
    {
        file.Write(piece.Span);
        Length += piece.Length;
        return Take(piece, cancel);
    }

    /// <summary>The SHA-256 of all that came, in small hex. Only <see cref="Restart"/> may follow, or <see cref="Unpacked"/>.</summary>
    public string Hash() => Convert.ToHexStringLower(hash.GetHashAndReset());

    /// <summary>Completes when the file is unpacked and flushed; answers its SHA-256. Fails where the archive is refused.</summary>
    public Task<string> Unpacked() => unpacking!.End();

    /// <summary>What is there is of use to a later run.</summary>
    public void Keep() => kept = true;

    public async ValueTask DisposeAsync()
    {
        await Forget();
        hash.Dispose();
        await file.DisposeAsync();
        if (kept && Validator is not null && Length > 0) return;
        File.Delete(path);
        File.Delete(Note(path));
    }

    /// <summary>What stands beside the file, and says what it is the beginning of.</summary>
    public static string Note(string path) => $"{path}.json";

    ValueTask Take(ReadOnlyMemory<byte> piece, CancellationToken cancel)
    {
        hash.AppendData(piece.Span);
        return unpacking!.Append(piece, cancel);
    }

    async ValueTask Forget()
    {
        if (unpacking is not null) await unpacking.DisposeAsync();
        unpacking = null;
    }
}

/// <summary>What an unfinished file is the beginning of.</summary>
/// <param name="Url">Where it comes from.</param>
/// <param name="Sha256">What all of it must be.</param>
/// <param name="Validator">What names these bytes at the server.</param>
/// <param name="Total">How many there will be; null: not announced.</param>
sealed record PartialNote(string Url, string Sha256, string Validator, long? Total)
{
    /// <summary>Reads a note; null where there is none, or none that can be read.</summary>
    public static PartialNote? Read(string path)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), PartialJson.Default.PartialNote);
        }
        catch (Exception e) when (e is FileNotFoundException or JsonException)
        {
            // Without it the file is of no use, which costs a download and no more.
            return null;
        }
    }

    /// <summary>Puts this note in the file's place. After a power failure it may be gone: then the download begins anew.</summary>
    public void Write(string path) => PrivateFile.Replace(path, JsonSerializer.SerializeToUtf8Bytes(this, PartialJson.Default.PartialNote), lasting: false);
}

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(PartialNote))]
sealed partial class PartialJson : JsonSerializerContext;
