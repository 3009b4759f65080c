using System.Buffers;
using System.Formats.Tar;
using System.IO.Compression;
using System.Security.Cryptography;
using Stigmer.Config;

namespace Stigmer.Runtime.Temporal;

/// <summary>Takes the one expected file out of a release's tar.gz, and refuses archives that a release never is.</summary>
static class TemporalArchive
{
    /// <summary>The most that an archive may unpack to, in bytes; the largest release so far has about a fifth of it.</summary>
    public const long MaxSize = 1L << 30;

    /// <summary>
    /// Unpacks that member into a new file, not executable yet, flushed to the disk, and answers its SHA-256 in small hex.
    /// Fails by name of the reason; what was written then is removed.
    /// </summary>
    /// <param name="archive">The tar.gz, from its beginning.</param>
    /// <param name="member">The member's name, at the archive's root.</param>
    /// <param name="target">The file to make.</param>
    public static async Task<string> Extract(Stream archive, string member, string target, CancellationToken cancel, long maxSize = MaxSize)
    {
        try
        {
            await using var unzipped = new Bounded(new GZipStream(archive, CompressionMode.Decompress), maxSize);
            await using var tar = new TarReader(unzipped);
            string? hash = null;
            while (await tar.GetNextEntryAsync(copyData: false, cancel) is { } entry)
            {
                if (entry.EntryType is TarEntryType.GlobalExtendedAttributes) continue;
                Check(entry, maxSize);
                if (Plain(entry.Name) != member || entry.EntryType is TarEntryType.Directory) continue;
                if (hash is not null) throw Refused($"it holds {member} twice");
                hash = await Copy(entry, target, cancel);
            }
            // To the last byte: only there does gzip tell whether all of it arrived.
            await unzipped.CopyToAsync(Stream.Null, cancel);
            return hash ?? throw Refused($"it holds no {member}");
        }
        catch (Exception e)
        {
            File.Delete(target);
            if (e is InvalidDataException or EndOfStreamException) throw Refused("it is damaged or cut short: not a complete tar.gz", e);
            throw;
        }
    }

    static void Check(TarEntry entry, long maxSize)
    {
        var name = entry.Name;
        if (name.StartsWith('/') || name.StartsWith('\\') || (name.Length > 1 && name[1] == ':')) throw Refused($"it holds the absolute path '{Shown(name)}'");
        if (name.Split('/', '\\').Contains("..")) throw Refused($"it holds '{Shown(name)}', which leads out of its folder");
        var kind = entry.EntryType switch
        {
            TarEntryType.RegularFile or TarEntryType.V7RegularFile or TarEntryType.Directory => null,
            TarEntryType.SymbolicLink or TarEntryType.HardLink => "a link",
            TarEntryType.BlockDevice or TarEntryType.CharacterDevice or TarEntryType.Fifo => "a device",
            _ => "neither a file nor a folder",
        };
        if (kind is not null) throw Refused($"its member '{Shown(name)}' is {kind}");
        if (entry.Length > maxSize) throw TooLarge(maxSize);
    }

    static async Task<string> Copy(TarEntry entry, string target, CancellationToken cancel)
    {
        if (entry.DataStream is not { } data || entry.Length == 0) throw Refused($"its {entry.Name} is empty");
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        await using var file = PrivateFile.Create(target);
        var buffer = ArrayPool<byte>.Shared.Rent(128 * 1024);
        try
        {
            int count;
            while ((count = await data.ReadAsync(buffer, cancel)) > 0)
            {
                hash.AppendData(buffer, 0, count);
                await file.WriteAsync(buffer.AsMemory(0, count), cancel);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
        file.Flush(flushToDisk: true);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    static string Plain(string name) => name.StartsWith("./", StringComparison.Ordinal) ? name[2..] : name;

    static string Shown(string name) => new([.. name.Take(100).Select(c => char.IsControl(c) ? '?' : c)]);

    static Failure TooLarge(long maxSize) => Refused($"it unpacks to more than {maxSize >> 20} MB");

    static Failure Refused(string why, Exception? inner = null) => new(
        "The archive of the Temporal CLI is refused", why, "Check where it comes from (STIGMER_TEMPORAL_MIRROR); nothing of it was installed", inner: inner);

    /// <summary>Reads what another stream has, up to a bound.</summary>
    sealed class Bounded(Stream inner, long limit) : Stream
    {
        long read;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count) => Counted(inner.Read(buffer, offset, count));

        public override int Read(Span<byte> buffer) => Counted(inner.Read(buffer));

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            Counted(await inner.ReadAsync(buffer, cancellationToken));

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing) inner.Dispose();
            base.Dispose(disposing);
        }

        int Counted(int count)
        {
            read += count;
            return read <= limit ? count : throw TooLarge(limit);
        }
    }
}
