using System.Text.Json;
using System.Text.Json.Serialization;
using Stigmer.Processes;

namespace Stigmer.Runtime.Control;

/// <summary>What a command asks of the daemon: one JSON line.</summary>
/// <param name="Command">
/// start (wait with the others for readiness), taken (the word of it has arrived), leave (wait no longer; a start that nobody
/// waits for, and nobody has taken, is undone), status, engine (have a look at an external Temporal) or stop.
/// </param>
/// <param name="TimeoutMs">For stop: how long each component may take before it is killed.</param>
/// <param name="Begun">For start and stop: when it was given; null: nobody knows.</param>
sealed record ControlRequest(string Command, long? TimeoutMs = null, CommandOrder? Begun = null)
{
    public const string Start = "start";
    public const string Taken = "taken";
    public const string Leave = "leave";
    public const string Status = "status";
    public const string Engine = "engine";
    public const string Stop = "stop";
}

/// <summary>What the daemon answers: any number of JSON lines, each with the fields that its type needs. Unknown types are skipped.</summary>
sealed record ControlReply
{
    /// <summary>The first line of each connection: <see cref="Version"/>, <see cref="Pid"/>, <see cref="Phase"/>.</summary>
    public const string Hello = "hello";

    /// <summary>A step of the start is true: <see cref="Text"/>.</summary>
    public const string Line = "line";

    /// <summary>Something is not as it was wished: <see cref="Text"/>.</summary>
    public const string Warning = "warning";

    /// <summary>What whoever waits may want to know: <see cref="Text"/>.</summary>
    public const string Note = "note";

    /// <summary>A download goes on: <see cref="Text"/>, <see cref="Done"/>, <see cref="Total"/> in bytes.</summary>
    public const string Download = "download";

    /// <summary>The stack is ready: <see cref="State"/>.</summary>
    public const string Ready = "ready";

    /// <summary>It is not and has been undone: <see cref="Failure"/>.</summary>
    public const string Failed = "failed";

    /// <summary>The answer to status: <see cref="State"/>.</summary>
    public const string Status = "status";

    /// <summary>The answer to engine: <see cref="Temporal"/>.</summary>
    public const string Engine = "engine";

    /// <summary>The answer to leave where others still wait.</summary>
    public const string Left = "left";

    /// <summary>The answer to a stop that was given before a start that this daemon serves: what that stop meant is gone already.</summary>
    public const string Superseded = "superseded";

    /// <summary>Everything has ended, and the daemon itself is about to.</summary>
    public const string Stopped = "stopped";

    public required string Type { get; init; }
    public string? Text { get; init; }
    public string? Version { get; init; }
    public int? Pid { get; init; }

    /// <summary>One of <see cref="DaemonPhase"/>'s.</summary>
    public string? Phase { get; init; }
    public long? Done { get; init; }
    public long? Total { get; init; }
    public StackState? State { get; init; }
    public TemporalStatus? Temporal { get; init; }
    public FailureDocument? Failure { get; init; }

    public string ToJson() => JsonSerializer.Serialize(this, ControlJson.Default.ControlReply);
}

/// <summary>The stack as the daemon knows it.</summary>
/// <param name="Document">The status, without what only the command finds out.</param>
/// <param name="Phase">One of <see cref="DaemonPhase"/>'s.</param>
/// <param name="Engine">managed, external or embedded: what really runs.</param>
/// <param name="Values">The configuration that it was started with, by key; secrets as set or unset. What a flag of that start said is not among it: it is not remembered.</param>
sealed record StackState(StatusDocument Document, string Phase, string Engine, IReadOnlyDictionary<string, string?> Values);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ControlRequest))]
[JsonSerializable(typeof(ControlReply))]
sealed partial class ControlJson : JsonSerializerContext;

/// <summary>What the daemon as a whole is doing.</summary>
static class DaemonPhase
{
    public const string Starting = "starting";
    public const string Ready = "ready";
    public const string Stopping = "stopping";
}
