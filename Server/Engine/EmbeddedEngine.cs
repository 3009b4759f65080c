using Stigmer.Rpc.Temporal;
using Stigmer.Server.Storage;

namespace Stigmer.Server.Engine;

/// <summary>
/// The part of Temporal that runs inside stigmer-server: workflows, their histories and their tasks, in the server's database.
/// Every change is one transaction on the database's writer thread; <see cref="EngineService"/> is how it is called.
/// </summary>
sealed class EmbeddedEngine : IAsyncDisposable
{
    /// <summary>How long a closed workflow can be read, in milliseconds: as long as on Temporal's dev server.</summary>
    public const long Retention = 24 * 3600 * 1000;

    const long SweepInterval = 3600 * 1000;

    /// <summary>A step does no more at once, so that it does not keep others waiting.</summary>
    const int Batch = 200;

    /// <summary>System timers take no more than 49 days.</summary>
    const long LongestWait = 24 * 3600 * 1000;

    readonly Database database;
    readonly TimeProvider time;
    readonly Log log;
    readonly OpenRuns open;
    readonly ITimer timer;
    readonly CancellationTokenSource stopping = new();
    string? namespaceId;
    long armedFor = long.MaxValue;
    long nextSweep;
    int recovering;

    /// <summary>Call <see cref="Start"/> before anything else. The database must outlive the engine.</summary>
    public EmbeddedEngine(Database database, TimeProvider time, Log log)
    {
        this.database = database;
        this.time = time;
        this.log = log;
        open = new OpenRuns(log, Recover);
        timer = time.CreateTimer(_ => _ = Background(FireDue, after: "a deadline"), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Tells this engine from every other: random, made with the database.</summary>
    public string NamespaceId => namespaceId ?? throw new InvalidOperationException("The engine has not been started");

    /// <summary>Cancelled when long polls are to end.</summary>
    internal CancellationToken Stopping => stopping.Token;

    internal TimeProvider Time => time;

    internal HistoryReaders Readers => open.Readers;

    /// <summary>Reads back what is open; every task and deadline goes on where it was.</summary>
    public async Task Start()
    {
        namespaceId = await database.Write(transaction => Store.NamespaceId(transaction.Connection)).ConfigureAwait(false);
        await Apply(step =>
        {
            open.Load(step);
            // Whoever had a workflow task may still answer it, but an answer costs nothing to make again: nobody waits for a timeout.
            foreach (var run in open.All.Where(run => run.Task is { IsStarted: true }).ToList()) WorkflowTasks.Requeue(step.Change(run));
            return true;
        }).ConfigureAwait(false);
    }

    /// <summary>A worker is known to have died: the tasks that it holds are given to others at once.</summary>
    /// <param name="identity">As in its polls.</param>
    public Task WorkerGone(string identity) => Apply(step =>
    {
        WorkerCalls.WorkerGone(step, open.All, identity);
        return true;
    });

    /// <summary>Answers every long poll at once, and those that come: the server is stopping.</summary>
    public void EndPolls() => stopping.Cancel();

    /// <summary>Ends long polls and the waiting for deadlines. Nothing needs to be saved.</summary>
    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync().ConfigureAwait(false);
        await timer.DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>Runs one step; completes when it is on disk.</summary>
    internal Task<T> Apply<T>(Func<Step, T> work) => database.Write(transaction =>
    {
        var step = new Step(open, transaction, time.GetUtcNow().ToUnixTimeMilliseconds());
        var result = work(step);
        step.Finish();
        Arm(step.Now);
        return result;
    });

    /// <summary>Reads what is on disk.</summary>
    internal Task<T> Read<T>(Func<Connection, T> work) => database.Read(work);

    /// <summary>Sets the one timer to what comes first. On the writer thread.</summary>
    void Arm(long now)
    {
        var next = Math.Min(open.Deadlines.Next, nextSweep);
        if (next == armedFor) return;
        armedFor = next;
        timer.Change(TimeSpan.FromMilliseconds(Math.Clamp(next - now, 0, LongestWait)), Timeout.InfiniteTimeSpan);
    }

    /// <summary>What is due, on the writer thread.</summary>
    bool FireDue(Step step)
    {
        armedFor = long.MaxValue;
        open.Recover(step);
        for (var i = 0; i < Batch && open.Deadlines.TakeDue(step.Now) is { } due; i++)
        {
            // It may have closed a moment ago, in this step.
            if (!due.Run.IsOpen) continue;
            switch (due.Kind)
            {
                case DeadlineKind.Expiry:
                    Workflows.TimeOut(step.Change(due.Run), step.Now);
                    break;
                case DeadlineKind.WorkflowTask when due.Run.Task is { IsStarted: true }:
                    WorkflowTasks.TimeOut(step.Change(due.Run), step.Now);
                    break;
                case DeadlineKind.WorkflowTask:
                    open.Watch(due.Run, step.Now);
                    break;
                case DeadlineKind.Timer:
                    Workflows.Fire(step.Change(due.Run), (TimerState)due.Item!, step.Now);
                    break;
                case DeadlineKind.Activity:
                    var activity = (ActivityState)due.Item!;
                    var (at, limit) = Activities.Due(activity, step.Now);
                    if (at <= step.Now && limit != TimeoutType.Unspecified) Activities.TimeOut(step.Change(due.Run), activity, step.Now, limit);
                    // A heartbeat came in between, or the next attempt may begin.
                    else open.Watch(due.Run, activity, step.Now);
                    break;
            }
        }
        if (nextSweep <= step.Now)
        {
            var swept = Store.Sweep(step.Connection, closedBefore: step.Now - Retention, Batch);
            nextSweep = swept == Batch ? step.Now : step.Now + SweepInterval;
        }
        return true;
    }

    void Recover()
    {
        // One at a time is enough: it looks for all that were forgotten by then.
        if (Interlocked.Exchange(ref recovering, 1) == 0) _ = Background(RecoverForgotten, after: "a failed write");

        bool RecoverForgotten(Step step)
        {
            recovering = 0;
            open.Recover(step);
            return true;
        }
    }

    /// <summary>Runs a step that nobody waits for.</summary>
    async Task Background(Func<Step, bool> work, string after)
    {
        try
        {
            await Apply(work).ConfigureAwait(false);
        }
        catch (ObjectDisposedException)
        {
            // The server is stopping; the next start goes on from what is stored.
        }
        catch (Exception e)
        {
            // The disk is full or broken. What was due stays due and is tried again with the next step or in a second.
            log.Error($"The engine could not go on after {after}", ("why", e.Message));
            recovering = 0;
            if (!stopping.IsCancellationRequested) timer.Change(TimeSpan.FromSeconds(1), Timeout.InfiniteTimeSpan);
        }
    }
}
