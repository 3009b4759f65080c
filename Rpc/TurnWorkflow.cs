using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Stigmer.Rpc;

/// <summary>
/// The names and payloads that stigmer-server, which starts a turn's workflow and rings its bell, and the agent-runner,
/// which decides and carries it out, agree on. Payloads are Temporal's <c>json/plain</c>.
/// </summary>
static class TurnWorkflow
{
    /// <summary>The workflow type of a turn.</summary>
    public const string Type = "stigmer.turn";

    /// <summary>The signal that says: a row was written for this run. Its argument is a <see cref="Bell"/>.</summary>
    public const string BellSignal = "bell";

    /// <summary>The workflow's id: never used twice, since every new start of a turn's workflow is a new life.</summary>
    public static string Id(string runId, int turn, int life) => $"{runId}/{turn}/{life}";

    /// <summary>Whether the workflow drives that turn, in a life up to that one (0: in any).</summary>
    public static bool IsOf(string workflowId, string runId, int turn, int life)
    {
        var parts = workflowId.Split('/');
        return parts.Length == 3 && parts[0] == runId && parts[1] == turn.ToString(CultureInfo.InvariantCulture)
            && (life == 0 || (int.TryParse(parts[2], CultureInfo.InvariantCulture, out var its) && its <= life));
    }

    /// <summary>Workflow tasks and model calls.</summary>
    public static string Queue(string serverId) => $"stigmer-{serverId}";

    /// <summary>EndTurn alone, so that no finished run waits behind a thousand calls.</summary>
    public static string EndQueue(string serverId) => $"stigmer-{serverId}/end";

    /// <summary>The tools of the runs that were started on that host.</summary>
    public static string HostQueue(string serverId, string hostId) => $"stigmer-{serverId}@{hostId}";
}

/// <summary>All that deciding needs besides the history; grows only by optional members.</summary>
sealed record TurnInput
{
    /// <summary>The version of Decide that this workflow began with.</summary>
    public int Version { get; init; } = 1;

    /// <summary>The run's id.</summary>
    public required string Run { get; init; }

    /// <summary>The turn, from 1.</summary>
    public required int Turn { get; init; }

    /// <summary>The life of the turn, from 1: how often a workflow was started for it.</summary>
    public required int Life { get; init; }

    /// <summary>Workflow tasks and model calls.</summary>
    public required string Queue { get; init; }

    /// <summary>EndTurn.</summary>
    public required string EndQueue { get; init; }

    /// <summary>The tools of this run.</summary>
    public required string HostQueue { get; init; }

    /// <summary>The step to begin with: the last one stored, or 1. Its CallModel finds a stored answer and reports call by call.</summary>
    public int FirstStep { get; init; } = 1;

    /// <summary>
    /// Steps of this turn that count towards <see cref="MaxSteps"/>, done before <see cref="FirstStep"/>; -1 where the turn was
    /// resumed at that step, which is stored and costs nothing any more. The two sums below are negative then, too.
    /// </summary>
    public int StepsBefore { get; init; }

    /// <summary>Tokens of this turn before <see cref="FirstStep"/>.</summary>
    public long TokensBefore { get; init; }

    /// <summary>Work, not waiting, of this turn before <see cref="FirstStep"/>, in milliseconds.</summary>
    public long WorkedMsBefore { get; init; }

    /// <summary>Model calls per turn; 0: no limit.</summary>
    public int MaxSteps { get; init; }

    /// <summary>Work per turn in milliseconds; 0: no limit.</summary>
    public long TimeoutMs { get; init; }

    /// <summary>Tokens per turn; 0: no limit.</summary>
    public long MaxTotalTokens { get; init; }

    /// <summary>The agent has MCP servers: the turn begins with OpenTools on the host's queue.</summary>
    public bool OpensTools { get; init; }
}

/// <summary>The argument of <see cref="TurnWorkflow.BellSignal"/>: which row was written, never what it says.</summary>
sealed record Bell
{
    /// <summary>The row's number in its run, which is also the signal's request id.</summary>
    public required long Row { get; init; }

    /// <summary>message, approve or deny.</summary>
    public required string Kind { get; init; }

    /// <summary>For a yes or no: the step of the call.</summary>
    public int Step { get; init; }

    /// <summary>For a yes or no: the slot of the call.</summary>
    public int Slot { get; init; }
}

/// <summary>JSON of the payloads between server and runner.</summary>
[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault)]
[JsonSerializable(typeof(TurnInput))]
[JsonSerializable(typeof(Bell))]
sealed partial class TurnJson : JsonSerializerContext;
