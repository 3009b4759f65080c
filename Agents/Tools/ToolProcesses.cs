using System.Text.Json;
using System.Text.Json.Serialization;
using Stigmer.Config;
using Stigmer.Processes;

namespace Stigmer.Agents.Tools;

/// <summary>
/// run/tools.json: the processes of tools, noted by their owner when they begin, so that the next owner ends what is left of them;
/// and which servers runs have called, whose memory is lost then.
/// </summary>
/// <param name="home">Whose tools they are.</param>
sealed class ToolProcesses(StigmerHome home, Log log, TimeProvider time)
{
    /// <summary>The most servers that are remembered to have been called; the oldest go first.</summary>
    const int MostCalled = 1000;

    /// <summary>How long a guardian, which was told of our predecessor's end by the kernel, may take.</summary>
    static readonly TimeSpan Grace = TimeSpan.FromSeconds(2);

    readonly Lock gate = new();
    readonly List<NotedProcess> processes = [];
    readonly List<CalledServer> called = [];
    readonly HashSet<CalledServer> lost = [];

    /// <summary>Notes a process until the result is disposed, which is when it has ended.</summary>
    /// <param name="run">The run on whose behalf.</param>
    /// <param name="name">The server, or the tool.</param>
    public IDisposable Note(GuardedProcess process, string run, string name)
    {
        // Where the system does not say who it is, no later owner could know it again.
        if (process.Leader is not { } leader) return new Noted(() => { });
        var noted = new NotedProcess(run, name, leader.Pid, leader.Start, leader.Boot, leader.Pid, OperatingSystem.IsLinux() ? LinuxProcessTable.SessionOf(leader.Pid) ?? 0 : 0);
        lock (gate)
        {
            processes.Add(noted);
            Write();
        }
        return new Noted(() =>
        {
            lock (gate)
            {
                if (processes.Remove(noted)) Write();
            }
        });
    }

    /// <summary>Notes that a run has called a server, which may have begun to remember things for it.</summary>
    public void Called(string run, string server)
    {
        lock (gate)
        {
            if (called.Contains(new(run, server))) return;
            called.Add(new(run, server));
            if (called.Count > MostCalled) called.RemoveAt(0);
            Write();
        }
    }

    /// <summary>The server of that run has been started anew: what it remembered is gone, if it was called before.</summary>
    public void Restarted(string run, string server)
    {
        lock (gate)
        {
            if (!called.Remove(new(run, server))) return;
            lost.Add(new(run, server));
            Write();
        }
    }

    /// <summary>Whether the server of that run has lost its memory since it was last asked; told once.</summary>
    public bool HasForgotten(string run, string server)
    {
        lock (gate) return lost.Remove(new(run, server));
    }

    /// <summary>Ends what an earlier owner has left. Nothing may have been noted yet.</summary>
    public async Task EndLeftovers(CancellationToken cancel)
    {
        if (Read() is not { } left) return;
        // A copy of a running home holds a file that names the original's.
        if (left.Home == home.Root) await Task.WhenAll((left.Processes ?? []).Where(p => p is not null).Select(p => End(p, cancel)));
        lock (gate)
        {
            lost.UnionWith((left.Called ?? []).Where(c => c is not null));
            Write();
        }
    }

    async Task End(NotedProcess process, CancellationToken cancel)
    {
        var leader = new ProcessIdentity(process.Pid, process.Start, process.Boot);
        if (leader.IsAlive)
        {
            log.Info("ends what an earlier owner of the tools has left", ("tool", process.Name), ("run", process.Run), ("pid", process.Pid));
            // Its guardian is at it already, and knows more of what belongs to it.
            using var patience = new CancellationTokenSource(Grace, time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancel);
            try
            {
                await leader.WaitForEnd(time, either.Token);
            }
            catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
            {
                leader.Kill();
                await leader.WaitForEnd(time, cancel);
            }
        }
        // The guardian itself may have been killed. As long as anybody is in the group, its number belongs to no other.
        if (!OperatingSystem.IsLinux() || process.Boot != ProcessIdentity.Of(Environment.ProcessId)?.Boot) return;
        while (LinuxProcessTable.InGroup(process.Group, process.Session, process.Start) is { Count: > 0 } rest)
        {
            foreach (var each in rest)
            {
                log.Info("ends what an earlier owner of the tools has left", ("tool", process.Name), ("run", process.Run), ("pid", each.Pid));
                each.Kill();
            }
            await Task.WhenAll(rest.Select(each => each.WaitForEnd(time, cancel)));
        }
    }

    ToolsDocument? Read()
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(home.Tools), ToolsJson.Default.ToolsDocument);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            return null; // There is none, or none that we could trust.
        }
    }

    void Write()
    {
        try
        {
            var document = new ToolsDocument(home.Root, processes, called);
            PrivateFile.Replace(home.Tools, JsonSerializer.SerializeToUtf8Bytes(document, ToolsJson.Default.ToolsDocument), lasting: false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The guardians end everything all the same, unless they are killed as well.
            log.Warn("tools' processes could not be noted", ("file", home.Tools), ("why", e.Message));
        }
    }

    sealed class Noted(Action ended) : IDisposable
    {
        public void Dispose() => ended();
    }
}

/// <summary>What tools.json holds.</summary>
sealed record ToolsDocument(string? Home, IReadOnlyList<NotedProcess>? Processes, IReadOnlyList<CalledServer>? Called);

/// <summary>A tool's process.</summary>
/// <param name="Run">On whose behalf it was started.</param>
/// <param name="Name">The server, or the tool.</param>
/// <param name="Pid">Who leads its group.</param>
/// <param name="Start">When that was started, as <see cref="ProcessIdentity"/> counts it.</param>
/// <param name="Boot">The boot that both belong to.</param>
/// <param name="Group">The group of all that it started.</param>
/// <param name="Session">The group's session; 0: not known.</param>
sealed record NotedProcess(string Run, string Name, int Pid, long Start, string Boot, int Group, int Session);

/// <summary>A server that a run has called.</summary>
sealed record CalledServer(string Run, string Server);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(ToolsDocument))]
sealed partial class ToolsJson : JsonSerializerContext;
