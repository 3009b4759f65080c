using System.Collections;
using Stigmer.Config;
using Stigmer.Rpc;

namespace Stigmer.Runtime;

/// <summary>
/// What each component finds in its environment: the user's own, without what configures Stigmer or Temporal or holds a key,
/// and then exactly what that component needs. Holds secrets.
/// </summary>
static class ChildEnvironment
{
    static readonly string?[] Keys = [.. Enum.GetValues<LlmProvider>().Select(provider => provider.KeyVariable())];

    /// <summary>The user's environment at the start, cleaned. All of the user's TEMPORAL_* go: an external engine's are added again, resolved.</summary>
    public static Dictionary<string, string> Clean(IDictionary environment)
    {
        var clean = new Dictionary<string, string>(OperatingSystem.IsWindows() ? StringComparer.OrdinalIgnoreCase : StringComparer.Ordinal);
        foreach (DictionaryEntry entry in environment)
        {
            var name = (string)entry.Key;
            if (name.StartsWith("STIGMER_", StringComparison.OrdinalIgnoreCase) || name.StartsWith("TEMPORAL_", StringComparison.OrdinalIgnoreCase)
                || name == "MODE" || Keys.Contains(name)) continue;
            clean[name] = (string)entry.Value!;
        }
        return clean;
    }

    /// <summary>For stigmer-server.</summary>
    public static Dictionary<string, string> Server(
        Dictionary<string, string> clean, Settings settings, string token, TemporalMode engine, TemporalConnection? temporal)
    {
        var all = Roles(clean, settings, token, temporal);
        all["STIGMER_ENGINE"] = EngineName.Of(engine);
        return all;
    }

    /// <summary>For the agent-runner.</summary>
    /// <param name="clean">See <see cref="Clean"/>.</param>
    /// <param name="order">What to run.</param>
    /// <param name="token">The API's token.</param>
    /// <param name="server">Where stigmer-server listens.</param>
    /// <param name="temporal">The engine; for the embedded one the server's own address.</param>
    /// <param name="life">This process's life: 32 hex digits.</param>
    /// <param name="replaces">The lives whose ends were seen.</param>
    public static Dictionary<string, string> Runner(
        Dictionary<string, string> clean, StartOrder order, string token, HostPort server, TemporalConnection temporal, string life, IReadOnlyList<string> replaces)
    {
        var all = Roles(clean, order.Settings, token, temporal);
        foreach (var (name, value) in RunnerEnvironment.Write(order.Settings, order.Keys)) all[name] = value;
        all["STIGMER_SERVER"] = server.ToString();
        all["STIGMER_RUNNER_LIFE"] = life;
        if (replaces.Count > 0) all["STIGMER_RUNNER_REPLACES"] = string.Join(' ', replaces);
        return all;
    }

    static Dictionary<string, string> Roles(Dictionary<string, string> clean, Settings settings, string token, TemporalConnection? temporal)
    {
        var all = new Dictionary<string, string>(clean, clean.Comparer)
        {
            ["STIGMER_HOME"] = settings.Home.Root,
            ["STIGMER_DATA_DIR"] = settings.DataDir,
            ["STIGMER_TOKEN"] = token,
        };
        foreach (var (name, value) in temporal?.ToEnvironment() ?? []) all[name] = value;
        return all;
    }
}
