namespace Stigmer.Config;

/// <summary>Paths as people write them.</summary>
static class Paths
{
    /// <summary>An absolute path: <c>~</c> and <c>~/…</c> begin in the user's home, a relative one in a folder.</summary>
    /// <param name="text">As written.</param>
    /// <param name="folder">Where a relative path begins; null or empty: where the process runs.</param>
    /// <param name="environment">For HOME.</param>
    public static string Absolute(string text, string? folder, Func<string, string?> environment)
    {
        if (text == "~" || text.StartsWith("~/", StringComparison.Ordinal) || text.StartsWith("~\\", StringComparison.Ordinal))
        {
            text = UserHome(environment) is { Length: > 0 } home ? Path.Join(home, text.AsSpan(Math.Min(2, text.Length))) : text;
        }
        return Path.GetFullPath(text, Path.GetFullPath(string.IsNullOrEmpty(folder) ? "." : folder));
    }

    /// <summary>The user's home: HOME, else what the system says; empty where neither knows.</summary>
    public static string UserHome(Func<string, string?> environment) =>
        environment("HOME") is { Length: > 0 } home ? home : Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
}
