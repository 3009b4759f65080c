using System.Buffers;
using System.Security.Cryptography;
using Stigmer.Config;

namespace Stigmer.Runtime.Temporal;

/// <summary>What is to be thought of bin/temporal.</summary>
enum Soundness
{
    /// <summary>There is none.</summary>
    Absent,

    /// <summary>It has no record: an older installation left it.</summary>
    Unrecorded,

    /// <summary>It is what its record says.</summary>
    Sound,

    /// <summary>It is not.</summary>
    Altered,
}

/// <summary>bin/temporal as it is found, compared with its record. Nothing is changed by looking.</summary>
/// <param name="Soundness">What is to be thought of it.</param>
/// <param name="Record">Its record, or the one of which it differs; null: none that can be read.</param>
/// <param name="Sha256">Its own, in small hex; null where there is nothing to compare.</param>
/// <param name="RecordIsBeside">An installation was interrupted between its two renames: the record that fits is not in place yet.</param>
sealed record InstalledTemporal(Soundness Soundness, TemporalRecord? Record = null, string? Sha256 = null, bool RecordIsBeside = false)
{
    /// <summary>For people, what is wrong with it; null: nothing.</summary>
    /// <param name="home">Where it is.</param>
    public string? Complaint(StigmerHome home) => Soundness == Soundness.Altered
        ? $"{home.TemporalBinary} is no longer what was downloaded: its SHA-256 is {Sha256}, and {home.TemporalRecord} says {Record?.BinarySha256 ?? "nothing"}" : null;

    /// <summary>Reads both; the binary from its first byte to its last.</summary>
    public static Task<InstalledTemporal> Look(StigmerHome home, CancellationToken cancel) => Task.Run(
        () =>
        {
            var found = Once(home, cancel);
            // Without the installation's lock another process may have replaced both while the binary was read.
            return found.Soundness == Soundness.Altered ? Once(home, cancel) : found;
        },
        cancel);

    /// <summary>
    /// Fails where the binary is no longer the one that was found sound: for a process that is started again. Read is only one that
    /// looks different from the outside.
    /// </summary>
    /// <param name="home">Where it is.</param>
    /// <param name="then">What <see cref="Stamp"/> said when it was found sound.</param>
    public static void Recheck(StigmerHome home, (long, DateTime)? then)
    {
        if (then is null || Stamp(home) == then) return;
        if (Once(home).Complaint(home) is { } complaint) throw NotStarted(home, complaint);
    }

    /// <summary>What there is to see of the binary without reading it: length and time.</summary>
    public static (long, DateTime)? Stamp(StigmerHome home) => new FileInfo(home.TemporalBinary) is { Exists: true } file ? (file.Length, file.LastWriteTimeUtc) : null;

    /// <summary>What keeps an altered binary from being started.</summary>
    public static Failure NotStarted(StigmerHome home, string complaint) => new($"{home.TemporalBinary} is not started", complaint, "`stigmer temporal install` puts a sound one in its place");

    static InstalledTemporal Once(StigmerHome home, CancellationToken cancel = default)
    {
        var beside = TemporalBinary.Next(home.TemporalRecord);
        string hash;
        try
        {
            if (!File.Exists(home.TemporalBinary)) return new InstalledTemporal(Soundness.Absent);
            if (!File.Exists(home.TemporalRecord) && !File.Exists(beside)) return new InstalledTemporal(Soundness.Unrecorded);
            using var file = new FileStream(home.TemporalBinary, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, 0, FileOptions.SequentialScan);
            hash = Hash(file, cancel);
        }
        catch (FileNotFoundException)
        {
            return new InstalledTemporal(Soundness.Absent);
        }
        var record = TemporalRecord.Read(home.TemporalRecord);
        if (record?.BinarySha256 == hash) return new InstalledTemporal(Soundness.Sound, record, hash);
        return TemporalRecord.Read(beside) is { } next && next.BinarySha256 == hash
            ? new InstalledTemporal(Soundness.Sound, next, hash, RecordIsBeside: true) : new InstalledTemporal(Soundness.Altered, record, hash);
    }

    static string Hash(FileStream file, CancellationToken cancel)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = ArrayPool<byte>.Shared.Rent(Download.PieceSize);
        try
        {
            while (file.Read(buffer) is > 0 and var count)
            {
                cancel.ThrowIfCancellationRequested();
                hash.AppendData(buffer, 0, count);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
