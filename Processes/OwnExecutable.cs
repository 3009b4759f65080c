namespace Stigmer.Processes;

/// <summary>How to start ourselves in another role.</summary>
static class OwnExecutable
{
    /// <summary>
    /// The command line of ourselves with these arguments: executable first. Where we run inside the test host, or in dotnet,
    /// the executable that stands beside our assembly.
    /// </summary>
    public static IReadOnlyList<string> Command(IEnumerable<string> arguments)
    {
        var name = OperatingSystem.IsWindows() ? "stigmer.exe" : "stigmer";
        var path = Environment.ProcessPath;
        if (path is null || !Path.GetFileName(path).Equals(name, StringComparison.OrdinalIgnoreCase))
        {
            var beside = Path.Combine(AppContext.BaseDirectory, name);
            // A renamed executable (stigmer-1.2) is one without an assembly beside it.
            if (path is null || File.Exists(beside)) path = beside;
        }
        return [path, .. arguments];
    }
}
