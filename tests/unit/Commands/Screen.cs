using System.Text;
using Stigmer.Commands;

namespace Stigmer.Tests.Commands;

/// <summary>A terminal made of buffers.</summary>
sealed class Screen
{
    readonly Surface output = new();
    readonly Surface error = new();

    public Screen(
        bool inIsTerminal = false, bool outIsTerminal = false, bool errorIsTerminal = false, bool unicode = true, bool mayColor = false,
        bool json = false, bool quiet = false, Keyboard? keyboard = null, bool movesCursor = false)
    {
        Terminal = new Terminal(
            output, error, new TerminalTraits(inIsTerminal, outIsTerminal, errorIsTerminal, unicode, mayColor, movesCursor), json, quiet)
        {
            OpenKeyboard = _ => keyboard,
        };
    }

    public Terminal Terminal { get; }

    public string Out => output.ToString();

    public string Error => error.ToString();

    /// <summary>Completes when standard error has said this.</summary>
    public Task ErrorSays(string text) => error.Says(text);

    sealed class Surface : TextWriter
    {
        readonly StringBuilder text = new();
        readonly List<(string Text, TaskCompletionSource Said)> waiting = [];

        public Surface() => CoreNewLine = ['\n'];

        public override Encoding Encoding => Encoding.UTF8;

        public override void Write(char value) => Write(value.ToString());

        public override void Write(char[] buffer, int index, int count) => Write(new string(buffer, index, count));

        public override void Write(string? value)
        {
            lock (text)
            {
                text.Append(value);
                foreach (var (sought, said) in waiting.ToList())
                {
                    if (text.ToString().Contains(sought, StringComparison.Ordinal)) said.TrySetResult();
                }
            }
        }

        public override void WriteLine(string? value) => Write(value + "\n");

        public override string ToString()
        {
            lock (text) return text.ToString();
        }

        public Task Says(string sought)
        {
            lock (text)
            {
                if (text.ToString().Contains(sought, StringComparison.Ordinal)) return Task.CompletedTask;
                var said = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                waiting.Add((sought, said));
                return said.Task;
            }
        }
    }
}
