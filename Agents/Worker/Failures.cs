using System.Text.Json;
using Google.Protobuf.WellKnownTypes;
using Stigmer.Agents.Loop;
using Stigmer.Rpc.Temporal;

namespace Stigmer.Agents.Worker;

/// <summary>Temporal's failures, and the three parts of every error of ours.</summary>
static class Failures
{
    const string Type = "stigmer.failure";

    /// <summary>A failure that the engine may, or may not, follow up with another attempt.</summary>
    /// <param name="error">For a person.</param>
    /// <param name="retryable">Another attempt may succeed.</param>
    /// <param name="next">When the next attempt begins; null: as the retry policy says.</param>
    public static Rpc.Temporal.Failure Of(TurnError error, bool retryable, TimeSpan? next = null) => new()
    {
        Message = error.Why is null ? error.What : $"{error.What}: {error.Why}",
        Source = "stigmer",
        ApplicationFailureInfo = new ApplicationFailureInfo
        {
            Type = Type,
            NonRetryable = !retryable,
            Details = JsonPayload.Of(error, LoopJson.Default.TurnError),
            NextRetryDelay = next is { } delay ? Duration.FromTimeSpan(delay) : null,
        },
    };

    /// <summary>What a failure in a history says; one that is not ours is read as a bare sentence.</summary>
    public static TurnError Read(Rpc.Temporal.Failure? failure)
    {
        for (var cause = failure; cause is not null; cause = cause.Cause)
        {
            if (cause.ApplicationFailureInfo?.Type != Type) continue;
            try
            {
                return JsonPayload.Read(cause.ApplicationFailureInfo.Details, LoopJson.Default.TurnError);
            }
            catch (JsonException)
            {
                break; // Its message is still a sentence.
            }
        }
        var said = failure;
        while (said?.Cause is { Message.Length: > 0 } deeper) said = deeper;
        return new TurnError("A step of this run failed", said?.Message is { Length: > 0 } message ? message : null);
    }
}
