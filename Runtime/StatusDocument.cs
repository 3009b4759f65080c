using System.Text.Json.Serialization;
using Stigmer.Config;

namespace Stigmer.Runtime;

/// <summary>What <c>local status --json</c> shows. Its names are relied upon by scripts; a known field is null, never absent.</summary>
sealed record StatusDocument
{
    public required bool Running { get; init; }
    public required bool Ready { get; init; }
    public int? Pid { get; init; }
    public DateTime? StartedAt { get; init; }
    public required string Version { get; init; }
    public required string Endpoint { get; init; }
    public required string Home { get; init; }
    public required string DataDir { get; init; }
    public LlmStatus? Llm { get; init; }
    public TemporalStatus? Temporal { get; init; }
    public required IReadOnlyList<ComponentStatus> Components { get; init; }

    /// <summary>Only in the document of <c>local start</c>.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public bool? AlreadyRunning { get; init; }
}

/// <summary>The model in force. Reachable, available and detail are what the command itself found out: the daemon asks nobody.</summary>
/// <param name="BaseUrl">Null: the provider has none.</param>
sealed record LlmStatus(string Provider, string Model, string? BaseUrl, bool? Reachable, bool? ModelAvailable, string? Detail)
{
    /// <summary>What is configured, nobody having been asked yet.</summary>
    public static LlmStatus Of(LlmSettings llm) => new(llm.Provider.Name(), llm.Model, llm.BaseUrl.Length > 0 ? llm.BaseUrl : null, null, null, null);
}

/// <summary>The engine in force.</summary>
/// <param name="Mode">managed, external or embedded.</param>
/// <param name="Address">HOST:PORT.</param>
/// <param name="Namespace">The namespace.</param>
/// <param name="Version">The managed CLI's release; null for the others.</param>
/// <param name="Reachable">It answers; null: not asked.</param>
/// <param name="RunningWorkflows">How many; null: not asked.</param>
/// <param name="Ui">The web UI's URL.</param>
/// <param name="Detail">Why it is not as it should be, or not as it was asked for.</param>
sealed record TemporalStatus(
    string Mode, string Address, string Namespace, string? Version, bool? Reachable, int? RunningWorkflows, string? Ui, string? Detail);

/// <summary>One process of the stack.</summary>
/// <param name="Name">temporal, stigmer-server, agent-runner.</param>
/// <param name="Pid">Its process; null: none now.</param>
/// <param name="State">starting, ready, unhealthy, restarting, stopped or failed.</param>
/// <param name="Restarts">How often it was started again.</param>
/// <param name="Since">Since when it is in that state, in UTC.</param>
/// <param name="Detail">What there is to tell.</param>
sealed record ComponentStatus(string Name, int? Pid, string State, int Restarts, DateTime Since, string? Detail);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(StatusDocument))]
[JsonSerializable(typeof(StopDocument))]
sealed partial class StatusJson : JsonSerializerContext;

/// <summary>What <c>local stop --json</c> shows.</summary>
/// <param name="Stopped">False: nothing ran.</param>
sealed record StopDocument(bool Stopped);
