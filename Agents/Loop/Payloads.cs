using System.Text.Json;
using System.Text.Json.Serialization;

namespace Stigmer.Agents.Loop;

/// <summary>The input of an activity: which slot of the transcript it works on, never what stands there.</summary>
abstract record ActivityTask
{
    /// <summary>The run's id.</summary>
    public required string Run { get; init; }

    /// <summary>The turn, from 1.</summary>
    public required int Turn { get; init; }

    /// <summary>The step, from 1; 0 for OpenTools.</summary>
    public int Step { get; init; }

    /// <summary>What is left of the run's time, in milliseconds; 0: no limit.</summary>
    public long LeftMs { get; init; }
}

/// <summary>Starts the agent's MCP servers and stores what the model is offered as step 0, slot 0.</summary>
sealed record OpenToolsTask : ActivityTask;

/// <summary>Calls the model: slot 0 of its step.</summary>
sealed record ModelTask : ActivityTask;

/// <summary>Runs a tool that the model asked for.</summary>
sealed record ToolTask : ActivityTask
{
    /// <summary>The call's slot, from 1.</summary>
    public required int Slot { get; init; }

    /// <summary>The tool's name, for those who look at the engine.</summary>
    public required string Name { get; init; }
}

/// <summary>Closes the turn in the database.</summary>
sealed record EndTask : ActivityTask
{
    /// <summary>How it ends. Completed is the default value, which is not written.</summary>
    public TurnEnd End { get; init; }

    /// <summary>Why, where it failed.</summary>
    public TurnError? Error { get; init; }

    /// <summary>Which, where a limit was reached: max_steps or max_total_tokens.</summary>
    public string? Limit { get; init; }

    /// <summary>Up to which message the last model call had read.</summary>
    public long ReadUpTo { get; init; }
}

/// <summary>How a turn ends.</summary>
enum TurnEnd { Completed = 1, Failed, Cancelled, TimedOut, LimitReached }

/// <summary>Why a run failed, in the three parts of every error of ours.</summary>
sealed record TurnError(string What, string? Why = null, string? Remedy = null);

/// <summary>What an activity of a slot tells besides its result.</summary>
enum Outcome
{
    /// <summary>The slot holds its result.</summary>
    Stored,

    /// <summary>The run's time was over before there was one (a tool's slot then says so).</summary>
    TimedOut,

    /// <summary>The server refused: the turn is closed, or bound to another workflow.</summary>
    Refused,
}

/// <summary>CallModel's result: all that deciding needs, and never text.</summary>
sealed record ModelReport
{
    /// <summary>Whether there is an answer.</summary>
    public Outcome Outcome { get; init; }

    /// <summary>Why the model stopped, for those who look at the engine.</summary>
    public string? Finish { get; init; }

    /// <summary>Tokens of the prompt and of the answer.</summary>
    public long Tokens { get; init; }

    /// <summary>Work, not waiting, in milliseconds.</summary>
    public long WorkedMs { get; init; }

    /// <summary>Up to which message the model had read.</summary>
    public long ReadUpTo { get; init; }

    /// <summary>The calls that the model asked for.</summary>
    public IReadOnlyList<CallReport> Calls { get; init; } = [];
}

/// <summary>One call that the model asked for.</summary>
sealed record CallReport(int Slot, string Name, CallState State = CallState.Approved);

/// <summary>Whether a call may run.</summary>
enum CallState
{
    /// <summary>It may: nobody has to be asked, or somebody has said yes.</summary>
    Approved,

    /// <summary>A person must say yes.</summary>
    NeedsYes,

    /// <summary>Its slot holds a result already.</summary>
    Done,
}

/// <summary>CallTool's and OpenTools' result.</summary>
sealed record ToolReport
{
    /// <summary>Whether the slot holds a result.</summary>
    public Outcome Outcome { get; init; }

    /// <summary>Work, not waiting, in milliseconds.</summary>
    public long WorkedMs { get; init; }
}

/// <summary>EndTurn's result.</summary>
sealed record EndReport(EndAnswer Answer);

/// <summary>What the server said to the end of a turn.</summary>
enum EndAnswer
{
    /// <summary>It is closed.</summary>
    Closed,

    /// <summary>A message came in that the model has not read: go on.</summary>
    Unread,

    /// <summary>It was closed before, or belongs to another workflow.</summary>
    Refused,
}

/// <summary>JSON of the payloads between the loop and its activities. Kept small: they stand in the engine's history.</summary>
[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault, UseStringEnumConverter = true)]
[JsonSerializable(typeof(OpenToolsTask))]
[JsonSerializable(typeof(ModelTask))]
[JsonSerializable(typeof(ToolTask))]
[JsonSerializable(typeof(EndTask))]
[JsonSerializable(typeof(ModelReport))]
[JsonSerializable(typeof(ToolReport))]
[JsonSerializable(typeof(EndReport))]
[JsonSerializable(typeof(TurnError))]
sealed partial class LoopJson : JsonSerializerContext;
