namespace Stigmer.Runtime.Temporal;

/// <summary>The checksums.txt beside a release's archives, as sha256sum writes it: hash, two spaces (or a space and a *), file name.</summary>
static class Checksums
{
    /// <summary>The SHA-256 of that file in small hex. Fails where the list names it never, or with two hashes.</summary>
    /// <param name="from">Where the list came from, for the failure.</param>
    public static string Find(string list, string file, string from)
    {
        var found = list.TrimStart('\uFEFF').Split('\n')
            .Select(line => line.Trim().Split((char[])[' ', '\t'], 2, StringSplitOptions.RemoveEmptyEntries))
            .Where(parts => parts is [var hash, var name] && IsSha256(hash) && Name(name) == file)
            .Select(parts => parts[0].ToLowerInvariant())
            .Distinct()
            .ToArray();
        return found switch
        {
            [var only] => only,
            [] => throw Refused("it holds no SHA-256 of that file"),
            _ => throw Refused("it holds different SHA-256 of that file"),
        };

        Failure Refused(string why) => new($"{file} cannot be verified by {from}", why, "Set temporal.version to another release, or remove the line for the default");
    }

    static bool IsSha256(string text) => text.Length == 64 && text.All(char.IsAsciiHexDigit);

    static string Name(string written)
    {
        var name = written.TrimStart().TrimStart('*');
        return name.StartsWith("./", StringComparison.Ordinal) ? name[2..] : name;
    }
}
