using System.Globalization;
using Stigmer.Rpc.V1;

namespace Stigmer.Commands;

/// <summary>Parts of runs as short lines for people.</summary>
static class RunTexts
{
    // How much of a call's arguments, or of a result, one line shows, in characters.
    const int OnALine = 100;

    /// <summary>A call as <c>files.read {"path":"a"}</c>, on one line, shortened.</summary>
    public static string Call(ToolCall call) => $"{OneLine(call.Name)} {Shortened(OneLine(call.Arguments))}".TrimEnd();

    /// <summary>Without line breaks.</summary>
    public static string OneLine(string text) => text.ReplaceLineEndings(" ");

    /// <summary>Its beginning, where it is long; never half a character.</summary>
    public static string Shortened(string text, int most = OnALine)
    {
        if (text.Length <= most) return text;
        return text[..(char.IsHighSurrogate(text[most - 1]) ? most - 1 : most)] + "...";
    }

    /// <summary>How long something took: 12 ms, 3.4 s, 2 min 5 s.</summary>
    public static string Time(long milliseconds) => milliseconds switch
    {
        < 1000 => string.Create(CultureInfo.InvariantCulture, $"{milliseconds} ms"),
        < 60_000 => string.Create(CultureInfo.InvariantCulture, $"{milliseconds / 1000.0:0.0} s"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{milliseconds / 60_000} min {milliseconds / 1000 % 60} s"),
    };
}
