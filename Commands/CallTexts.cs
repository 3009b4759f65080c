using System.Globalization;
using System.Text.Json;
using Stigmer.Rpc.V1;

namespace Stigmer.Commands;

/// <summary>A tool call as a person reads it who must decide: everything visible, nothing that a terminal or an eye would be deceived by.</summary>
static class CallTexts
{
    // How much of one argument is shown: enough for a command or a small file.
    const int MostLines = 20, MostCharacters = 2000;

    /// <summary>The tool's name, and its arguments below it.</summary>
    public static IEnumerable<string> Whole(ToolCall call)
    {
        yield return $"  {Terminal.Visible(RunTexts.OneLine(call.Name))}";
        var arguments = RunDocuments.Arguments(call.Arguments);
        if (arguments.ValueKind != JsonValueKind.Object)
        {
            foreach (var line in Text("", arguments.GetString() ?? "")) yield return line;
            yield break;
        }
        foreach (var argument in arguments.EnumerateObject())
        {
            var text = argument.Value.ValueKind == JsonValueKind.String ? argument.Value.GetString()! : argument.Value.GetRawText();
            foreach (var line in Text($"{Terminal.Visible(RunTexts.OneLine(argument.Name))}: ", text)) yield return line;
        }
    }

    static IEnumerable<string> Text(string name, string text)
    {
        // Cut before it is made visible: a megabyte is not worth the time.
        var shown = text.Length <= MostCharacters ? text : RunTexts.Shortened(text, MostCharacters)[..^3];
        var lines = shown.Split('\n');
        var count = Math.Min(lines.Length, MostLines);
        if (count == 1)
        {
            yield return $"    {name}{Terminal.Visible(lines[0])}";
        }
        else
        {
            yield return $"    {name}".TrimEnd();
            for (var line = 0; line < count; line++) yield return $"      {Terminal.Visible(lines[line])}";
        }
        var left = text.Length - lines.Take(count).Sum(line => line.Length + 1) + 1;
        if (left > 0) yield return string.Create(CultureInfo.InvariantCulture, $"      ... and {left} more characters: `stigmer runs get` shows all");
    }
}
