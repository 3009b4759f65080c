using Google.Protobuf.WellKnownTypes;
using Stigmer.Rpc.Temporal;

namespace Stigmer.Server.Engine;

/// <summary>What clients ask, carried out in one step each. Refusals are thrown before anything is changed.</summary>
static class ClientCalls
{
    /// <summary>Temporal's limit of names and ids, in characters.</summary>
    const int MaxIdLength = 1_000;

    /// <summary>Temporal's limit of one payload, in bytes.</summary>
    internal const int MaxPayloadSize = 2 * 1024 * 1024;

    /// <summary>Temporal's limit of a workflow task's timeout, in milliseconds.</summary>
    const long MaxTaskTimeout = 120_000;

    /// <exception cref="Grpc.Core.RpcException">InvalidArgument, or AlreadyExists where the id is taken.</exception>
    public static StartWorkflowExecutionResponse Start(Step step, StartWorkflowExecutionRequest asked)
    {
        Validate(asked);
        var requestId = asked.RequestId.Length > 0 ? asked.RequestId : Guid.NewGuid().ToString();
        if (Store.Find(step.Connection, asked.WorkflowId, "") is { } former)
        {
            if (former.RequestId == requestId) return Started(former, started: true);
            if (former.IsOpen)
            {
                if (asked.WorkflowIdConflictPolicy == WorkflowIdConflictPolicy.UseExisting) return Started(former, started: false);
                if (asked.WorkflowIdConflictPolicy != WorkflowIdConflictPolicy.TerminateExisting
                    && asked.WorkflowIdReusePolicy != WorkflowIdReusePolicy.TerminateIfRunning)
                {
                    throw Errors.AlreadyStarted($"Workflow execution is already running. WorkflowId: {former.WorkflowId}, RunId: {former.RunId}.",
                        former.RunId, former.RequestId);
                }
                Workflows.Terminate(step.Change(step.Find(former.Key)!), step.Now, "TerminateIfRunning WorkflowIdReusePolicy Policy", null, asked.Identity);
            }
            else if (asked.WorkflowIdReusePolicy == WorkflowIdReusePolicy.RejectDuplicate
                || (asked.WorkflowIdReusePolicy == WorkflowIdReusePolicy.AllowDuplicateFailedOnly && former.Status == WorkflowExecutionStatus.Completed))
            {
                throw Errors.AlreadyStarted($"Workflow execution already finished. WorkflowId: {former.WorkflowId}, RunId: {former.RunId}. "
                    + $"Workflow Id reuse policy: {asked.WorkflowIdReusePolicy}.", former.RunId, former.RequestId);
            }
        }
        var runTimeout = asked.WorkflowRunTimeout.ToMilliseconds();
        var executionTimeout = asked.WorkflowExecutionTimeout.ToMilliseconds();
        var runId = Guid.NewGuid().ToString();
        var run = NewRun(step, asked.WorkflowId, runId, asked.WorkflowType.Name, asked.TaskQueue.Name, firstRunId: runId, requestId, asked.Memo, runTimeout,
            executionTimeout, executionExpiresAt: executionTimeout == 0 ? 0 : step.Now + executionTimeout, asked.WorkflowTaskTimeout);
        Workflows.Begin(run, step.Now, new WorkflowExecutionStartedEventAttributes
        {
            WorkflowType = asked.WorkflowType, TaskQueue = asked.TaskQueue, Input = asked.Input, WorkflowId = run.WorkflowId,
            WorkflowExecutionTimeout = asked.WorkflowExecutionTimeout, WorkflowRunTimeout = asked.WorkflowRunTimeout,
            WorkflowTaskTimeout = Histories.ToDuration(run.TaskTimeout), OriginalExecutionRunId = run.RunId, FirstExecutionRunId = run.RunId,
            Identity = asked.Identity, Attempt = 1, Memo = asked.Memo, Header = asked.Header, SearchAttributes = asked.SearchAttributes,
            WorkflowExecutionExpirationTime = Histories.ToTimestamp(run.ExecutionExpiresAt), LastCompletionResult = asked.LastCompletionResult,
            ContinuedFailure = asked.ContinuedFailure,
        }, asked.UserMetadata);
        return new StartWorkflowExecutionResponse
        {
            RunId = run.RunId, FirstExecutionRunId = run.RunId, Started = true, Status = WorkflowExecutionStatus.Running,
        };
    }

    /// <summary>The run that follows one that continued as new.</summary>
    public static void Continue(Step step, RunState former, string runId, ContinueAsNewWorkflowExecutionCommandAttributes asked, string identity)
    {
        var runTimeout = asked.WorkflowRunTimeout is null ? former.RunTimeout : asked.WorkflowRunTimeout.ToMilliseconds();
        var type = string.IsNullOrEmpty(asked.WorkflowType?.Name) ? former.WorkflowType : asked.WorkflowType.Name;
        var queue = string.IsNullOrEmpty(asked.TaskQueue?.Name) ? former.TaskQueue : asked.TaskQueue.Name;
        var run = NewRun(step, former.WorkflowId, runId, type, queue, former.FirstRunId, requestId: Guid.NewGuid().ToString(), asked.Memo ?? former.Memo,
            runTimeout, former.ExecutionTimeout, former.ExecutionExpiresAt, asked.WorkflowTaskTimeout ?? Histories.ToDuration(former.TaskTimeout));
        Workflows.Begin(run, step.Now, new WorkflowExecutionStartedEventAttributes
        {
            WorkflowType = new WorkflowType { Name = type }, TaskQueue = new TaskQueue { Name = queue, Kind = TaskQueueKind.Normal }, Input = asked.Input,
            WorkflowId = run.WorkflowId, WorkflowExecutionTimeout = Histories.ToDuration(run.ExecutionTimeout),
            WorkflowRunTimeout = Histories.ToDuration(runTimeout), WorkflowTaskTimeout = Histories.ToDuration(run.TaskTimeout),
            ContinuedExecutionRunId = former.RunId, Initiator = ContinueAsNewInitiator.Workflow, OriginalExecutionRunId = runId,
            FirstExecutionRunId = run.FirstRunId, Identity = identity, Attempt = 1, Memo = run.Memo, Header = asked.Header,
            WorkflowExecutionExpirationTime = Histories.ToTimestamp(run.ExecutionExpiresAt), LastCompletionResult = asked.LastCompletionResult,
        });
    }

