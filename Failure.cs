namespace Stigmer;

/// <summary>
/// A failure that a person can act on, thrown where its cause is known. One place (Program) turns it into text, or into
/// the <c>{"error":{…}}</c> document, and an exit code.
/// </summary>
/// <param name="what">What happened, as a sentence without a full stop.</param>
/// <param name="why">The cause, or null where <paramref name="what"/> says it all.</param>
/// <param name="remedy">What to do next, or null where there is nothing to do.</param>
/// <param name="exitCode">One of <see cref="ExitCode"/>'s.</param>
/// <param name="inner">What was caught, for the log.</param>
class Failure(string what, string? why = null, string? remedy = null, int exitCode = ExitCode.Failed, Exception? inner = null)
    : Exception(why is null ? what : $"{what}: {why}", inner)
{
    /// <summary>What happened.</summary>
    public string What { get; } = what;

    /// <summary>Why it happened; null where <see cref="What"/> says it all.</summary>
    public string? Why { get; } = why;

    /// <summary>What to do next; null where there is nothing to do.</summary>
    public string? Remedy { get; } = remedy;

    /// <summary>The exit code of a command that ends with this failure.</summary>
    public int ExitCode { get; } = exitCode;
}

/// <summary>The exit codes that scripts rely on.</summary>
static class ExitCode
{
    /// <summary>The command did what it says.</summary>
    public const int Done = 0;

    /// <summary>It failed.</summary>
    public const int Failed = 1;

    /// <summary>Wrong usage or invalid configuration: nothing was started or changed.</summary>
    public const int Usage = 2;

    /// <summary>The stack is not running.</summary>
    public const int NotRunning = 3;

    /// <summary>Ctrl-C: 128 + SIGINT, as shells report it.</summary>
    public const int Interrupted = 130;

    /// <summary>128 + SIGTERM, as shells report it.</summary>
    public const int Terminated = 143;
}
