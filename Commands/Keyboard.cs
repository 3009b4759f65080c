namespace Stigmer.Commands;

/// <summary>
/// A terminal's keys, one by one, none of them shown: while it lives the terminal is in that state, and afterwards, however that
/// comes, as it was before. One at a time.
/// </summary>
abstract class Keyboard : IDisposable
{
    /// <summary>The terminal on standard input; null where it is none, or cannot be switched.</summary>
    /// <param name="signals">Ctrl-C and its like send signals, rather than being keys.</param>
    public static Keyboard? Open(bool signals) => OperatingSystem.IsWindows() ? WindowsKeyboard.Open(signals) : UnixKeyboard.Open(signals);

    /// <summary>The terminal's size was changed, or the process goes on after it was suspended: what stands on it has to be drawn again.</summary>
    public Action? Disturbed { get; set; }

    /// <summary>Columns and rows.</summary>
    public abstract (int Columns, int Rows) Size { get; }

    /// <summary>Reads what was typed, at least a byte; 0: the terminal has gone. Cancelling leaves what comes next for others.</summary>
    public abstract Task<int> Read(Memory<byte> buffer, CancellationToken cancel);

    /// <summary>Ctrl-Z: the process is suspended, with the terminal as it was, until it is continued. Nothing where there is no such thing.</summary>
    public abstract void Suspend();

    /// <inheritdoc/>
    public abstract void Dispose();
}

/// <summary>Who takes an interrupt in place of ending the command: a conversation, in which it ends an answer.</summary>
static class Interrupt
{
    /// <summary>Called for each SIGINT; null: the command ends.</summary>
    public static Action? Taker { get; set; }
}
