using System.Globalization;

namespace Stigmer.Processes;

/// <summary>How a process ended: by itself with a code, or by a signal.</summary>
/// <param name="Code">0 to 255 (any int on Windows); null where a signal ended it.</param>
/// <param name="Signal">The signal's number; null where it ended by itself.</param>
readonly record struct ExitStatus(int? Code, int? Signal)
{
    /// <summary>Reads the status of POSIX's waitpid: low seven bits the signal, the next byte the code.</summary>
    public static ExitStatus FromWait(int status) =>
        (status & 0x7f) == 0 ? new ExitStatus((status >> 8) & 0xff, null) : new ExitStatus(null, status & 0x7f);

    /// <summary>For a person: <c>exit code 1</c>, <c>signal 9 (KILL)</c>.</summary>
    public override string ToString() =>
        Code is { } code ? string.Create(CultureInfo.InvariantCulture, $"exit code {code}")
        : Name(Signal) is { } name ? string.Create(CultureInfo.InvariantCulture, $"signal {Signal} ({name})")
        : string.Create(CultureInfo.InvariantCulture, $"signal {Signal}");

    /// <summary>The signals whose numbers POSIX systems share.</summary>
    static string? Name(int? signal) => signal switch
    {
        1 => "HUP", 2 => "INT", 3 => "QUIT", 4 => "ILL", 6 => "ABRT", 8 => "FPE", 9 => "KILL", 11 => "SEGV", 13 => "PIPE", 14 => "ALRM", 15 => "TERM",
        _ => null,
    };
}