    public static SignalWorkflowExecutionResponse Signal(Step step, SignalWorkflowExecutionRequest asked)
    {
        if (asked.SignalName.Length == 0) throw Errors.Invalid("SignalName is not set on request");
        if (IsTooLarge(asked.Input)) throw Errors.Invalid("Blob data size exceeds limit.");
        var run = step.Find(asked.WorkflowExecution);
        if (asked.RequestId.Length == 0 || Store.IsNewRequest(step.Connection, run.Key, asked.RequestId)) Workflows.Signal(step.Change(run), step.Now, asked);
        return new SignalWorkflowExecutionResponse();
    }

    public static RequestCancelWorkflowExecutionResponse RequestCancel(Step step, RequestCancelWorkflowExecutionRequest asked)
    {
        var run = step.Find(asked.WorkflowExecution);
        IsOfChain(run, asked.FirstExecutionRunId);
        Workflows.RequestCancel(step.Change(run), step.Now, asked.Reason, asked.Identity);
        return new RequestCancelWorkflowExecutionResponse();
    }

    public static TerminateWorkflowExecutionResponse Terminate(Step step, TerminateWorkflowExecutionRequest asked)
    {
        var run = step.Find(asked.WorkflowExecution);
        IsOfChain(run, asked.FirstExecutionRunId);
        Workflows.Terminate(step.Change(run), step.Now, asked.Reason, asked.Details, asked.Identity);
        return new TerminateWorkflowExecutionResponse();
    }

    public static DescribeWorkflowExecutionResponse Describe(Step step, DescribeWorkflowExecutionRequest asked)
    {
        var row = step.Row(asked.Execution);
        return Responses.Description(row, step.Find(row.Key), step.Now);
    }

    /// <summary>Whether Temporal would refuse this: what works here must work there.</summary>
    internal static bool IsTooLarge(Google.Protobuf.IMessage? payload) => payload is not null && payload.CalculateSize() > MaxPayloadSize;

    static void IsOfChain(RunState run, string firstRunId)
    {
        if (firstRunId.Length > 0 && firstRunId != run.FirstRunId) throw Errors.NoWorkflow(run.WorkflowId, firstRunId);
    }

    static RunState NewRun(Step step, string workflowId, string runId, string type, string queue, string firstRunId, string requestId, Memo? memo,
        long runTimeout, long executionTimeout, long executionExpiresAt, Duration? taskTimeout)
    {
        var expiresAt = runTimeout == 0 ? executionExpiresAt
            : executionExpiresAt == 0 ? step.Now + runTimeout : Math.Min(step.Now + runTimeout, executionExpiresAt);
        var run = new RunState
        {
            Key = step.NewKey(), WorkflowId = workflowId, RunId = runId, WorkflowType = type, TaskQueue = queue, FirstRunId = firstRunId,
            StartRequestId = requestId, Memo = memo, StartedAt = step.Now, RunTimeout = runTimeout, ExecutionTimeout = executionTimeout,
            ExecutionExpiresAt = executionExpiresAt, ExpiresAt = expiresAt,
            TaskTimeout = Math.Min(MaxTaskTimeout, taskTimeout.ToMilliseconds() is > 0 and var asked ? asked : Workflows.DefaultTaskTimeout),
        };
        step.Begin(run);
        return run;
    }

    static StartWorkflowExecutionResponse Started(RunRow row, bool started) =>
        new() { RunId = row.RunId, FirstExecutionRunId = row.FirstRunId, Started = started, Status = row.Status };

    static void Validate(StartWorkflowExecutionRequest asked)
    {
        if (asked.WorkflowId.Length == 0) throw Errors.Invalid("WorkflowId is not set on request");
        if (string.IsNullOrEmpty(asked.WorkflowType?.Name)) throw Errors.Invalid("WorkflowType is not set on request");
        if (string.IsNullOrEmpty(asked.TaskQueue?.Name)) throw Errors.Invalid("missing task queue name");
        if (asked.WorkflowId.Length > MaxIdLength || asked.WorkflowType.Name.Length > MaxIdLength || asked.TaskQueue.Name.Length > MaxIdLength
            || asked.RequestId.Length > MaxIdLength) throw Errors.Invalid($"an id or a name is longer than {MaxIdLength} characters");
        if (IsTooLarge(asked.Input) || IsTooLarge(asked.Memo)) throw Errors.Invalid("Blob data size exceeds limit.");
        if (asked.CronSchedule.Length > 0) throw Errors.Invalid("a cron schedule is not offered by this engine");
        if (asked.RetryPolicy is not null) throw Errors.Invalid("a retry policy of a workflow is not offered by this engine");
        if (asked.WorkflowStartDelay.ToMilliseconds() > 0) throw Errors.Invalid("a delayed start is not offered by this engine");
    }
}
