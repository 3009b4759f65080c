using Google.Protobuf.WellKnownTypes;
using Stigmer.Agents.Loop;
using Stigmer.Rpc;
using Stigmer.Rpc.Temporal;

namespace Stigmer.Agents.Worker;

/// <summary>The names under which the engine knows the activities.</summary>
static class ActivityName
{
    public const string OpenTools = "OpenTools";
    public const string CallModel = "CallModel";
    public const string CallTool = "CallTool";
    public const string EndTurn = "EndTurn";
}

/// <summary>From what the loop wants to Temporal's commands.</summary>
static class CommandWriter
{
    /// <summary>An activity that does not show for so long is taken for dead.</summary>
    public static readonly TimeSpan HeartbeatTimeout = TimeSpan.FromSeconds(10);

    static readonly TimeSpan InitialInterval = TimeSpan.FromSeconds(1);

    /// <summary>The longest time between two attempts of an activity.</summary>
    static readonly TimeSpan MaximumInterval = TimeSpan.FromSeconds(5);

    /// <summary>One command.</summary>
    public static Command Write(TurnCommand command) => command switch
    {
        TurnCommand.Schedule schedule => new Command
        {
            CommandType = CommandType.ScheduleActivityTask,
            ScheduleActivityTaskCommandAttributes = Schedule(schedule),
        },
        TurnCommand.RequestCancel cancel => new Command
        {
            CommandType = CommandType.RequestCancelActivityTask,
            RequestCancelActivityTaskCommandAttributes = new() { ScheduledEventId = cancel.ScheduledEventId },
        },
        TurnCommand.Complete => new Command { CommandType = CommandType.CompleteWorkflowExecution, CompleteWorkflowExecutionCommandAttributes = new() },
        TurnCommand.Cancel => new Command { CommandType = CommandType.CancelWorkflowExecution, CancelWorkflowExecutionCommandAttributes = new() },
        TurnCommand.Fail fail => new Command
        {
            CommandType = CommandType.FailWorkflowExecution,
            FailWorkflowExecutionCommandAttributes = new() { Failure = Failures.Of(fail.Error, retryable: false) },
        },
        TurnCommand.ContinueAsNew next => new Command
        {
            CommandType = CommandType.ContinueAsNewWorkflowExecution,
            ContinueAsNewWorkflowExecutionCommandAttributes = new()
            {
                WorkflowType = new WorkflowType { Name = TurnWorkflow.Type },
                TaskQueue = new TaskQueue { Name = next.Input.Queue },
                Input = JsonPayload.Of(next.Input, TurnJson.Default.TurnInput),
                Initiator = ContinueAsNewInitiator.Workflow,
            },
        },
        _ => throw new ArgumentOutOfRangeException(nameof(command)),
    };

    static ScheduleActivityTaskCommandAttributes Schedule(TurnCommand.Schedule schedule)
    {
        var (name, input) = schedule.Task switch
        {
            ModelTask task => (ActivityName.CallModel, JsonPayload.Of(task, LoopJson.Default.ModelTask)),
            ToolTask task => (ActivityName.CallTool, JsonPayload.Of(task, LoopJson.Default.ToolTask)),
            EndTask task => (ActivityName.EndTurn, JsonPayload.Of(task, LoopJson.Default.EndTask)),
            OpenToolsTask task => (ActivityName.OpenTools, JsonPayload.Of(task, LoopJson.Default.OpenToolsTask)),
            _ => throw new ArgumentOutOfRangeException(nameof(schedule)),
        };
        return new ScheduleActivityTaskCommandAttributes
        {
            ActivityId = schedule.Activity,
            ActivityType = new ActivityType { Name = name },
            TaskQueue = new TaskQueue { Name = schedule.Queue },
            Input = input,
            StartToCloseTimeout = Duration.FromTimeSpan(schedule.StartToClose),
            HeartbeatTimeout = Duration.FromTimeSpan(HeartbeatTimeout),
            RetryPolicy = new RetryPolicy
            {
                InitialInterval = Duration.FromTimeSpan(InitialInterval), BackoffCoefficient = 2, MaximumInterval = Duration.FromTimeSpan(MaximumInterval),
            },
        };
    }
}
