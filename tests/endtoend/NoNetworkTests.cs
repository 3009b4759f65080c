using System.Globalization;
using Stigmer.EndToEnd.Harness;

namespace Stigmer.EndToEnd;

/// <summary>In a network of its own, which leads nowhere: needs root, unshare and ip.</summary>
public class NoNetworkTests
{
    const string Unreachable = "ip link set lo up";

    /// <summary>Everything has a route, and nothing ever answers.</summary>
    const string Vanishing = "ip link set lo up; ip link add d0 type dummy; ip addr add 10.99.99.1/24 dev d0; ip link set d0 up; ip route add default dev d0";

    [Theory]
    [InlineData(Unreachable)]
    [InlineData(Vanishing)]
    public async Task With_nothing_cached_and_nothing_configured_it_goes_on_embedded_within_ten_seconds(string network)
    {
        await using var stack = Nothing();
        var printed = await InNetwork(stack, network, """
            began=$(date +%s%N)
            "$STIGMER" local --json > local.json 2> local.err; echo "start=$?"
            echo "ms=$(( ($(date +%s%N) - began) / 1000000 ))"
            "$STIGMER" run --provider demo Hi > run.out 2> run.err; echo "run=$?"
            "$STIGMER" run Hi > /dev/null 2> refused.err; echo "refused=$?"
            "$STIGMER" local stop > /dev/null; echo "stop=$?"
            """);
        string Read(string name) => File.ReadAllText(Path.Combine(stack.Workspace, name));
        Assert.True(printed["start"] == "0", Read("local.json") + Read("local.err"));
        Assert.InRange(int.Parse(printed["ms"], CultureInfo.InvariantCulture), 0, 10_000);
        Assert.Contains("\"mode\":\"embedded\"", Read("local.json").Replace(" ", "", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.Single(Read("local.err").Split('\n'), line => line.StartsWith("⚠ ", StringComparison.Ordinal) && line.Contains("embedded engine", StringComparison.Ordinal));
        Assert.Equal(("0", "1", "0"), (printed["run"], printed["refused"], printed["stop"]));
        Assert.Contains("demo model", Read("run.out"), StringComparison.Ordinal);
        Assert.Contains("`ollama serve`", Read("refused.err"), StringComparison.Ordinal);
        Assert.Contains("--provider demo", Read("refused.err"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(Unreachable)]
    [InlineData(Vanishing)]
    public async Task What_was_asked_for_by_name_fails_and_leaves_nothing(string network)
    {
        await using var stack = Nothing();
        var printed = await InNetwork(stack, network, """
            "$STIGMER" local --managed > out 2> err; echo "start=$?"
            "$STIGMER" local status > /dev/null; echo "status=$?"
            """);
        Assert.Equal(("1", "3"), (printed["start"], printed["status"]));
        // Before it come the notes about further attempts.
        Assert.Contains(await File.ReadAllLinesAsync(Path.Combine(stack.Workspace, "err"), TestContext.Current.CancellationToken), line => line.StartsWith("✗ ", StringComparison.Ordinal));
        Assert.Empty(stack.Processes());
    }

    static Stack Nothing()
    {
        var stack = Stack.Create();
        File.Delete(Path.Combine(stack.Home, "config.yaml"));
        return stack;
    }

    /// <summary>What a script says as NAME=VALUE, run in a network that holds no more than it sets up.</summary>
    static async Task<Dictionary<string, string>> InNetwork(Stack stack, string network, string script)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess && File.Exists("/usr/bin/unshare") && (File.Exists("/usr/sbin/ip") || File.Exists("/sbin/ip")), "needs root, unshare and ip");
        stack.Environment["STIGMER"] = Running.Executable;
        stack.Environment["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        await using var running = Running.Start("/usr/bin/unshare", ["-n", "sh", "-c", $"{network}\n{script}"], stack.Environment, stack.Workspace, stack.Logs).Input("");
        var ended = (await running.End()).Exits(0);
        return ended.Lines.Select(line => line.Split('=', 2)).ToDictionary(pair => pair[0], pair => pair[1]);
    }
}
