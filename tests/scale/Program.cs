using System.Diagnostics;
using System.Globalization;
using Stigmer.Config;
using Stigmer.Rpc;
using Stigmer.Rpc.V1;
using Stigmer.Scale;

// Queues runs, then starts runners and waits until all have ended: how fast, how much is stored, how much memory.
//   Stigmer.Scale [--runs 1000] [--runners 1] [--steps 3] [--concurrency 0] [--thinking 0] [--external] [--kill]
// The executable is STIGMER_EXE. --thinking: milliseconds that the model takes. --external: the engine of another stigmer server
// serves as a Temporal. --kill: a runner is killed, and another started, every two seconds.
CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
int Option(string name, int otherwise) => Array.IndexOf(args, name) is >= 0 and var at ? int.Parse(args[at + 1]) : otherwise;
var (runs, runners, steps, concurrency) = (Option("--runs", 1000), Option("--runners", 1), Option("--steps", 3), Option("--concurrency", 0));
var (external, kill) = (args.Contains("--external"), args.Contains("--kill"));
var executable = Environment.GetEnvironmentVariable("STIGMER_EXE") ?? throw new InvalidOperationException("STIGMER_EXE names no executable");
var top = Directory.CreateTempSubdirectory("stg-scale-").FullName;
var work = Directory.CreateDirectory(Path.Combine(top, "work")).FullName;
File.WriteAllText(Path.Combine(work, "a.txt"), "a");
var children = new List<Child>();
await using var model = await Model.Start(steps, TimeSpan.FromMilliseconds(Option("--thinking", 0)));
try
{
    const string Token = "scale";
    Dictionary<string, string> engine = [];
    Child? engineServer = null;
    if (external)
    {
        engineServer = await Child.Server(executable, Path.Combine(top, "engine"), Token, engine);
        children.Add(engineServer);
        engine = new() { ["STIGMER_ENGINE"] = "external", ["TEMPORAL_SERVICE_ADDRESS"] = engineServer.Address, ["TEMPORAL_API_KEY"] = Token, ["TEMPORAL_TLS"] = "false" };
    }
    var home = Path.Combine(top, "server");
    var server = await Child.Server(executable, home, Token, engine);
    children.Add(server);

    HostPort.TryParse(server.Address, out var address);
    using var channel = Channels.ToServer(address, Token);
    var client = new RunService.RunServiceClient(channel);
    var clock = Stopwatch.StartNew();
    await Parallel.ForEachAsync(Enumerable.Range(1, runs), new ParallelOptions { MaxDegreeOfParallelism = 32 }, async (n, cancel) =>
        await client.StartRunAsync(new StartRunRequest { RunId = RandomId.New(), Prompt = $"run {n}", Workspace = work, HostId = File.ReadAllText(Path.Combine(home, "data", "host-id")).Trim() }, cancellationToken: cancel));
    Console.WriteLine($"queued       {runs} runs in {clock.Elapsed.TotalSeconds:0.0} s, {runs / clock.Elapsed.TotalSeconds:0} a second");

    clock.Restart();
    Child Runner()
    {
        var environment = new Dictionary<string, string>(engine)
        {
            ["MODE"] = "local", ["STIGMER_SERVER"] = server.Address, ["STIGMER_TOKEN"] = Token, ["STIGMER_LLM_PROVIDER"] = "ollama", ["STIGMER_LLM_MODEL"] = "m",
            ["STIGMER_LLM_BASE_URL"] = model.Url, ["STIGMER_DATA_DIR"] = Path.Combine(home, "data"),
        };
        environment.TryAdd("TEMPORAL_SERVICE_ADDRESS", server.Address);
        var child = Child.Start(executable, ["agent-runner", .. concurrency > 0 ? ["--concurrency", $"{concurrency}"] : Array.Empty<string>()], home, environment);
        children.Add(child);
        return child;
    }
    var workers = Enumerable.Range(0, runners).Select(_ => Runner()).ToList();
    var kills = 0;
    for (var sample = 1; ; sample++)
    {
        await Task.Delay(500);
        foreach (var child in children) child.Sample();
        if (kill && sample % 4 == 0)
        {
            workers[0].Kill();
            workers.RemoveAt(0);
            workers.Add(Runner());
            kills++;
        }
        if (sample % 10 == 0 && args.Contains("--verbose")) Console.WriteLine($"             {clock.Elapsed.TotalSeconds:0} s: {model.Calls} calls; {string.Join(", ", children.Select(child => $"{child.Now / 1024.0:0}"))} MB");
        // Only near the end, so that looking costs nothing before.
        if (model.Calls < runs * steps) continue;
        var left = await client.ListRunsAsync(new ListRunsRequest { Status = RunStatus.Running, Limit = 1 });
        if (left.Runs.Count == 0 && (await client.ListRunsAsync(new ListRunsRequest { Status = RunStatus.Queued, Limit = 1 })).Runs.Count == 0) break;
        if (clock.Elapsed > TimeSpan.FromMinutes(20)) throw new TimeoutException("it does not come to an end");
    }
    var took = clock.Elapsed.TotalSeconds;
    var ended = (await client.ListRunsAsync(new ListRunsRequest { Limit = runs })).Runs;
    Console.WriteLine($"carried out  {ended.Count(run => run.Status == RunStatus.Completed)} of {runs} completed, {steps} steps each, by {runners} runners in {took:0.0} s: {runs / took:0.0} runs, {runs * steps / took:0} model calls a second");
    Console.WriteLine($"model        {model.Calls} calls, {model.Repeated} made more than once, {model.Most} at most at the same time, {kills} kills");
    foreach (var child in children) Console.WriteLine($"memory       {child.Name}: {child.First / 1024.0:0.0} MB at first, {child.Most / 1024.0:0.0} at most, {child.Now / 1024.0:0.0} at the end; {child.Cpu:0.0} s of CPU");
    foreach (var child in Enumerable.Reverse(children)) child.Terminate();
    foreach (var each in new[] { home, Path.Combine(top, "engine") }.Where(Directory.Exists))
    {
        var size = new FileInfo(Path.Combine(each, "data", "stigmer.db")).Length;
        Console.WriteLine($"database     {Path.GetFileName(each)}: {size / 1024.0 / 1024:0.0} MB, {size / runs} bytes a run");
        if (args.Contains("--keep")) Console.WriteLine($"             {each}");
    }
    return ended.All(run => run.Status == RunStatus.Completed) && ended.Count == runs && (kill || model.Repeated == 0) ? 0 : 1;
}
finally
{
    foreach (var child in children) child.Kill();
    if (!args.Contains("--keep")) Directory.Delete(top, recursive: true);
}
