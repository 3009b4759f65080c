using Stigmer.Commands;

namespace Stigmer.Tests.Commands;

/// <summary>A terminal made of buffers.</summary>
sealed class Screen
{
    readonly StringWriter output = new() { NewLine = "\n" };
    readonly StringWriter error = new() { NewLine = "\n" };

    public Screen(
        bool inIsTerminal = false, bool outIsTerminal = false, bool errorIsTerminal = false, bool unicode = true, bool mayColor = false,
        bool json = false, bool quiet = false)
    {
        Terminal = new Terminal(
            output, error, new TerminalTraits(inIsTerminal, outIsTerminal, errorIsTerminal, unicode, mayColor), json, quiet);
    }

    public Terminal Terminal { get; }

    public string Out => output.ToString();

    public string Error => error.ToString();
}
