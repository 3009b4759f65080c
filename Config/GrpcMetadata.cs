using System.Collections;

namespace Stigmer.Config;

/// <summary>
/// TEMPORAL_GRPC_META_*: what Temporal's own clients send along with every call. The rest of the variable's name is the header's,
/// in small letters and with - for _.
/// </summary>
static class GrpcMetadata
{
    const string Prefix = "TEMPORAL_GRPC_META_";

    /// <summary>The headers and their values, which may be secrets; null: none. Fails (exit code 2) on what no header can carry, without showing it.</summary>
    /// <param name="environment">A variable's value; an empty one sends nothing.</param>
    /// <param name="names">The variables that there may be; null: this process's.</param>
    public static IReadOnlyDictionary<string, string>? Read(Func<string, string?> environment, IEnumerable<string>? names = null)
    {
        var found = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var name in names ?? Environment.GetEnvironmentVariables().Cast<DictionaryEntry>().Select(entry => (string)entry.Key))
        {
            if (!name.StartsWith(Prefix, StringComparison.Ordinal) || environment(name) is not { Length: > 0 } value) continue;
            var header = name[Prefix.Length..].ToLowerInvariant().Replace('_', '-');
            if (header.Length == 0 || !header.All(symbol => symbol is (>= 'a' and <= 'z') or (>= '0' and <= '9') or '-' or '.'))
            {
                throw new Failure($"{name} cannot be used", "what follows TEMPORAL_GRPC_META_ is no header's name", "Unset it, or name a header by letters, digits and _", ExitCode.Usage);
            }
            if (value.Any(symbol => symbol is < ' ' or > '~'))
            {
                throw new Failure($"{name} cannot be used", "it holds a line break or a character outside ASCII, which no header can carry", "Set it anew", ExitCode.Usage);
            }
            found[header] = value;
        }
        return found.Count > 0 ? found : null;
    }

    /// <summary>The variable that a header is read from.</summary>
    public static string Variable(string header) => Prefix + header.ToUpperInvariant().Replace('-', '_');
}
