using Stigmer.Rpc.V1;

namespace Stigmer.Agents.Tools.Mcp;

/// <summary>The MCP servers of all runs: one set for each run, which lives for some minutes beyond its last turn.</summary>
/// <param name="environment">What <c>${NAME}</c> is filled from: the runner's own, which is that of the shell where the stack was started.</param>
sealed class McpServers(Func<string, string?> environment, ToolProcesses processes, Log log, TimeProvider time) : IAsyncDisposable
{
    /// <summary>How long a run's servers wait for its next turn.</summary>
    public static readonly TimeSpan Rest = TimeSpan.FromMinutes(5);

    /// <summary>
    /// Of how many runs servers wait so: a script that starts a run a second would have hundreds of sets, of some 100 MB each. Those
    /// that have waited longest end before their time.
    /// </summary>
    public const int MostResting = 8;

    readonly Lock gate = new();
    readonly Dictionary<string, Set> sets = new(StringComparer.Ordinal);
    long rested;

    /// <summary>The turns whose servers run.</summary>
    public IReadOnlyList<TurnKey> Turns
    {
        get
        {
            lock (gate) return [.. sets.Where(each => each.Value.Timer is null).Select(each => new TurnKey { RunId = each.Key, Turn = each.Value.Turn })];
        }
    }

    /// <summary>
    /// Starts the servers of a run and asks each for its tools. One that does not start is told of in the offer, and the run goes on
    /// without it; a variable that is not set fails with <see cref="Failure"/>, before any is started.
    /// </summary>
    /// <param name="offers">Whether a tool is offered, by its whole name.</param>
    public async Task<ToolOffer> Open(RunSpec spec, int turn, Func<string, bool> offers, CancellationToken cancel)
    {
        foreach (var server in spec.McpServers)
        {
            if (McpServer.Missing(server, environment) is { Count: > 0 } missing) throw McpServer.NotSet(server.Name, missing);
        }
        var set = Of(spec, turn);
        var offer = new ToolOffer();
        foreach (var tools in await Task.WhenAll(spec.McpServers.Select(server => ToolsOf(set, server.Name, cancel))))
        {
            offer.Tools.AddRange(tools.Found.Where(tool => offers(tool.Name)));
            if (tools.Note is { } note) offer.Notes.Add(note);
        }
        return offer;
    }

    /// <summary>Calls a tool of a server; null: the run has no such server.</summary>
    /// <param name="name">The tool's whole name: <c>server.tool</c>.</param>
    public async Task<ToolOutcome?> Call(RunSpec spec, int turn, string name, string arguments, CancellationToken cancel)
    {
        if (name.Split('.', 2) is not [var server, var tool] || spec.McpServers.All(each => each.Name != server)) return null;
        return await Of(spec, turn).Servers[server].Call(tool, arguments, cancel);
    }

    /// <summary>The turn has ended: its servers wait for the next one, and end.</summary>
    public void TurnEnded(string run, int turn)
    {
        List<KeyValuePair<string, Set>> tooMany;
        lock (gate)
        {
            if (!sets.TryGetValue(run, out var set) || set.Turn > turn || set.Timer is not null) return;
            set.Timer = time.CreateTimer(_ => _ = End(run, set), null, Rest, Timeout.InfiniteTimeSpan);
            set.Rested = ++rested;
            tooMany = [.. sets.Where(each => each.Value.Timer is not null).OrderByDescending(each => each.Value.Rested).Skip(MostResting)];
        }
        foreach (var (other, set) in tooMany) _ = End(other, set);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        List<Set> all;
        lock (gate)
        {
            all = [.. sets.Values];
            sets.Clear();
        }
        await Task.WhenAll(all.Select(Close));
    }

    async Task<(IReadOnlyList<OfferedTool> Found, string? Note)> ToolsOf(Set set, string server, CancellationToken cancel)
    {
        try
        {
            var tools = await set.Servers[server].Tools(cancel);
            return ([.. tools.Select(tool => new OfferedTool { Name = $"{server}.{tool.Name}", Description = tool.Description, Schema = tool.InputSchema.GetRawText() })], null);
        }
        catch (Failure e)
        {
            log.Warn(e.What, ("why", e.Why));
            return ([], $"{e.Message}. The run goes on without its tools");
        }
    }

    Set Of(RunSpec spec, int turn)
    {
        lock (gate)
        {
            if (!sets.TryGetValue(spec.RunId, out var set))
            {
                set = new Set(spec.McpServers.ToDictionary(
                    server => server.Name, server => new McpServer(spec, server, environment, processes, log, time), StringComparer.Ordinal));
                sets[spec.RunId] = set;
            }
            set.Turn = Math.Max(set.Turn, turn);
            set.Timer?.Dispose();
            set.Timer = null;
            return set;
        }
    }

    async Task End(string run, Set set)
    {
        lock (gate)
        {
            // A turn may have begun in the last moment.
            if (set.Timer is null || !sets.Remove(run)) return;
        }
        await Close(set);
        log.Info("the MCP servers of a run were ended", ("run", run));
    }

    static async Task Close(Set set)
    {
        set.Timer?.Dispose();
        await Task.WhenAll(set.Servers.Values.Select(server => server.DisposeAsync().AsTask()));
    }

    sealed class Set(IReadOnlyDictionary<string, McpServer> servers)
    {
        public IReadOnlyDictionary<string, McpServer> Servers => servers;

        public int Turn { get; set; }

        /// <summary>Runs while no turn does.</summary>
        public ITimer? Timer { get; set; }

        /// <summary>As the how-manieth of all it began to wait for a next turn.</summary>
        public long Rested { get; set; }
    }
}
