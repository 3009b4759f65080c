using CsCheck;
using Grpc.Core;
using Microsoft.Extensions.Time.Testing;
using Stigmer.Rpc.Temporal;
using Stigmer.Server.Engine;
using Stigmer.Server.Storage;
using static Stigmer.Tests.Engine.EngineHost;

namespace Stigmer.Tests.Engine;

/// <summary>Whatever clients, workers and the clock do, and whenever the engine is killed: nothing that it has said is unsaid.</summary>
public sealed class EnginePropertyTests
{
    [Fact]
    public async Task Nothing_acknowledged_is_lost_and_every_workflow_comes_to_its_end()
    {
        await Gen.Int[0, 999].Array[5, 60].SampleAsync(async moves =>
        {
            await using var world = await World.Create();
            foreach (var move in moves)
            {
                await world.Move(move);
                await world.CheckMemoryAgainstRows();
            }
            await world.Drain();
        }, iter: 60, threads: 1);
    }

    sealed class World : IAsyncDisposable
    {
        readonly string folder = Directory.CreateTempSubdirectory("stigmer-world-").FullName;
        readonly FakeTimeProvider time = new(new DateTimeOffset(2026, 11, 24, 8, 0, 0, TimeSpan.Zero));
        readonly List<string> workflows = [];
        readonly List<(string Workflow, string Signal)> signals = [];
        readonly List<(string Workflow, string Result)> results = [];
        readonly HashSet<string> ended = [];
        readonly List<GivenTask> workflowTasks = [];
        readonly List<GivenTask> activityTasks = [];
        Database database = null!;
        EmbeddedEngine engine = null!;
        int serial;

        public static async Task<World> Create()
        {
            var world = new World();
            await world.Open();
            return world;
        }

        public async ValueTask DisposeAsync()
        {
            await engine.DisposeAsync();
            await database.DisposeAsync();
            Directory.Delete(folder, recursive: true);
        }

        public async Task Move(int move)
        {
            var pick = move / 16;
            switch (move % 16)
            {
                case 0 or 1: await Start(); break;
                case 2 or 3 when workflows.Count > 0: await Signal(workflows[pick % workflows.Count]); break;
                case 4 or 5: await Poll(TaskQueueType.Workflow, workflowTasks); break;
                case 6 or 7: await Poll(TaskQueueType.Activity, activityTasks); break;
                case 8 or 9 or 10 when workflowTasks.Count > 0: await Decide(Take(workflowTasks, pick), pick); break;
                case 11 or 12 when activityTasks.Count > 0: await Finish(Take(activityTasks, pick)); break;
                case 13: time.Advance(TimeSpan.FromSeconds(pick % 15)); break;
                case 14: await Kill(); break;
                case 15 when pick % 2 == 0: await engine.WorkerGone("worker"); break;
                case 15 when activityTasks.Count > 0: await Fail(Take(activityTasks, pick)); break;
                default: break;
            }
        }

        /// <summary>What is in memory is what would be read back.</summary>
        public Task CheckMemoryAgainstRows() => engine.Apply(step =>
        {
            foreach (var key in Store.OpenKeys(step.Connection))
            {
                var run = step.Find(key)!;
                var stored = Store.Load(step.Connection, key)!;
                Assert.Equal(Picture(stored), Picture(run));
                var ids = step.Connection.Query("SELECT id FROM engine_events WHERE run = $1 ORDER BY id", row => row.GetInt64(0), key);
                Assert.Equal(Enumerable.Range(1, (int)run.NextEventId - 1).Select(id => (long)id), ids);
            }
            return true;
        });

        /// <summary>A worker without faults brings everything to its end; then the whole story is checked.</summary>
        public async Task Drain()
        {
            // A workflow that waits for nothing needs a reason to go on.
            foreach (var workflow in workflows.Except(ended).ToList()) await Signal(workflow);
            for (var round = 0; round < 500 && ended.Count < workflows.Count; round++)
            {
                workflowTasks.Clear();
                activityTasks.Clear();
                await Poll(TaskQueueType.Workflow, workflowTasks);
                await Poll(TaskQueueType.Activity, activityTasks);
                foreach (var task in workflowTasks) await Decide(task, pick: 4);
                foreach (var task in activityTasks) await Finish(task);
                time.Advance(TimeSpan.FromSeconds(3));
            }
            Assert.Equal(workflows.Count, ended.Count);
            foreach (var workflow in workflows)
            {
                var events = await engine.Read(connection => Store.Events(connection, Store.Find(connection, workflow, "")!.Key, 1, long.MaxValue, int.MaxValue, long.MaxValue));
                Assert.Equal(signals.Where(signal => signal.Workflow == workflow).Select(signal => signal.Signal).Order(),
                    events.Where(e => e.EventType == EventType.WorkflowExecutionSignaled).Select(e => e.WorkflowExecutionSignaledEventAttributes.SignalName).Order());
                var completed = events.Where(e => e.EventType == EventType.ActivityTaskCompleted).ToList();
                Assert.Equal(results.Where(result => result.Workflow == workflow).Select(result => result.Result).Order(),
                    completed.Select(e => TextOf(e.ActivityTaskCompletedEventAttributes.Result)).Order());
                foreach (var end in completed.Select(e => e.ActivityTaskCompletedEventAttributes))
                {
                    Assert.Equal(EventType.ActivityTaskScheduled, events[(int)end.ScheduledEventId - 1].EventType);
                    Assert.Equal(end.ScheduledEventId, events[(int)end.StartedEventId - 1].ActivityTaskStartedEventAttributes.ScheduledEventId);
                }
                CheckWorkflowTasks(events);
                Assert.Equal(EventType.WorkflowExecutionCompleted, events[^1].EventType);
            }
        }

