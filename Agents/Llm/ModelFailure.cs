namespace Stigmer.Agents.Llm;

/// <summary>A model call that failed, in words for a person, and whether making it again can help.</summary>
/// <param name="what">What happened.</param>
/// <param name="why">The cause.</param>
/// <param name="remedy">What to do.</param>
/// <param name="retryable">The same call may succeed later: a rate limit, an overload, a stream that broke.</param>
/// <param name="retryAfter">When the provider said so: not before this time has passed.</param>
/// <param name="inner">What was caught.</param>
sealed class ModelFailure(
    string what, string? why, string? remedy, bool retryable, TimeSpan? retryAfter = null, Exception? inner = null)
    : Failure(what, why, remedy, Stigmer.ExitCode.Failed, inner)
{
    /// <summary>The same call may succeed later.</summary>
    public bool Retryable { get; } = retryable;

    /// <summary>The provider's own word on when to try again; null: it said nothing.</summary>
    public TimeSpan? RetryAfter { get; } = retryAfter;

    /// <summary>An answer that ended while the model wrote a call, and that holds no other: half a call is not made.</summary>
    /// <param name="call">What of.</param>
    /// <param name="why">What ended it.</param>
    public static ModelFailure CutOff(string call, string why) => new(
        $"The answer was cut off in the middle of a call of {call}", why,
        "Set llm.max_tokens to more, or ask for less at once; `stigmer runs resume` makes the call again", retryable: false);

    /// <summary>The provider refuses the prompt as longer than the model's window: less of it may be taken.</summary>
    public bool TooLong { get; init; }

    /// <summary>With <see cref="TooLong"/>: the window in tokens, as far as the refusal tells it.</summary>
    public int? Window { get; init; }
}
