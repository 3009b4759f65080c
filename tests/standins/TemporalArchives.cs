using System.Formats.Tar;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;
using Stigmer.Runtime.Temporal;

namespace Stigmer.Standins;

/// <summary>Builds what a mirror serves: releases whose <c>temporal</c> is a script that runs <see cref="TemporalStandin"/>.</summary>
static class TemporalArchives
{
    /// <summary><c>archives FOLDER VERSION…</c>: a release for every platform below FOLDER, each with its checksums.txt.</summary>
    public static int Run(IReadOnlyList<string> arguments)
    {
        foreach (var version in arguments.Skip(1)) Build(arguments[0], version);
        return 0;
    }

    /// <summary>
    /// <c>large FOLDER VERSION MEGABYTES</c>: a release for this platform alone, whose binary has that size and packs as well as a
    /// program does, to about a third: for measurements.
    /// </summary>
    public static int RunLarge(IReadOnlyList<string> arguments)
    {
        var release = TemporalRelease.Of(arguments[1], TemporalPlatform.Current());
        var releases = Directory.CreateDirectory(Path.Combine(arguments[0], $"v{release.Version}")).FullName;
        var binary = Path.Combine(releases, "binary");
        using (var file = File.Create(binary))
        {
            file.Write(Encoding.UTF8.GetBytes(Script(release.Version)));
            var random = new Random(1);
            var (piece, noise) = (new byte[3 << 10], new byte[1 << 10]);
            for (var left = long.Parse(arguments[2]) << 20; left > 0; left -= piece.Length)
            {
                random.NextBytes(noise);
                for (var at = 0; at < piece.Length; at++) piece[at] = at % 48 < 16 ? noise[at / 48 * 16 + at % 48] : (byte)(at / 48);
                file.Write(piece);
            }
        }
        var archive = Path.Combine(releases, release.Asset);
        using (var file = File.Create(archive))
        using (var gzip = new GZipStream(file, CompressionLevel.Optimal))
        using (var tar = new TarWriter(gzip))
        using (var content = File.OpenRead(binary))
        {
            tar.WriteEntry(new UstarTarEntry(TarEntryType.RegularFile, release.Platform.Executable) { DataStream = content, Mode = UnixFileMode.UserRead | UnixFileMode.UserExecute });
        }
        File.Delete(binary);
        using var written = File.OpenRead(archive);
        File.WriteAllText(Path.Combine(releases, "checksums.txt"), $"{Convert.ToHexStringLower(SHA256.HashData(written))}  {release.Asset}\n");
        return 0;
    }

    /// <summary>Writes v{V}/{asset} for the six platforms and v{V}/checksums.txt.</summary>
    /// <param name="server">The version of the server in it.</param>
    public static void Build(string folder, string version, string server = TemporalStandin.Server) =>
        Build(folder, version, platform => Pack((platform.Executable, Script(version, server)), ("LICENSE", "as you like")));

    /// <summary>The same, with archives of one's own.</summary>
    public static void Build(string folder, string version, Func<TemporalPlatform, byte[]> archive)
    {
        var releases = Directory.CreateDirectory(Path.Combine(folder, $"v{version}")).FullName;
        var sums = new StringBuilder();
        foreach (var platform in TemporalPlatform.All)
        {
            var asset = TemporalRelease.Of(version, platform).Asset;
            var bytes = archive(platform);
            File.WriteAllBytes(Path.Combine(releases, asset), bytes);
            sums.Append(Convert.ToHexStringLower(SHA256.HashData(bytes))).Append("  ").Append(asset).Append('\n');
        }
        File.WriteAllText(Path.Combine(releases, "checksums.txt"), sums.ToString());
    }

    /// <summary>A tar.gz of plain files.</summary>
    public static byte[] Pack(params (string Name, string Text)[] files) => Pack(tar =>
    {
        foreach (var (name, text) in files)
        {
            tar.WriteEntry(new UstarTarEntry(TarEntryType.RegularFile, name) { DataStream = new MemoryStream(Encoding.UTF8.GetBytes(text)), Mode = UnixFileMode.UserRead | UnixFileMode.UserExecute });
        }
    });

    /// <summary>A tar.gz of whatever is written.</summary>
    public static byte[] Pack(Action<TarWriter> write)
    {
        var bytes = new MemoryStream();
        using (var gzip = new GZipStream(bytes, CompressionLevel.Fastest, leaveOpen: true))
        using (var tar = new TarWriter(gzip))
        {
            write(tar);
        }
        return bytes.ToArray();
    }

    /// <summary>A script that runs this program as that version of the CLI, whatever is in its environment.</summary>
    public static string Script(string version, string server = TemporalStandin.Server)
    {
        var runtime = Path.GetDirectoryName(typeof(object).Assembly.Location)!;
        var dotnet = Path.GetFullPath(Path.Combine(runtime, "..", "..", "..", "dotnet"));
        return $"#!/bin/sh\nexec '{dotnet}' '{typeof(TemporalArchives).Assembly.Location}' temporal {version}/{server} \"$@\"\n";
    }
}
