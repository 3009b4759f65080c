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

    /// <summary>The most members that it may have; releases have two.</summary>
    const int MaxMembers = 1000;

    /// <summary>The most that a member's headers may take, in bytes; those of releases have one block.</summary>
    const int MaxHeaders = 1 << 20;

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
            var zipped = new Counted(archive, long.MaxValue);
            await using var unzipped = new Counted(new GZipStream(zipped, CompressionMode.Decompress), maxSize);
            await using var tar = new TarReader(unzipped);
            var names = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
            string? hash = null;
            while (await Next(tar, unzipped, cancel) is { } entry)
            {
                if (entry.EntryType is TarEntryType.GlobalExtendedAttributes) continue;
                Check(entry, maxSize);
                if (names.Count == MaxMembers) throw Refused($"it holds more than {MaxMembers} members");
                var name = Plain(entry.Name);
                if (!names.Add(name)) throw Refused($"it holds {Shown(name)} twice");
                if (name == member && entry.EntryType is not TarEntryType.Directory) hash = await Copy(entry, target, cancel);
                else if (entry.DataStream is { } data) await data.CopyToAsync(Stream.Null, cancel);
            }
            await Finish(unzipped, zipped, cancel);
            return hash ?? throw Refused($"it holds no {member}");
        }
        catch (Exception e)
        {
            File.Delete(target);
            // The last three are what TarReader makes of headers that contradict themselves.
            if (e is InvalidDataException or EndOfStreamException or FormatException or ArgumentException or InvalidOperationException) throw Refused("it is damaged or cut short: not a complete tar.gz", e);
            throw;
        }
    }

    /// <summary>
    /// The next member, of which nothing but its headers is read: TarReader holds those in memory, whatever their size. What the
    /// last one contains must have been read.
    /// </summary>
    static async Task<TarEntry?> Next(TarReader tar, Counted unzipped, CancellationToken cancel)
    {
        unzipped.HeadersEnd = unzipped.Count + MaxHeaders;
        var entry = await tar.GetNextEntryAsync(copyData: false, cancel);
        unzipped.HeadersEnd = long.MaxValue;
        return entry;
    }

    /// <summary>Reads to the last byte: only there does gzip tell whether all of it arrived, and nothing may follow.</summary>
    static async Task Finish(Counted unzipped, Counted zipped, CancellationToken cancel)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(128 * 1024);
        try
        {
            int count;
            while ((count = await unzipped.ReadAsync(buffer, cancel)) > 0)
            {
                if (buffer.AsSpan(0, count).ContainsAnyExcept((byte)0)) throw Refused("something follows its end");
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
        // gzip's last four bytes are the length of what it holds (RFC 1952); .NET's reader stops at what is no gzip any more.
        if (zipped.LastFour != (uint)unzipped.Count) throw Refused("it is damaged or cut short, or something follows its end");
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

    /// <summary>The one way to write a name that may be written in several: a//./b/ is a/b.</summary>
    static string Plain(string name) => string.Join('/', name.Split('/').Where(part => part is not ("" or ".")));

    static string Shown(string name) => new([.. name.Take(100).Select(c => char.IsControl(c) ? '?' : c)]);

    static Failure TooLarge(long maxSize) => Refused($"it unpacks to more than {maxSize >> 20} MB");

    static Failure Refused(string why, Exception? inner = null) => new(
        "The archive of the Temporal CLI is refused", why, "Check where it comes from (STIGMER_TEMPORAL_MIRROR); nothing of it was installed", inner: inner);

    /// <summary>Reads what another stream has, up to a bound, and knows how much that was and how it ended.</summary>
    sealed class Counted(Stream inner, long limit) : Stream
    {
        /// <summary>Up to here headers may go.</summary>
        public long HeadersEnd { get; set; } = long.MaxValue;

        /// <summary>How many bytes were read.</summary>
        public long Count { get; private set; }

        /// <summary>The last four of them as a number, little end first.</summary>
        public uint LastFour { get; private set; }

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override int Read(Span<byte> buffer) => Seen(buffer, inner.Read(buffer));

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            var count = await inner.ReadAsync(buffer, cancellationToken);
            return Seen(buffer.Span, count);
        }

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

        int Seen(ReadOnlySpan<byte> buffer, int count)
        {
            Count += count;
            if (Count > limit) throw TooLarge(limit);
            if (Count > HeadersEnd) throw Refused($"a member's headers are larger than {MaxHeaders >> 20} MB");
            foreach (var last in buffer[Math.Max(0, count - 4)..count]) LastFour = (LastFour >> 8) | ((uint)last << 24);
            return count;
        }
    }
}
