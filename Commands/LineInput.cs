using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Stigmer.Commands;

/// <summary>Where the lines of a conversation come from.</summary>
abstract class LineInput : IAsyncDisposable
{
    protected const string Prompt = "> ";

    /// <summary>For this terminal: with editing where it moves its cursor, else line by line as the system reads them.</summary>
    public static LineInput For(Terminal terminal, InputHistory history) =>
        terminal.MovesCursor && terminal.OpenKeyboard(false) is { } keyboard ? new EditedInput(terminal, history, keyboard) : new PlainInput(terminal);

    /// <summary>The keys, for what must be asked meanwhile; null: the terminal's.</summary>
    public virtual KeyQueue? Keys => null;

    /// <summary>The next line; null: the person leaves.</summary>
    public abstract Task<string?> Read(CancellationToken cancel);

    /// <summary>Hears Ctrl-C while no line is read, until it is disposed of.</summary>
    public virtual void WhileBusy(Action? interrupted)
    {
    }

    /// <inheritdoc/>
    public virtual ValueTask DisposeAsync() => ValueTask.CompletedTask;
}

/// <summary>With the keys and the history of a shell.</summary>
sealed class EditedInput : LineInput
{
    // A paste comes in brackets, so that its line breaks are none of the person's.
    const string PastesInBrackets = "\e[?2004h", PastesAsKeys = "\e[?2004l";

    readonly Terminal terminal;
    readonly InputHistory history;
    readonly KeyQueue keys;

    public EditedInput(Terminal terminal, InputHistory history, Keyboard keyboard)
    {
        (this.terminal, this.history, keys) = (terminal, history, new KeyQueue(keyboard));
        terminal.Error.Write(PastesInBrackets);
        keys.Suspending = () => terminal.Error.Write(PastesAsKeys);
    }

    public override KeyQueue Keys => keys;

    public override async Task<string?> Read(CancellationToken cancel)
    {
        var editor = new LineEditor(history.Lines);
        var view = new LineView(terminal.Error, () => keys.Size);
        while (true)
        {
            view.Draw(editor.Sought is { } sought ? $"(history: {Terminal.Visible(sought)}) " : Prompt, editor.Text, editor.Cursor);
            Key key;
            try
            {
                key = await keys.Next(cancel);
            }
            catch (OperationCanceledException)
            {
                view.Finish();
                throw;
            }
            if (key.Kind == KeyKind.Clear) view.Clear();
            // It may come after a time in which the terminal was somebody else's.
            if (key.Kind == KeyKind.Redraw) terminal.Error.Write(PastesInBrackets);
            switch (editor.Apply(key))
            {
                case LineState.Done:
                    view.Draw(Prompt, editor.Text, editor.Text.Length);
                    view.Finish();
                    history.Add(editor.Text);
                    return editor.Text;
                case LineState.Dropped:
                    view.Draw(Prompt, editor.Text + "^C", editor.Text.Length + 2);
                    view.Finish();
                    editor = new LineEditor(history.Lines);
                    break;
                case LineState.Left:
                    view.Finish();
                    return null;
            }
        }
    }

    public override void WhileBusy(Action? interrupted) => keys.Interrupted = interrupted;

    public override async ValueTask DisposeAsync()
    {
        terminal.Error.Write(PastesAsKeys);
        await keys.DisposeAsync();
    }
}

/// <summary>Line by line: for a terminal that cannot move its cursor.</summary>
sealed class PlainInput(Terminal terminal) : LineInput
{
    // Not the console's stream, which has a mind of its own about terminals.
    readonly Lazy<StreamReader> reader = new(() => new StreamReader(
        OperatingSystem.IsWindows() ? Console.OpenStandardInput() : new FileStream(new SafeFileHandle(0, ownsHandle: false), FileAccess.Read, bufferSize: 0),
        new UTF8Encoding(false)));

    // A read cannot be cancelled: what it brings is for who asks next.
    Task<string?>? reading;

    public override async Task<string?> Read(CancellationToken cancel)
    {
        terminal.Error.Write(Prompt);
        reading ??= Task.Run(reader.Value.ReadLine, CancellationToken.None);
        try
        {
            var line = await reading.WaitAsync(cancel);
            reading = null;
            if (line is null) terminal.Error.WriteLine();
            return line;
        }
        catch (OperationCanceledException)
        {
            terminal.Error.WriteLine();
            throw;
        }
    }
}
