using Stigmer.Rpc.Temporal;
using TemporalFailure = Stigmer.Rpc.Temporal.Failure;

namespace Stigmer.Server.Engine;

/// <summary>
/// All of an open run of a workflow but its history. Touched on the database's writer thread only; what is beside it changes
/// it, notes in <see cref="Changes"/> what is to be stored, and knows neither database nor queue nor clock. Times are
/// milliseconds since 1970, 0 meaning none.
/// </summary>
sealed class RunState
{
    /// <summary>The row's key; never used twice.</summary>
    public required long Key { get; init; }

    public required string WorkflowId { get; init; }

    public required string RunId { get; init; }

    public required string WorkflowType { get; init; }

    /// <summary>Where the workflow tasks wait.</summary>
    public required string TaskQueue { get; init; }

    /// <summary>The first run of the chain that continued as this one; its own id where it is the first.</summary>
    public required string FirstRunId { get; init; }

    /// <summary>The request that started it: asked again, it is answered with this run.</summary>
    public required string StartRequestId { get; init; }

    public Memo? Memo { get; init; }

    public long StartedAt { get; init; }

    public long RunTimeout { get; init; }

    public long ExecutionTimeout { get; init; }

    /// <summary>How long a worker may take for a workflow task.</summary>
    public required long TaskTimeout { get; init; }

    /// <summary>When the whole chain of runs times out.</summary>
    public long ExecutionExpiresAt { get; init; }

    /// <summary>When this run times out, by its own limit or the chain's.</summary>
    public long ExpiresAt { get; init; }

    public WorkflowExecutionStatus Status { get; set; } = WorkflowExecutionStatus.Running;

    public long ClosedAt { get; set; }

    /// <summary>The id of the next event that is written.</summary>
    public long NextEventId { get; set; } = 1;

    public long HistoryBytes { get; set; }

    public bool CancelRequested { get; set; }

    /// <summary>Up to which event the last completed workflow task had seen: the id of its Started event.</summary>
    public long SeenEventId { get; set; }

    /// <summary>The one workflow task that waits or is worked on.</summary>
    public WorkflowTaskState? Task { get; set; }

    /// <summary>What happened while a workflow task is worked on: written when it ends.</summary>
    public List<HistoryEvent> Buffered { get; } = [];

    /// <summary>Open activities by the id of their Scheduled event.</summary>
    public Dictionary<long, ActivityState> Activities { get; } = [];

    /// <summary>Open timers by their name.</summary>
    public Dictionary<string, TimerState> Timers { get; } = [];

    public bool IsOpen => Status == WorkflowExecutionStatus.Running;

    /// <summary>What has not been stored yet.</summary>
    public Changes Changes { get; } = new();

    /// <summary>The engine's: when to look at the workflow task, and at the run's own limit.</summary>
    public Deadline? TaskDeadline { get; set; }

    /// <inheritdoc cref="TaskDeadline"/>
    public Deadline? ExpiryDeadline { get; set; }
}

/// <summary>A workflow task: scheduled, or (with <see cref="StartedAt"/>) being worked on.</summary>
sealed class WorkflowTaskState
{
    /// <summary>From 1. From the second on, its events are shown to the worker but not kept unless it completes.</summary>
    public required int Attempt { get; set; }

    /// <summary>The id of its Scheduled event; for a later attempt the id that this event would have.</summary>
    public required long ScheduledEventId { get; set; }

    public required long ScheduledAt { get; set; }

    /// <summary>Not given out before.</summary>
    public long ReadyAt { get; set; }

    public long StartedAt { get; set; }

    /// <summary>Who works on it.</summary>
    public string Identity { get; set; } = "";

    /// <summary>Tells this start from every other: a token with another one is stale.</summary>
    public long Nonce { get; set; }

    /// <summary>The engine's: which entry of the queue stands for it; 0: none.</summary>
    public long Ticket { get; set; }

    public bool IsStarted => StartedAt != 0;

    /// <summary>A later attempt: its Scheduled event is not in the history.</summary>
    public bool IsTransient => Attempt > 1;
}

/// <summary>An open activity: waiting for its next attempt, for a worker, or (with <see cref="StartedAt"/>) worked on.</summary>
sealed class ActivityState
{
    public required long ScheduledEventId { get; init; }

    /// <summary>What was asked for, defaults filled in.</summary>
    public required ActivityTaskScheduledEventAttributes Scheduled { get; init; }

    public required long ScheduledAt { get; init; }

    public int Attempt { get; set; } = 1;

    /// <summary>When this attempt may begin; its schedule-to-start time counts from here.</summary>
    public required long ReadyAt { get; set; }

    public long StartedAt { get; set; }

    public string Identity { get; set; } = "";

    /// <inheritdoc cref="WorkflowTaskState.Nonce"/>
    public long Nonce { get; set; }

    /// <summary>The last sign of life of this attempt. After a restart not before it: nobody could report while the engine was away.</summary>
    public long HeartbeatAt { get; set; }

    /// <summary>What the last heartbeat that said something said, handed to the next attempt.</summary>
    public Payloads? HeartbeatDetails { get; set; }

    /// <summary>The id of the ActivityTaskCancelRequested event; 0: not asked to stop.</summary>
    public long CancelRequestedEventId { get; set; }

    public TemporalFailure? LastFailure { get; set; }

    public string LastIdentity { get; set; } = "";

    /// <summary>When the attempt before ended.</summary>
    public long LastEndedAt { get; set; }

    /// <inheritdoc cref="WorkflowTaskState.Ticket"/>
    public long Ticket { get; set; }

    /// <summary>The engine's: when to look at it.</summary>
    public Deadline? Deadline { get; set; }

    public bool IsStarted => StartedAt != 0;
}

/// <summary>An open timer.</summary>
sealed class TimerState(string id, long startedEventId, long firesAt)
{
    /// <summary>Its name, as the workflow calls it.</summary>
    public string Id { get; } = id;

    public long StartedEventId { get; } = startedEventId;

    public long FiresAt { get; } = firesAt;

    /// <summary>The engine's: when to look at it.</summary>
    public Deadline? Deadline { get; set; }
}

/// <summary>What a run's transitions have changed since it was stored.</summary>
sealed class Changes
{
    /// <summary>The run has no row yet.</summary>
    public bool IsNew { get; set; }

    public List<HistoryEvent> Events { get; } = [];

    /// <summary>Buffered events from this index on have no row yet.</summary>
    public int BufferedStored { get; set; }

    /// <summary>The rows of buffered events are outdated: all are written anew.</summary>
    public bool BufferRewritten { get; set; }

    /// <summary>Activities whose rows are outdated.</summary>
    public HashSet<ActivityState> Activities { get; } = [];

    /// <summary>Activities that are no more.</summary>
    public List<ActivityState> EndedActivities { get; } = [];

    public List<TimerState> Timers { get; } = [];

    public List<TimerState> EndedTimers { get; } = [];

    public void Clear()
    {
        IsNew = false;
        BufferRewritten = false;
        Events.Clear();
        Activities.Clear();
        EndedActivities.Clear();
        Timers.Clear();
        EndedTimers.Clear();
    }
}
