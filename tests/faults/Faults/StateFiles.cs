using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text.Json.Nodes;

namespace Stigmer.Faults;

/// <summary>The files in which a daemon names itself and its children are garbage, half written, old, or name somebody else.</summary>
static class StateFiles
{
    public static async Task Act(Round round)
    {
        (await round.Run("local")).Exits(0);
        var flights = await Flight.Start(round, round.Random.Next(1, 3));
        await round.Pause(100);
        round.RunnerEnds++;
        if (round.Random.Next(2) == 0)
        {
            (await round.Run("local", "stop")).Exits(0);
        }
        else
        {
            foreach (var (pid, part, _) in round.Processes()) round.Signal(pid, 9, $"{part}");
            await Checks.EndsWithin(round, TimeSpan.FromSeconds(5));
        }

        // Somebody who has nothing to do with it, and must not be signalled whatever the files say.
        using var bystander = Process.Start(new ProcessStartInfo("sleep", "1000"))!;
        try
        {
            foreach (var name in (string[])["run/daemon.pid", "run/children.json", "temporal.pid", "run/control.sock", "run/daemon.lock", "run/daemon.pid.new", "run/children.json.new", "data/stigmer.lock"])
            {
                if (round.Random.Next(3) > 0) Spoil(round, Path.Combine(round.Home, name), bystander.Id);
            }
            (await round.Run("local", "status")).Exits(3);
            if (round.Random.Next(2) == 0) (await round.Run("local", "stop")).Exits(0);
            (await round.Run("local")).Exits(0);
            await Checks.BecomesReady(round);
            if (round.Random.Next(2) == 0)
            {
                // Also while it runs.
                foreach (var name in (string[])["run/daemon.pid", "run/children.json", "temporal.pid"])
                {
                    if (round.Random.Next(2) == 0) Spoil(round, Path.Combine(round.Home, name), bystander.Id);
                }
            }
            await Checks.Afterwards(round, flights);
            Assert.False(bystander.HasExited, "a process that has nothing to do with the stack was ended");
        }
        finally
        {
            bystander.Kill();
        }
    }

    static void Spoil(Round round, string path, int bystander)
    {
        round.Count("files spoiled");
        var lockFile = path.EndsWith(".lock", StringComparison.Ordinal);
        var how = round.Random.Next(lockFile ? 3 : 7);
        round.Note($"spoils {Path.GetRelativePath(round.Home, path)}: {how}");
        // A socket that is there cannot be written to.
        if (!lockFile) File.Delete(path);
        switch (how)
        {
            case 0:
                File.WriteAllText(path, "");
                break;
            case 1:
                var garbage = new byte[round.Random.Next(1, 5000)];
                round.Random.NextBytes(garbage);
                File.WriteAllBytes(path, garbage);
                break;
            case 2:
                File.WriteAllText(path, "{\"pid\":");
                break;
            case 3:
                // As an older installation left it.
                File.WriteAllText(path, bystander.ToString(CultureInfo.InvariantCulture));
                break;
            case 4:
                File.WriteAllText(path, Named(round, bystander, "stigmer-server").ToJsonString());
                break;
            case 5:
                File.WriteAllText(path, new JsonObject { ["children"] = new JsonArray(Named(round, bystander, "agent-runner"), null), ["lives"] = new JsonArray("x", null), ["mark"] = null }.ToJsonString());
                break;
            default:
                // A socket on which nobody listens any more.
                using (var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)) socket.Bind(new UnixDomainSocketEndPoint(path));
                break;
        }
    }

    /// <summary>The right pid and boot, and the start time of an earlier process with that pid.</summary>
    static JsonObject Named(Round round, int pid, string name) => new()
    {
        ["name"] = name, ["pid"] = pid, ["start"] = 12345, ["boot"] = File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim(), ["home"] = round.Home,
    };
}
