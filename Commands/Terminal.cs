using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Stigmer.Commands;

/// <summary>
/// Where a command's words go: what was asked for to standard output, everything else to standard error. It knows who reads:
/// a person at a terminal, a pipe, or a program that asked for JSON. The options that every command takes are declared here.
/// </summary>
sealed partial class Terminal
{
    /// <summary>One JSON document, or one a line where the command streams.</summary>
    public static readonly Option<bool> JsonOption =
        new("--json") { Description = "JSON on standard output, nothing else", Recursive = true, Arity = ArgumentArity.Zero };

    /// <summary>Errors and asked-for data only.</summary>
    public static readonly Option<bool> QuietOption =
        new("--quiet", "-q") { Description = "Errors and asked-for data only", Recursive = true, Arity = ArgumentArity.Zero };

    /// <summary>More on standard error, stack traces among it.</summary>
    public static readonly Option<bool> VerboseOption =
        new("--verbose", "-v") { Description = "Say more on standard error", Recursive = true, Arity = ArgumentArity.Zero };

    /// <summary>No colour, also on a terminal.</summary>
    public static readonly Option<bool> NoColorOption =
        new("--no-color") { Description = "No colour", Recursive = true, Arity = ArgumentArity.Zero };

    const string Green = "\e[32m", Yellow = "\e[33m", Red = "\e[31m", Faint = "\e[2m", Plain = "\e[0m";

    readonly TerminalTraits traits;

    /// <summary>For tests and for <see cref="From(ParseResult)"/>.</summary>
    public Terminal(TextWriter output, TextWriter error, TerminalTraits traits, bool json = false, bool quiet = false, bool verbose = false)
    {
        this.traits = traits;
        Out = output;
        Error = error;
        Json = json;
        Quiet = quiet;
        Verbose = verbose;
    }

    /// <summary>The terminal of a command that was parsed: its writers, what the environment says of them, and the global options.</summary>
    public static Terminal From(ParseResult parsed)
    {
        var traits = TerminalTraits.OfThisProcess(Environment.GetEnvironmentVariable);
        if (parsed.GetValue(NoColorOption)) traits = traits with { MayColor = false };
        return new Terminal(
            parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error, traits,
            parsed.GetValue(JsonOption), parsed.GetValue(QuietOption), parsed.GetValue(VerboseOption));
    }

    /// <summary>--json: standard output carries documents alone.</summary>
    public bool Json { get; }

    /// <summary>--quiet: errors and asked-for data only.</summary>
    public bool Quiet { get; }

    /// <summary>--verbose.</summary>
    public bool Verbose { get; }

    /// <summary>A person can be asked: there is a terminal to type on and one to ask on, and no program waits for JSON.</summary>
    public bool CanPrompt => traits.InIsTerminal && traits.ErrorIsTerminal && !Json;

    /// <summary>Standard input is a terminal.</summary>
    public bool InIsTerminal => traits.InIsTerminal;

    /// <summary>Standard output is a terminal.</summary>
    public bool OutIsTerminal => traits.OutIsTerminal;

    /// <summary>Standard error is a terminal.</summary>
    public bool ErrorIsTerminal => traits.ErrorIsTerminal;

    /// <summary>Standard output, as UTF-8 whatever the locale; each write is passed on at once.</summary>
    public TextWriter Out { get; }

    /// <summary>Standard error.</summary>
    public TextWriter Error { get; }

    /// <summary>✓, or ok.</summary>
    public string OkSymbol => traits.Unicode ? "✓" : "ok";

    /// <summary>✗, or error.</summary>
    public string ErrorSymbol => traits.Unicode ? "✗" : "error";

    /// <summary>⚠, or warning.</summary>
    public string WarningSymbol => traits.Unicode ? "⚠" : "warning";

    /// <summary>─, or -: one character of a rule.</summary>
    public string RuleSymbol => traits.Unicode ? "─" : "-";

    /// <summary>Takes the keys of the terminal on standard input; true: Ctrl-C still sends its signal. Null: there is none.</summary>
    public Func<bool, Keyboard?> OpenKeyboard { get; init; } = Keyboard.Open;

    /// <summary>The terminal obeys the sequences that move its cursor.</summary>
    public bool MovesCursor => traits.MovesCursor && traits.ErrorIsTerminal;

    /// <summary>Symbols beyond ASCII may be shown: the locale is UTF-8.</summary>
    public bool Unicode => traits.Unicode;

