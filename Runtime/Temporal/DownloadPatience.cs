namespace Stigmer.Runtime.Temporal;

/// <summary>How long a download waits, and how often it tries.</summary>
/// <param name="FirstByte">For the first byte of any answer; once one came, <see cref="Stall"/> holds for the others.</param>
/// <param name="Stall">For the next bytes, once some have come.</param>
/// <param name="Pauses">The longest pauses before further attempts. A transfer that has come further begins to count anew.</param>
/// <param name="RetriesUnanswered">False: where nobody has ever answered there is no other attempt.</param>
sealed record DownloadPatience(TimeSpan FirstByte, TimeSpan Stall, IReadOnlyList<TimeSpan> Pauses, bool RetriesUnanswered)
{
    /// <summary>The longest that a server may make us wait by Retry-After; one that asks for more is given up at once.</summary>
    public static readonly TimeSpan MostRetryAfter = TimeSpan.FromMinutes(1);

    /// <summary>For a download that somebody asked for.</summary>
    public static DownloadPatience Asked { get; } = new(
        TimeSpan.FromSeconds(30), TimeSpan.FromSeconds(30), [.. ((double[])[0.5, 1, 2, 4]).Select(TimeSpan.FromSeconds)], true);

    /// <summary>For one that is only the default, and that something else can take the place of.</summary>
    public static DownloadPatience Default { get; } = Asked with { FirstByte = TimeSpan.FromSeconds(5), RetriesUnanswered = false };

    /// <summary>The pause after so many failures in a row; null: no more. Up to a half is left to chance, so that those who fail together do not return together.</summary>
    /// <param name="failures">1: the first.</param>
    public TimeSpan? Pause(int failures) => failures > Pauses.Count ? null : Pauses[failures - 1] * (0.5 + 0.5 * Random.Shared.NextDouble());
}