        /// <summary>A task is scheduled, started and ended in this order, before the next one is.</summary>
        static void CheckWorkflowTasks(List<HistoryEvent> events)
        {
            var expected = EventType.WorkflowTaskScheduled;
            foreach (var happened in events)
            {
                switch (happened.EventType)
                {
                    case EventType.WorkflowTaskScheduled:
                        Assert.Equal(EventType.WorkflowTaskScheduled, expected);
                        expected = EventType.WorkflowTaskStarted;
                        break;
                    case EventType.WorkflowTaskStarted:
                        Assert.Equal(EventType.WorkflowTaskStarted, expected);
                        expected = EventType.WorkflowTaskCompleted;
                        break;
                    case EventType.WorkflowTaskCompleted or EventType.WorkflowTaskFailed or EventType.WorkflowTaskTimedOut:
                        Assert.Equal(EventType.WorkflowTaskCompleted, expected);
                        expected = EventType.WorkflowTaskScheduled;
                        break;
                    default:
                        break;
                }
            }
        }

        async Task Open()
        {
            var log = new Log("test", TextWriter.Null, time);
            database = Database.Open(Path.Combine(folder, "stigmer.db"), log);
            engine = new EmbeddedEngine(database, time, log);
            await engine.Start();
        }

        async Task Kill()
        {
            await database.Abandon();
            await engine.DisposeAsync();
            await Open();
        }

        async Task Start()
        {
            var id = $"w{serial++}";
            await engine.Apply(step => ClientCalls.Start(step, new()
            {
                WorkflowId = id, WorkflowType = new() { Name = "t" }, TaskQueue = new() { Name = Queue }, RequestId = id,
            }));
            workflows.Add(id);
        }

        async Task Signal(string workflow)
        {
            var name = $"s{serial++}";
            var asked = new SignalWorkflowExecutionRequest { WorkflowExecution = new() { WorkflowId = workflow }, SignalName = name, RequestId = name };
            try
            {
                await engine.Apply(step => ClientCalls.Signal(step, asked));
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.NotFound)
            {
                Assert.Contains(workflow, ended);
                return;
            }
            signals.Add((workflow, name));
            // Asked again, as a client does that has lost the answer.
            await engine.Apply(step => ClientCalls.Signal(step, asked));
        }

        async Task Poll(TaskQueueType type, List<GivenTask> taken)
        {
            if (await Polling.Poll(engine, new QueueKey(type, Queue), "worker", TimeSpan.Zero, CancellationToken.None) is not { } task) return;
            if (type == TaskQueueType.Workflow) Assert.DoesNotContain(workflowTasks, held => held.Token == task.Token);
            taken.Add(task);
        }

        async Task Decide(GivenTask task, int pick)
        {
            var workflow = ((PollWorkflowTaskQueueResponse)task.Respond).WorkflowExecution.WorkflowId;
            var answer = new RespondWorkflowTaskCompletedRequest { TaskToken = task.Token.ToBytes() };
            var ends = pick % 5 == 4;
            if (ends) answer.Commands.Add(EngineHost.Finish());
            else if (pick % 5 != 3) answer.Commands.Add(pick % 5 == 2 ? StartTimer($"t{serial++}", pick % 7 + 1) : Schedule($"a{serial++}"));
            try
            {
                var refusal = await engine.Apply(step => WorkerCalls.CompleteWorkflowTask(step, answer));
                if (ends && refusal is null) ended.Add(workflow);
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.NotFound)
            {
                // Timed out, or taken from a worker that was said to be gone, or the engine was killed.
            }
        }

        async Task Finish(GivenTask task)
        {
            var result = $"r{serial++}";
            try
            {
                await Answer(step => WorkerCalls.CompleteActivity(step, new RespondActivityTaskCompletedRequest { TaskToken = task.Token.ToBytes(), Result = Text(result) }));
                results.Add((((PollActivityTaskQueueResponse)task.Respond).WorkflowExecution.WorkflowId, result));
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.NotFound)
            {
                // As above.
            }
        }

        async Task Fail(GivenTask task)
        {
            try
            {
                await Answer(step => WorkerCalls.FailActivity(step, new RespondActivityTaskFailedRequest { TaskToken = task.Token.ToBytes(), Failure = new() }));
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.NotFound)
            {
                // As above.
            }
        }

        Task Answer(Action<Step> work) => engine.Apply(step =>
        {
            work(step);
            return true;
        });

        static GivenTask Take(List<GivenTask> from, int pick)
        {
            var task = from[pick % from.Count];
            from.Remove(task);
            return task;
        }

        /// <summary>All of a run's state that must survive, as text.</summary>
        static string Picture(RunState run) => string.Join('\n',
        [
            $"{run.Key} {run.RunId} {run.NextEventId} {run.HistoryBytes} {run.SeenEventId} {run.CancelRequested} {run.Status}",
            run.Task is { } task ? $"{task.Attempt} {task.ScheduledEventId} {task.ScheduledAt} {task.ReadyAt} {task.StartedAt} {task.Identity} {task.Nonce}" : "-",
            .. run.Buffered.Select(happened => happened.ToString()),
            .. run.Activities.Values.OrderBy(a => a.ScheduledEventId).Select(a =>
                $"{a.ScheduledEventId} {a.ScheduledAt} {a.Attempt} {a.ReadyAt} {a.StartedAt} {a.Identity} {a.Nonce} {a.CancelRequestedEventId} {a.LastEndedAt} {a.LastFailure} {a.Scheduled}"),
            .. run.Timers.Values.OrderBy(t => t.StartedEventId).Select(t => $"{t.Id} {t.StartedEventId} {t.FiresAt}"),
        ]);
    }
}