    /// <summary>A step that was done, on standard output: <c>✓ text</c>. Nothing when quiet or JSON.</summary>
    public void Ok(string text)
    {
        if (!Quiet && !Json) Out.WriteLine($"{InGreen(OkSymbol)} {Shown(text, OutIsTerminal)}");
    }

    /// <summary>A line that is no data, on standard output (<c>Stopping daemon...</c>). Nothing when quiet or JSON.</summary>
    public void Say(string text)
    {
        if (!Quiet && !Json) Line(text);
    }

    /// <summary>A line of what was asked for, on standard output. Control characters do not reach a terminal.</summary>
    public void Line(string text = "") => Out.WriteLine(Shown(text, OutIsTerminal));

    /// <summary>What a person may want to know, on standard error; nothing when quiet.</summary>
    public void Note(string text)
    {
        if (!Quiet) Error.WriteLine(Shown(text, ErrorIsTerminal));
    }

    /// <summary>The same in a faint colour, where there is colour.</summary>
    public void FaintNote(string text)
    {
        if (!Quiet) Error.WriteLine(Colored(Faint, Shown(text, ErrorIsTerminal), ErrorIsTerminal));
    }

    /// <summary>Something is not as it should be and the command goes on: <c>⚠ text</c> on standard error; nothing when quiet.</summary>
    public void Warn(string text)
    {
        if (!Quiet) Error.WriteLine($"{Colored(Yellow, WarningSymbol, ErrorIsTerminal)} {Shown(text, ErrorIsTerminal)}");
    }

    /// <summary>What failed, why, and what to do, on standard error: also when quiet.</summary>
    public void Fail(Failure failure)
    {
        var text = new StringBuilder(Colored(Red, ErrorSymbol, ErrorIsTerminal)).Append(' ').Append(Shown(failure.What, ErrorIsTerminal));
        foreach (var more in (ReadOnlySpan<string?>)[failure.Why, failure.Remedy])
        {
            if (!string.IsNullOrEmpty(more)) text.Append("\n  ").Append(Shown(more, ErrorIsTerminal).Replace("\n", "\n  ", StringComparison.Ordinal));
        }
        Error.WriteLine(text.ToString());
    }

    /// <summary>Text in green for standard output, where there is colour.</summary>
    public string InGreen(string text) => Colored(Green, text, OutIsTerminal);

    /// <summary>One JSON document and a line feed on standard output, in ASCII whatever the text.</summary>
    public void Document<T>(T value, JsonTypeInfo<T> type) => Out.Write(JsonLine(value, type));

    /// <summary>A document as one line with its line feed; everything beyond ASCII as \u escapes.</summary>
    public static string JsonLine<T>(T value, JsonTypeInfo<T> type)
    {
        using var bytes = new MemoryStream();
        // The writer's own encoder counts, not the type's options: the default one leaves nothing but ASCII.
        using (var writer = new Utf8JsonWriter(bytes)) JsonSerializer.Serialize(writer, value, type);
        return Encoding.ASCII.GetString(bytes.GetBuffer(), 0, (int)bytes.Length) + "\n";
    }

    /// <summary>
    /// Asks for a secret on standard error, a * for each character typed, and leaves the cursor on the next line. Null: the
    /// person ended the input without typing. Ask only where <see cref="CanPrompt"/>; cancelling restores the terminal.
    /// </summary>
    public async Task<string?> AskSecret(string prompt, CancellationToken cancel)
    {
        try
        {
            return OperatingSystem.IsWindows() ? await ReadMaskedWindows(prompt, cancel) : await ReadMaskedUnix(prompt, cancel);
        }
        finally
        {
            Error.WriteLine();
        }
    }

    /// <summary>
    /// Asks on standard error; only y and yes are a yes, the end of the input is a no. Ask only where <see cref="CanPrompt"/>; a
    /// read that is given up is left behind on its thread.
    /// </summary>
    public async Task<bool> AskYesOrNo(string question, CancellationToken cancel)
    {
        Error.Write(question);
        var line = await Task.Run(Console.In.ReadLine, CancellationToken.None).WaitAsync(cancel);
        if (line is null) Error.WriteLine();
        return line?.Trim().ToLowerInvariant() is "y" or "yes";
    }

