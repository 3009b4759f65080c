using Stigmer.Agents.Tools.Mcp;
using Stigmer.Config;
using Stigmer.Processes;

namespace Stigmer.Agents.Tools;

/// <summary>
/// Owns the tools of a host: of the runners of one home the one that holds run/tools.lock, which falls with it, however it ends.
/// </summary>
sealed class ToolOwner : IAsyncDisposable
{
    readonly StigmerHome home;
    readonly ToolProcesses processes;
    readonly Log log;
    readonly TimeProvider time;
    WaitingLock? held;

    /// <param name="home">Whose tools they are.</param>
    /// <param name="environment">What <c>${NAME}</c> of an agent's servers is filled from.</param>
    public ToolOwner(StigmerHome home, Func<string, string?> environment, Log log, TimeProvider time)
    {
        (this.home, this.log, this.time) = (home, log, time);
        processes = new ToolProcesses(home, log, time);
        Servers = new McpServers(environment, processes, log, time);
        Box = new Toolbox(Servers, processes, time);
    }

    /// <summary>The MCP servers of all runs.</summary>
    public McpServers Servers { get; }

    /// <summary>All tools.</summary>
    public Toolbox Box { get; }

    /// <summary>Waits until nobody else owns them, and ends what an owner that was killed has left.</summary>
    public async Task Own(CancellationToken cancel)
    {
        held = await WaitingLock.Take(home.ToolsLock, time, cancel);
        await processes.EndLeftovers(cancel);
        log.Info("owns the tools of this host", ("lock", home.ToolsLock));
    }

    /// <summary>Ends all of them, and lets another own them.</summary>
    public async ValueTask DisposeAsync()
    {
        await Servers.DisposeAsync();
        held?.Dispose();
    }
}
