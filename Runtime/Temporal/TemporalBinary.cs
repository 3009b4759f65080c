using Stigmer.Config;

namespace Stigmer.Runtime.Temporal;

/// <summary>
/// Temporal can be neither found on this machine nor fetched: where it is only the default
/// (<see cref="TemporalSettings.IsDefault"/>), something else may take its place.
/// </summary>
sealed class TemporalUnavailable(string what, string why, string remedy, Exception inner) : Failure(what, why, remedy, Stigmer.ExitCode.Failed, inner);

/// <summary>A Temporal CLI to start.</summary>
/// <param name="Path">The executable, absolute.</param>
/// <param name="Version">Its version; null: nobody knows, as nothing vouches for it.</param>
/// <param name="Warnings">What a person should be told, each one sentence.</param>
sealed record TemporalBinary(string Path, string? Version, IReadOnlyList<string> Warnings)
{
    const UnixFileMode Executable = UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;

    /// <summary>The version of the server in it; null: it does not say.</summary>
    public string? Server { get; init; }

    /// <summary>How the binary looked from the outside when it was found sound; null where nothing vouches for it.</summary>
    public (long, DateTime)? Stamp { get; init; }

    /// <summary>
    /// Finds the binary of the wanted version, or downloads, verifies and installs it. Nothing is executable on the disk
    /// before its hash matched; after any failure the previous binary is what it was.
    /// </summary>
    /// <param name="handler">For tests; null: the network.</param>
    /// <param name="progress">Told only when something is to be installed.</param>
    /// <exception cref="TemporalUnavailable">The network does not give it.</exception>
    /// <exception cref="Failure">What the network gave is refused; the binary is not the one recorded; the disk does not take it.</exception>
    public static Task<TemporalBinary> Acquire(
        TemporalSettings settings, StigmerHome home, HttpMessageHandler? handler, IProgress<InstallNews>? progress, CancellationToken cancel) =>
        Acquire(settings, home, handler, progress, settings.IsDefault ? DownloadPatience.Default : DownloadPatience.Asked, TimeProvider.System, cancel);

    /// <summary>As above, with the patience and the clock of one's own.</summary>
    public static async Task<TemporalBinary> Acquire(
        TemporalSettings settings, StigmerHome home, HttpMessageHandler? handler, IProgress<InstallNews>? progress,
        DownloadPatience patience, TimeProvider time, CancellationToken cancel)
    {
        if (settings.Binary is { } own) return await Identified(Own(own), home, time, cancel);
        return await Alone(home, progress, time, cancel, async () =>
            await Installed(settings.Version, home, cancel) ?? await Install(settings, home, handler, progress, patience, time, cancel));
    }

    /// <summary>
    /// What somebody asked for by name: installs the wanted version, unless it is there and sound, whatever is there now. A stack
    /// that runs is not disturbed: its process keeps the file that it was started from. Fails as the other does.
    /// </summary>
    public static async Task<(TemporalBinary Binary, bool Changed)> Replace(TemporalSettings settings, StigmerHome home, IProgress<InstallNews>? progress, TimeProvider time, CancellationToken cancel)
    {
        var changed = false;
        var binary = await Alone(home, progress, time, cancel, async () =>
        {
            var found = await InstalledTemporal.Look(home, cancel);
            if (found is { Soundness: Soundness.Sound, Record.Version: var version } && version == settings.Version) return Sound(found, home);
            changed = true;
            return await Install(settings, home, null, progress, DownloadPatience.Asked, time, cancel);
        });
        return (binary, changed);
    }

    /// <summary>Does something that no other process does at the same time.</summary>
    static async Task<TemporalBinary> Alone(StigmerHome home, IProgress<InstallNews>? progress, TimeProvider time, CancellationToken cancel, Func<Task<TemporalBinary>> work)
    {
        try
        {
            StigmerHome.Ensure(home.Bin);
            using var held = await Lock(home, progress, time, cancel);
            return await Identified(await work(), home, time, cancel);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw NotWritten(home, e);
        }
    }

    /// <summary>The binary with its server's version, which the record keeps: asking costs a process. Under the lock, where the record is ours.</summary>
    static async Task<TemporalBinary> Identified(TemporalBinary binary, StigmerHome home, TimeProvider time, CancellationToken cancel)
    {
        var record = binary.Version is null ? null : TemporalRecord.Read(home.TemporalRecord);
        if (record?.Server is { } known) return binary with { Server = known };
        var server = await TemporalServerVersion.Ask(binary.Path, time, cancel);
        if (record is not null && server is not null) (record with { Server = server }).Write(home.TemporalRecord);
        return binary with { Server = server };
    }