    /// <summary>
    /// Text that may go to a terminal: escape sequences and other control characters but line feed and tab made visible, and those
    /// that turn the direction of writing around.
    /// </summary>
    public static string Harmless(string text) => Shown(text, IsControl);

    /// <summary>The same on one line, and with everything else that an eye does not see: for what a person must decide about.</summary>
    public static string Visible(string text) => Shown(text, symbol => IsControl(symbol) || symbol is '\n' or '\t' || IsInvisible(symbol));

    static string Shown(string text, Predicate<char> needsCare)
    {
        var at = 0;
        while (at < text.Length && !needsCare(text[at])) at++;
        if (at == text.Length) return text;
        var clean = new StringBuilder(text.Length + 16);
        foreach (var c in text)
        {
            if (!needsCare(c)) clean.Append(c);
            else if (c == '\r') continue;
            else if (c < 0x20) clean.Append('^').Append((char)(c + 0x40));
            else clean.Append(c == 0x7f ? "^?" : $"\\u{(int)c:x4}");
        }
        return clean.ToString();
    }

    // C0, DEL and C1, which some terminals obey as they obey ESC; and what makes text look like another (U+202A…E, U+2066…9).
    static bool IsControl(char c) =>
        (c < 0x20 && c is not ('\n' or '\t')) || c is (>= '\x7f' and <= '\x9f') or (>= '\u202a' and <= '\u202e') or (>= '\u2066' and <= '\u2069');

    // The tags beyond U+FFFF begin with this surrogate.
    static bool IsInvisible(char c) => c == '\udb40' || char.GetUnicodeCategory(c) is
        UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned
        || (c != ' ' && char.GetUnicodeCategory(c) == UnicodeCategory.SpaceSeparator);

    static string Shown(string text, bool terminal) => terminal ? Harmless(text) : text;

    string Colored(string color, string text, bool terminal) => traits.MayColor && terminal ? color + text + Plain : text;
}

/// <summary>What is known of the three standard streams before a word is said.</summary>
/// <param name="InIsTerminal">Standard input.</param>
/// <param name="OutIsTerminal">Standard output.</param>
/// <param name="ErrorIsTerminal">Standard error.</param>
/// <param name="Unicode">Symbols beyond ASCII may be shown.</param>
/// <param name="MayColor">Nobody forbade colour; it is used on terminals only.</param>
/// <param name="MovesCursor">A terminal obeys the sequences that move its cursor.</param>
sealed record TerminalTraits(bool InIsTerminal, bool OutIsTerminal, bool ErrorIsTerminal, bool Unicode, bool MayColor, bool MovesCursor = false)
{
    /// <summary>Asks the system and the environment.</summary>
    public static TerminalTraits OfThisProcess(Func<string, string?> environment)
    {
        var terminalOut = !Console.IsOutputRedirected;
        var terminalError = !Console.IsErrorRedirected;
        var mayColor = ColorAllowed(environment);
        var unicode = LocaleIsUtf8(environment);
        var moves = environment("TERM") is { Length: > 0 } and not "dumb";
        if (OperatingSystem.IsWindows())
        {
            unicode = Terminal.WindowsCodePageIsUtf8();
            moves = (terminalOut || terminalError) && Terminal.EnableWindowsColor();
            mayColor = mayColor && moves;
        }
        return new TerminalTraits(!Console.IsInputRedirected, terminalOut, terminalError, unicode, mayColor, moves);
    }

    /// <summary>NO_COLOR with any value and TERM=dumb forbid it.</summary>
    public static bool ColorAllowed(Func<string, string?> environment) =>
        string.IsNullOrEmpty(environment("NO_COLOR")) && environment("TERM") != "dumb";

    /// <summary>
    /// The first of LC_ALL, LC_CTYPE and LANG that is set names a UTF-8 locale, or none is set. Empty counts as unset, as POSIX
    /// has it.
    /// </summary>
    public static bool LocaleIsUtf8(Func<string, string?> environment)
    {
        foreach (var name in (ReadOnlySpan<string>)["LC_ALL", "LC_CTYPE", "LANG"])
        {
            if (environment(name) is not { Length: > 0 } locale) continue;
            var dot = locale.IndexOf('.', StringComparison.Ordinal);
            if (dot < 0) return false;
            var codeset = locale[(dot + 1)..].Split('@')[0];
            return codeset.Replace("-", "", StringComparison.Ordinal).Equals("utf8", StringComparison.OrdinalIgnoreCase);
        }
        return true;
    }
}
