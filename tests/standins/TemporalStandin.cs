namespace Stigmer.Standins;

/// <summary>The <c>temporal</c> of a stand-in release: <c>temporal VERSION --version</c> and <c>temporal VERSION server start-dev …</c>.</summary>
static class TemporalStandin
{
    public static Task<int> Run(IReadOnlyList<string> arguments)
    {
        if (arguments is [var version, "--version"])
        {
            Console.WriteLine($"temporal version {version} (Server stand-in, UI none)");
            return Task.FromResult(0);
        }
        Console.Error.WriteLine("only --version is understood");
        return Task.FromResult(1);
    }
}
