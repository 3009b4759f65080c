using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Stigmer.Faults;

/// <summary>Another program has the port: before the start, or as soon as its owner died.</summary>
static class PortThefts
{
    public static async Task Act(Round round)
    {
        var (port, temporalPort) = (FreePort(), FreePort());
        round.Configure(port, temporalPort);
        var stolen = round.Managed && round.Random.Next(2) == 0 ? temporalPort : port;
        using (var thief = Listen(stolen))
        {
            var refused = (await round.Run("local")).Exits(1);
            Assert.Contains(stolen.ToString(CultureInfo.InvariantCulture), refused.Error, StringComparison.Ordinal);
            Assert.Contains(Environment.ProcessId.ToString(CultureInfo.InvariantCulture), refused.Error, StringComparison.Ordinal);
            Assert.Empty(round.Processes());
            (await round.Run("local", "status")).Exits(3);
            round.Count("ports taken");
        }
        (await round.Run("local")).Exits(0);
        var flights = await Flight.Start(round, round.Random.Next(1, 3));
        await round.Pause(100);
        var owner = round.Processes().Single(p => p.Part == (stolen == port ? Part.Server : Part.Temporal));
        round.Signal(owner.Pid, 9, $"{owner.Part}");
        if (Steal(round, stolen) is { } late)
        {
            round.Note($"port {stolen} is taken");
            round.Count("ports stolen");
            await Task.Delay(round.Random.Next(1200));
            late.Dispose();
            round.Note($"port {stolen} is free");
        }
        await Checks.BecomesReady(round);
        var here = (await round.Status()).GetProperty("endpoint").GetString();
        Assert.EndsWith($":{port}", here, StringComparison.Ordinal);
        await Checks.Afterwards(round, flights);
    }

    static TcpListener? Steal(Round round, int port)
    {
        var until = Environment.TickCount64 + 300;
        while (Environment.TickCount64 < until)
        {
            try
            {
                return Listen(port);
            }
            catch (SocketException)
            {
                // Its successor may be faster.
            }
        }
        return null;
    }

    static TcpListener Listen(int port)
    {
        var listener = new TcpListener(IPAddress.Loopback, port);
        listener.Start();
        return listener;
    }

    static int FreePort()
    {
        using var listener = Listen(0);
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