    static TemporalBinary Own(string path)
    {
        path = System.IO.Path.GetFullPath(path);
        if (!File.Exists(path)) throw Unusable("there is no such file");
        if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(path) & Executable) == 0) throw Unusable("it is not executable");
        return new TemporalBinary(path, null, [$"{path} (STIGMER_TEMPORAL_BIN) is started unchecked"]);

        Failure Unusable(string why) => new($"STIGMER_TEMPORAL_BIN is {path}", why, "Set it to a Temporal CLI, or unset it", Stigmer.ExitCode.Usage);
    }

    /// <summary>The binary that is there, if it is of the wanted version; null: one is to be installed.</summary>
    static async Task<TemporalBinary?> Installed(string version, StigmerHome home, CancellationToken cancel)
    {
        var found = await InstalledTemporal.Look(home, cancel);
        return found.Soundness switch
        {
            Soundness.Absent => null,
            Soundness.Unrecorded => new TemporalBinary(
                home.TemporalBinary, null, [$"{home.TemporalBinary} is of an older installation and started unchecked: `stigmer temporal install` puts a checked one in its place"]),
            Soundness.Altered when found.Record is null || found.Record.Version == version => throw InstalledTemporal.NotStarted(home, found.Complaint(home)!),
            _ => found.Record!.Version == version ? Sound(found, home) : null,
        };
    }

    static TemporalBinary Sound(InstalledTemporal found, StigmerHome home)
    {
        if (found.RecordIsBeside) File.Move(Next(home.TemporalRecord), home.TemporalRecord, overwrite: true);
        return new TemporalBinary(home.TemporalBinary, found.Record!.Version, []) { Stamp = InstalledTemporal.Stamp(home) };
    }

    static async Task<TemporalBinary> Install(
        TemporalSettings settings, StigmerHome home, HttpMessageHandler? handler, IProgress<InstallNews>? progress,
        DownloadPatience patience, TimeProvider time, CancellationToken cancel)
    {
        var release = TemporalRelease.Of(settings.Version, TemporalPlatform.Current());
        var url = release.ArchiveUrl(settings.Mirror);
        var unpacked = Next(home.TemporalBinary);
        var installed = false;
        foreach (var file in (ReadOnlySpan<string>)[home.TemporalBinary, home.TemporalRecord, unpacked, Next(home.TemporalRecord), PartOf(home), Partial.Note(PartOf(home))]) StateFiles.ClearAway(file);
        try
        {
            using var download = new Download(handler, patience, time, (why, pause) => progress?.Report(new InstallNews.Retrying(why, pause)));
            var expected = release.PinnedSha256 ?? await Listed(release, settings.Mirror, download, cancel);
            var binarySha256 = await Fetch(release, url, expected, download, unpacked, home, progress, cancel);
            new TemporalRecord(release.Version, expected, binarySha256, Download.Shown(url), time.GetUtcNow()).Write(Next(home.TemporalRecord));
            // 0755
            if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(unpacked, Executable | UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead);
            if (OperatingSystem.IsWindows()) MoveAside(home.TemporalBinary);
            File.Move(unpacked, home.TemporalBinary, overwrite: true);
            installed = true;
            File.Move(Next(home.TemporalRecord), home.TemporalRecord, overwrite: true);
            return new TemporalBinary(home.TemporalBinary, release.Version, []) { Stamp = InstalledTemporal.Stamp(home) };
        }
        catch (NotThere e)
        {
            throw NoSuchRelease(release, settings.Mirror, e.Message);
        }
        catch (Unreachable e)
        {
            throw new TemporalUnavailable(
                $"Temporal CLI v{release.Version} cannot be downloaded", e.Message,
                "Check the network and the proxy, name a mirror (STIGMER_TEMPORAL_MIRROR) or a binary (STIGMER_TEMPORAL_BIN), or start with --embedded", e);
        }
        finally
        {
            File.Delete(unpacked);
            if (!installed) File.Delete(Next(home.TemporalRecord));
        }
    }

    /// <summary>Brings the archive's one file to <paramref name="target"/>, not executable yet; answers that file's SHA-256.</summary>
    static async Task<string> Fetch(
        TemporalRelease release, Uri url, string expected, Download download, string target, StigmerHome home, IProgress<InstallNews>? progress, CancellationToken cancel)
    {
        await using var archive = Partial.Open(PartOf(home), Download.Shown(url), expected, release.Platform.Executable, target);
        try
        {
            for (var again = false; ; again = true)
            {
                await download.Into(archive, url, (bytes, total) => progress?.Report(new InstallNews.Downloading(release.Version, bytes, total)), TemporalArchive.MaxSize, cancel);
                var (patched, sha256) = (archive.IsPatched, archive.Hash());
                if (sha256 == expected) return await archive.Unpacked();
                if (again || !patched) throw Mismatch(release, url, expected, sha256);
                // What an earlier run left may have been damaged, or the server has changed what it names by the same name.
                await archive.Restart(null, null);
            }
        }
        catch (Exception e) when (e is Unreachable or OperationCanceledException)
        {
            archive.Keep();
            throw;
        }
    }

    static async Task<string> Listed(TemporalRelease release, string? mirror, Download download, CancellationToken cancel)
    {
        var url = release.ChecksumsUrl(mirror);
        return Checksums.Find(await download.Text(url, cancel), release.Asset, Download.Shown(url));
    }

    static Failure Mismatch(TemporalRelease release, Uri url, string expected, string computed) => new(
        $"{release.Asset} is not the archive that was released",
        $"its SHA-256 differs\n  expected: {expected}\n  computed: {computed}",
        $"Check where {Download.Shown(url)} comes from; nothing was installed");

    static Failure NoSuchRelease(TemporalRelease release, string? mirror, string why)
    {
        why = $"{why}; {TemporalReleases.About(release.Version)}";
        return mirror is null
            ? new($"Temporal CLI v{release.Version} does not exist", why, $"Set temporal.version to a release of the CLI, or remove the line for the default, {TemporalReleases.Default}")
            : new($"The mirror has no Temporal CLI v{release.Version}", why, $"Check temporal.version (the default is {TemporalReleases.Default}) and STIGMER_TEMPORAL_MIRROR, which takes the place of {TemporalRelease.Origin}");
    }

    static Failure NotWritten(StigmerHome home, Exception e)
    {
        var what = $"The Temporal CLI cannot be installed in {home.Bin}";
        // ENOSPC, EDQUOT of Linux and of macOS, ERROR_HANDLE_DISK_FULL, ERROR_DISK_FULL.
        if (e.HResult is 28 or 122 or 69 or unchecked((int)0x80070027) or unchecked((int)0x80070070))
        {
            return new Failure(what, $"the disk is full: {e.Message}", "Make room there, or set STIGMER_HOME to a folder on a larger disk", inner: e);
        }
        // EROFS, and what .NET makes of EACCES and EPERM.
        return e.HResult == 30 || e is UnauthorizedAccessException
            ? new Failure(what, e.Message, "Set STIGMER_HOME to a folder that you can write to", Stigmer.ExitCode.Usage, e)
            : new Failure(what, e.Message, "Check the disk, or set STIGMER_HOME to another folder", inner: e);
    }

    static string PartOf(StigmerHome home) => System.IO.Path.Combine(home.Bin, "temporal.tar.gz.part");

    /// <summary>What takes a file's place in a moment.</summary>
    public static string Next(string path) => $"{path}.next";

    /// <summary>Windows lets nobody replace a program that runs, but renames it; what was renamed earlier and has ended since goes.</summary>
    static void MoveAside(string path)
    {
        foreach (var old in Directory.GetFiles(System.IO.Path.GetDirectoryName(path)!, $"{System.IO.Path.GetFileName(path)}.old-*"))
        {
            try
            {
                File.Delete(old);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It still runs.
            }
        }
        if (File.Exists(path)) File.Move(path, $"{path}.old-{RandomId.New()}");
    }

    /// <summary>Waits until no other process installs.</summary>
    static async Task<FileStream> Lock(StigmerHome home, IProgress<InstallNews>? progress, TimeProvider time, CancellationToken cancel)
    {
        StigmerHome.Ensure(home.Run);
        StateFiles.ClearAway(home.TemporalLock);
        var options = PrivateFile.Options(FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        for (var said = false; ; )
        {
            try
            {
                return new FileStream(home.TemporalLock, options);
            }
            catch (IOException e) when (IsHeld(e))
            {
                if (!said) progress?.Report(new InstallNews.Waiting());
                said = true;
                // A file lock offers no event that can be cancelled.
                await Task.Delay(TimeSpan.FromMilliseconds(100), time, cancel);
            }
        }
    }

    /// <summary>EAGAIN on Linux and on macOS, and Windows' sharing violation.</summary>
    static bool IsHeld(IOException e) => e.HResult is 11 or 35 or unchecked((int)0x80070020);
}
