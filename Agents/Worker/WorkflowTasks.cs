using System.Text.Json;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Stigmer.Agents.Loop;
using Stigmer.Rpc;
using Stigmer.Rpc.Temporal;
using Updates = Stigmer.Rpc.Temporal.Updates;

namespace Stigmer.Agents.Worker;

/// <summary>Works on workflow tasks: reads the whole history, decides, answers.</summary>
sealed class WorkflowTasks(Engine engine, string queue, Log log, TimeProvider time)
{
    /// <summary>A workflow task that is not answered within 10 s comes again: no answer is worth giving later.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(9);

    /// <summary>One long poll; null: there was nothing.</summary>
    public async Task<PollWorkflowTaskQueueResponse?> Poll(CancellationToken cancel)
    {
        var request = new PollWorkflowTaskQueueRequest
        {
            Namespace = engine.Namespace, Identity = engine.Identity, TaskQueue = new TaskQueue { Name = queue, Kind = TaskQueueKind.Normal },
        };
        var task = await engine.Calls.PollWorkflowTaskQueueAsync(request, engine.PollOptions(cancel));
        return task.TaskToken.IsEmpty ? null : task;
    }

    /// <summary>Works on a task. A bug of ours fails the task, never the workflow: a release without it goes on from there.</summary>
    public async Task Work(PollWorkflowTaskQueueResponse task)
    {
        using var giveUp = new CancellationTokenSource(Patience, time);
        try
        {
            if (task.Query is { } query)
            {
                await Answer(query, task, giveUp.Token);
                return;
            }
            RespondWorkflowTaskCompletedRequest answer;
            try
            {
                answer = await Decide(task, giveUp.Token);
            }
            catch (Exception e) when (e is UnreadableHistory or JsonException or NotSupportedException or KeyNotFoundException or InvalidOperationException or ArgumentException)
            {
                log.Error("a workflow task failed", ("workflow", task.WorkflowExecution.WorkflowId), ("attempt", task.Attempt), ("error", e));
                await Fail(task, e, giveUp.Token);
                return;
            }
            await engine.Answer("workflow task", task.WorkflowExecution.WorkflowId, options => engine.Calls.RespondWorkflowTaskCompletedAsync(answer, options).ResponseAsync, giveUp.Token);
            // A workflow fails only where its turn could not be closed in the database: the server is to look.
            if (answer.Commands.Any(command => command.CommandType == CommandType.FailWorkflowExecution)) engine.Missing(task.WorkflowExecution.WorkflowId);
        }
        catch (Exception e) when (e is OperationCanceledException or RpcException)
        {
            log.Warn("a workflow task was not answered in time: it comes again", ("workflow", task.WorkflowExecution.WorkflowId), ("why", e.Message));
        }
    }

    async Task<RespondWorkflowTaskCompletedRequest> Decide(PollWorkflowTaskQueueResponse task, CancellationToken cancel)
    {
        if (task.WorkflowType.Name != TurnWorkflow.Type) throw new UnreadableHistory($"The workflow type {task.WorkflowType.Name} is not this runner's");
        var answer = new RespondWorkflowTaskCompletedRequest { Namespace = engine.Namespace, Identity = engine.Identity, TaskToken = task.TaskToken };
        foreach (var message in task.Messages) answer.Messages.Add(Reject(message));
        foreach (var (id, query) in task.Queries)
        {
            answer.QueryResults[id] = new WorkflowQueryResult { ResultType = QueryResultType.Failed, ErrorMessage = Unknown(query) };
        }
        var (input, events) = HistoryReader.Read(await History(task, cancel));
        answer.Commands.AddRange(Decider.Decide(input, events).Select(CommandWriter.Write));
        return answer;
    }

    async Task<List<HistoryEvent>> History(PollWorkflowTaskQueueResponse task, CancellationToken cancel)
    {
        List<HistoryEvent> events = [.. task.History.Events];
        var backoff = Backoff.ForOutage(time);
        var more = task.NextPageToken;
        while (!more.IsEmpty)
        {
            var request = new GetWorkflowExecutionHistoryRequest
            {
                Namespace = engine.Namespace, Execution = task.WorkflowExecution, NextPageToken = more,
            };
            try
            {
                var page = await engine.Calls.GetWorkflowExecutionHistoryAsync(request, engine.Options(cancel));
                events.AddRange(page.History.Events);
                more = page.NextPageToken;
            }
            catch (RpcException e) when (!cancel.IsCancellationRequested && e.StatusCode is not (StatusCode.NotFound or StatusCode.InvalidArgument))
            {
                await backoff.Wait(cancel);
            }
        }
        return events;
    }

    Task Fail(PollWorkflowTaskQueueResponse task, Exception why, CancellationToken cancel)
    {
        var request = new RespondWorkflowTaskFailedRequest
        {
            Namespace = engine.Namespace,
            Identity = engine.Identity,
            TaskToken = task.TaskToken,
            Cause = why is UnreadableHistory ? WorkflowTaskFailedCause.NonDeterministicError : WorkflowTaskFailedCause.WorkflowWorkerUnhandledFailure,
            Failure = Failures.Of(new TurnError("The runner cannot decide this workflow", why.Message), retryable: true),
        };
        return engine.Answer("failed workflow task", task.WorkflowExecution.WorkflowId, options => engine.Calls.RespondWorkflowTaskFailedAsync(request, options).ResponseAsync, cancel);
    }

    Task Answer(WorkflowQuery query, PollWorkflowTaskQueueResponse task, CancellationToken cancel)
    {
        var request = new RespondQueryTaskCompletedRequest
        {
            Namespace = engine.Namespace, TaskToken = task.TaskToken, CompletedType = QueryResultType.Failed, ErrorMessage = Unknown(query),
        };
        return engine.Answer("query", task.WorkflowExecution.WorkflowId, options => engine.Calls.RespondQueryTaskCompletedAsync(request, options).ResponseAsync, cancel);
    }

    static string Unknown(WorkflowQuery query) => $"unknown query type {query.QueryType}";

    /// <summary>An update is not taken: what people say to a run goes to stigmer-server.</summary>
    static Updates.Message Reject(Updates.Message update)
    {
        var rejection = new Updates.Rejection
        {
            RejectedRequestMessageId = update.Id,
            RejectedRequestSequencingEventId = update.EventId,
            RejectedRequest = Updates.Request.Parser.ParseFrom(update.Body.Value),
            Failure = Failures.Of(new TurnError("Updates are not taken", "talk to the run through stigmer"), retryable: false),
        };
        return new Updates.Message
        {
            Id = update.Id + "/reject",
            ProtocolInstanceId = update.ProtocolInstanceId,
            // Packed by hand: Any.Pack would root every descriptor of the file.
            Body = new Any { TypeUrl = "type.googleapis.com/temporal.api.update.v1.Rejection", Value = rejection.ToByteString() },
        };
    }
}
