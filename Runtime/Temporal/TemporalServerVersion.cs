using System.Text;
using System.Text.RegularExpressions;
using Stigmer.Processes;

namespace Stigmer.Runtime.Temporal;

/// <summary>
/// Which version of the server a Temporal CLI contains. It is asked, for no table knows the releases to come:
/// <c>temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)</c>.
/// </summary>
static partial class TemporalServerVersion
{
    /// <summary>How long the binary may take to answer.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    /// <summary>The most that is read of its answer, in bytes.</summary>
    const int MaxAnswer = 16 * 1024;

    /// <summary>Runs <c>temporal --version</c>; null where that says nothing that can be understood.</summary>
    public static async Task<string?> Ask(string binary, TimeProvider time, CancellationToken cancel)
    {
        Child child;
        try
        {
            child = Child.Start(new ChildSpec { Path = binary, Arguments = ["--version"], Environment = ChildEnvironment.Clean(Environment.GetEnvironmentVariables()) });
        }
        catch (Failure)
        {
            // What hinders it, the start of the server itself will say.
            return null;
        }
        var answer = Task.Run(() => Read(child), CancellationToken.None);
        try
        {
            await child.Exited.WaitAsync(Patience, time, cancel);
        }
        catch (TimeoutException)
        {
            return null;
        }
        finally
        {
            child.Kill();
            await child.Exited;
            child.Release();
            await answer;
        }
        return Parse(await answer);
    }

    /// <summary>The server's version in the answer; null: there is none.</summary>
    public static string? Parse(string answer) => Pattern().Match(answer) is { Success: true } match ? match.Groups[1].Value : null;

    static string Read(Child child)
    {
        using var output = child.Output;
        var buffer = new byte[MaxAnswer];
        var count = 0;
        while (count < buffer.Length && output.Read(buffer, count, buffer.Length - count) is > 0 and var more) count += more;
        // Who says more than that is no Temporal, and must not wait for us to listen.
        if (count == buffer.Length) child.Kill();
        return Encoding.UTF8.GetString(buffer, 0, count);
    }

    [GeneratedRegex(@"\bServer v?([0-9]+\.[0-9]+\.[0-9]+(?:[-+.][0-9A-Za-z]+)*)", RegexOptions.IgnoreCase)]
    private static partial Regex Pattern();
}
