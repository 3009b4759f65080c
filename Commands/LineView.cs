using System.Globalization;
using System.Text;

namespace Stigmer.Commands;

/// <summary>Draws a line that is edited on a terminal, over as many rows as it takes, and again after each change.</summary>
sealed class LineView(TextWriter writer, Func<(int Columns, int Rows)> size)
{
    // What is drawn: how wide its rows are, and where in them the cursor stands.
    List<int> drawn = [0];
    int row, column;

    /// <summary>Draws the line, in place of what was drawn before.</summary>
    /// <param name="prompt">Before its first row; ASCII.</param>
    /// <param name="cursor">An index in the text.</param>
    public void Draw(string prompt, string text, int cursor)
    {
        var (columns, rows) = size();
        var up = Up(columns);
        var lines = Lay(prompt, text, cursor, Math.Max(prompt.Length + 2, columns - 1));
        // What is higher than the terminal is shown around the cursor.
        var first = Math.Clamp(row - rows / 2, 0, Math.Max(0, lines.Count - rows));
        var last = Math.Min(lines.Count, first + rows);
        var output = new StringBuilder("\r");
        if (up > 0) output.Append(CultureInfo.InvariantCulture, $"\e[{up}A");
        output.Append("\e[J").AppendJoin('\n', lines.Skip(first).Take(last - first).Select(line => line.Text));
        row -= first;
        drawn = [.. lines.Skip(first).Take(last - first).Select(line => line.Width)];
        if (drawn.Count - 1 > row) output.Append(CultureInfo.InvariantCulture, $"\e[{drawn.Count - 1 - row}A");
        output.Append('\r');
        if (column > 0) output.Append(CultureInfo.InvariantCulture, $"\e[{column}C");
        writer.Write(output.ToString());
    }

    /// <summary>Leaves what was drawn and goes on below it.</summary>
    public void Finish()
    {
        if (drawn.Count - 1 > row) writer.Write(string.Create(CultureInfo.InvariantCulture, $"\e[{drawn.Count - 1 - row}B"));
        writer.Write('\n');
        Forget();
    }

    /// <summary>Clears the terminal.</summary>
    public void Clear()
    {
        writer.Write("\e[H\e[2J");
        Forget();
    }

    void Forget() => (drawn, row, column) = ([0], 0, 0);

    // How far above the cursor the first row is. A terminal that became narrower has broken the rows by itself.
    int Up(int columns)
    {
        var up = 0;
        foreach (var width in drawn.Take(row)) up += Math.Max(1, (width + columns - 1) / columns);
        return up + column / columns;
    }

    List<(string Text, int Width)> Lay(string prompt, string text, int cursor, int columns)
    {
        var lines = new List<(string, int)>();
        var line = new StringBuilder(prompt);
        var width = prompt.Length;
        var indent = new string(' ', Math.Min(prompt.Length, 2));
        (row, column) = (0, width);
        for (var at = 0; at < text.Length;)
        {
            var after = TextWidth.After(text, at);
            // A line break with what precedes it is one character in Unicode's eyes.
            var element = text[at..after];
            var isBreak = element is "\n" or "\r\n";
            var shown = isBreak ? "" : element == "\t" ? "    " : Terminal.Visible(element) is var visible && visible != element && TextWidth.Of(element) > 0 ? element : visible;
            var takes = shown == element ? TextWidth.Of(element) : shown.Length;
            if (!isBreak && width + takes > columns) Break();
            if (at == cursor) (row, column) = (lines.Count, width);
            if (isBreak)
            {
                Break();
            }
            else
            {
                line.Append(shown);
                width += takes;
            }
            at = after;
        }
        if (cursor >= text.Length) (row, column) = (lines.Count, width);
        lines.Add((line.ToString(), width));
        return lines;

        void Break()
        {
            lines.Add((line.ToString(), width));
            line.Clear().Append(indent);
            width = indent.Length;
        }
    }
}
