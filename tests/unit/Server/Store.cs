using Microsoft.Extensions.Time.Testing;
using Stigmer.Config;
using Stigmer.Rpc.V1;
using Stigmer.Server.Runs;
using Stigmer.Server.Storage;

namespace Stigmer.Tests.Server;

/// <summary>A record of runs on a real database file, with a clock that stands still, and shorthands for what runners and people do.</summary>
sealed class Store : IAsyncDisposable
{
    public static readonly EngineIdentity Here = new("engine-here", EngineName.Managed, "localhost:7233");

    readonly string folder = Directory.CreateTempSubdirectory("stigmer-runs-").FullName;
    int keys;

    Store()
    {
    }

    public FakeTimeProvider Time { get; } = new(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero));

    public Database Database { get; private set; } = null!;

    public RunStore Runs { get; private set; } = null!;

    public static async Task<Store> Open(EngineIdentity? engine = null, bool withoutEngine = false)
    {
        var store = new Store();
        await store.Begin();
        if (!withoutEngine) await store.Runs.EngineKnown(engine ?? Here);
        return store;
    }

    /// <summary>As after a kill of the server: another process opens the same file. Its engine has yet to say who it is.</summary>
    public async Task Kill()
    {
        Runs.Runners.Dispose();
        await Database.Abandon();
        await Begin();
    }

    public async ValueTask DisposeAsync()
    {
        Runs.Runners.Dispose();
        await Database.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }

    /// <summary>A run that has begun; its id.</summary>
    public async Task<string> Start(string prompt = "hello", Limits? limits = null)
    {
        var id = RandomId.New();
        await Runs.Start(new StartRunRequest { RunId = id, Prompt = prompt, Workspace = "/w", Limits = limits });
        return id;
    }

    public async Task<Run> Run(string id) => (await Runs.Get(new GetRunRequest { Run = id })).Run;

    public async Task<IReadOnlyList<TranscriptEntry>> Entries(string id) => (await Runs.Get(new GetRunRequest { Run = id })).Transcript;

    public async Task<string> Workflow(string run) =>
        await Database.Read(c => c.Text("SELECT workflow FROM turns t JOIN runs r ON r.number = t.run WHERE r.id = $1 ORDER BY turn DESC LIMIT 1", run)) ?? "";

    public async Task<ClaimResponse> Claim(string run, string runner, int step, int slot = 0, string? workflow = null, string? key = null, TimeSpan? wait = null) =>
        await Runs.Claim(
            new ClaimRequest
            {
                Slot = Slot(run, step, slot), Caller = Caller(runner, workflow ?? await Workflow(run)), Key = key ?? $"k{Interlocked.Increment(ref keys)}",
                WaitMs = (long)(wait ?? TimeSpan.Zero).TotalMilliseconds,
            },
            TestContext.Current.CancellationToken);

    public async Task<AppendResponse> Answer(string run, string runner, int step, string text = "done", long readUpTo = 1, params ToolCall[] calls) =>
        await Runs.Append(new AppendRequest
        {
            Slot = Slot(run, step, 0), Caller = Caller(runner, "any"),
            Answer = new ModelAnswer
            {
                Text = text, Calls = { calls }, ReadUpTo = readUpTo, WorkedMs = 100, Usage = new Usage { InputTokens = 10, OutputTokens = 5 },
                FinishReason = calls.Length > 0 ? FinishReason.ToolCalls : FinishReason.Stop,
            },
        });

    public async Task<AppendResponse> Result(string run, string runner, int step, int slot, string text = "result") =>
        await Runs.Append(new AppendRequest
        {
            Slot = Slot(run, step, slot), Caller = Caller(runner, "any"), Result = new ToolResult { Ok = true, Text = text, Kind = ResultKind.Ran, WorkedMs = 50 },
        });

    public async Task<EndTurnResponse> End(string run, RunStatus status = RunStatus.Completed, string? workflow = null, long readUpTo = 1, Error? error = null) =>
        await Runs.EndTurn(new EndTurnRequest
        {
            RunId = run, Turn = 1, Caller = Caller("", workflow ?? await Workflow(run)), Status = status, ReadUpTo = readUpTo, Error = error,
        });

    public Task GiveBack(string run, string runner, int step, int slot, bool begun) =>
        Runs.GiveBack(new GiveBackRequest { Slot = Slot(run, step, slot), RunnerLife = runner, Begun = begun });

    public Task<List<string>> Outbox() => Database.Read(c => c.Query("SELECT kind || ' ' || workflow FROM outbox ORDER BY number", r => r.GetString(0)));

    /// <summary>The engine has taken everything that stood in the outbox.</summary>
    public Task EmptyOutbox() => Database.Write(t => t.Execute("DELETE FROM outbox"));

    public static ToolCall Call(int slot, string name = "workspace.list") => new() { Slot = slot, Id = $"call-{slot}", Name = name, Arguments = "{}" };

    public static SlotKey Slot(string run, int step, int slot) => new() { RunId = run, Turn = 1, Step = step, Slot = slot };

    static Caller Caller(string runner, string workflow) => new() { RunnerLife = runner, WorkflowId = workflow, ActivityId = "a" };

    async Task Begin()
    {
        var log = new Log("test", TextWriter.Null, Time);
        Database = Database.Open(Path.Combine(folder, "stigmer.db"), log);
        Runs = await RunStore.Open(Database, "host", Time, log);
    }
}
