using Stigmer.Config;
using Stigmer.Processes;

namespace Stigmer.Runtime;

/// <summary>
/// What a daemon that was killed has left running. Its components are known by pid, start time and boot; what they started, in
/// their groups, by a mark in its environment, which no other process has: it is found also where the component itself is gone.
/// </summary>
static class Leftovers
{
    /// <summary>The environment variable that marks what one daemon started: random for each of them.</summary>
    public const string Mark = "STIGMER_STACK";

    /// <summary>Ends all of it: SIGTERM, after the grace SIGKILL. Completes when none of it is left.</summary>
    /// <param name="found">Is told each process, with the component that it belongs to.</param>
    public static async Task End(StigmerHome home, TimeSpan grace, Action<string, ProcessIdentity> found, TimeProvider time, CancellationToken cancel)
    {
        var left = StateFiles.ReadChildren(home.Children);
        var named = left.Children.Append(StateFiles.ReadProcess(home.TemporalPid)).OfType<NamedProcess>()
            .Where(p => p.Home == home.Root).DistinctBy(p => p.Pid).ToList();
        // Again for what was started meanwhile.
        while (Alive(named, left.Mark) is { Count: > 0 } alive)
        {
            foreach (var (component, process) in alive) found(component, process);
            await Task.WhenAll(alive.Select(a => End(a.Process, grace, time, cancel)));
        }
    }

    static List<(string Component, ProcessIdentity Process)> Alive(IEnumerable<NamedProcess> named, string? mark)
    {
        var alive = new List<(string, ProcessIdentity)>();
        foreach (var component in named)
        {
            if (component.Identity.IsAlive) alive.Add((component.Name, component.Identity));
            else if (mark is not null && OperatingSystem.IsLinux()) alive.AddRange(LinuxProcessTable.InGroup(component.Pid, $"{Mark}={mark}").Select(p => (component.Name, p)));
        }
        return alive;
    }

    static async Task End(ProcessIdentity process, TimeSpan grace, TimeProvider time, CancellationToken cancel)
    {
        process.AskToEnd();
        using var patience = new CancellationTokenSource(grace, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancel);
        try
        {
            await process.WaitForEnd(time, either.Token);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            process.Kill();
            await process.WaitForEnd(time, cancel);
        }
    }
}
