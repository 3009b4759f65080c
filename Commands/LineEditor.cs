namespace Stigmer.Commands;

/// <summary>What became of a line with a key.</summary>
enum LineState
{
    /// <summary>It is still being edited.</summary>
    Open,

    /// <summary>It is whole.</summary>
    Done,

    /// <summary>It was thrown away: Ctrl-C.</summary>
    Dropped,

    /// <summary>The person leaves: Ctrl-D, or Ctrl-C where nothing was typed.</summary>
    Left,
}

/// <summary>A line as it is edited, by the keys of a shell; of several lines where they were pasted or made with Alt-Enter.</summary>
/// <param name="history">What was said before, the oldest first.</param>
sealed class LineEditor(IReadOnlyList<string> history)
{
    // Changes to older lines, until one is taken. The last is the new line.
    readonly Dictionary<int, string> edited = [];
    int at = history.Count;
    string killed = "";
    string? sought;
    string beforeSearch = "";

    /// <summary>The text so far.</summary>
    public string Text { get; private set; } = "";

    /// <summary>The index in it before which the next character comes.</summary>
    public int Cursor { get; private set; }

    /// <summary>What is being looked for in the history; null: nothing.</summary>
    public string? Sought => sought;

    /// <summary>Does what a key asks for.</summary>
    public LineState Apply(Key key)
    {
        if (sought is not null && Search(key)) return LineState.Open;
        switch (key.Kind)
        {
            case KeyKind.Text or KeyKind.Paste:
                Insert(key.Text);
                break;
            case KeyKind.Tab:
                Insert("\t");
                break;
            case KeyKind.NewLine:
                Insert("\n");
                break;
            case KeyKind.Enter:
                return LineState.Done;
            case KeyKind.Interrupt:
                return Text.Length == 0 ? LineState.Left : LineState.Dropped;
            case KeyKind.Closed:
                return LineState.Left;
            case KeyKind.DeleteOrEnd when Text.Length == 0:
                return LineState.Left;
            case KeyKind.Delete or KeyKind.DeleteOrEnd:
                Remove(Cursor, TextWidth.After(Text, Cursor), keep: false);
                break;
            case KeyKind.Backspace:
                Remove(TextWidth.Before(Text, Cursor), Cursor, keep: false);
                break;
            case KeyKind.KillLine:
                // At the end of a line of several the next one is drawn up.
                Remove(Cursor, Cursor < Text.Length && Text[Cursor] == '\n' ? Cursor + 1 : LineEnd, keep: true);
                break;
            case KeyKind.KillToStart:
                Remove(LineStart, Cursor, keep: true);
                break;
            case KeyKind.KillWordBack:
                Remove(Back(char.IsWhiteSpace, symbol => !char.IsWhiteSpace(symbol)), Cursor, keep: true);
                break;
            case KeyKind.KillPartBack:
                Remove(WordLeft, Cursor, keep: true);
                break;
            case KeyKind.KillWord:
                Remove(Cursor, WordRight, keep: true);
                break;
            case KeyKind.Yank:
                Insert(killed);
                break;
            case KeyKind.Search when history.Count > 0:
                (sought, beforeSearch) = ("", Text);
                break;
            default:
                Move(key.Kind);
                break;
        }
        return LineState.Open;
    }

    void Move(KeyKind kind)
    {
        switch (kind)
        {
            case KeyKind.Left:
                Cursor = TextWidth.Before(Text, Cursor);
                break;
            case KeyKind.Right:
                Cursor = TextWidth.After(Text, Cursor);
                break;
            case KeyKind.WordLeft:
                Cursor = WordLeft;
                break;
            case KeyKind.WordRight:
                Cursor = WordRight;
                break;
            case KeyKind.Home:
                Cursor = LineStart;
                break;
            case KeyKind.End:
                Cursor = LineEnd;
                break;
            case KeyKind.Up when LineStart > 0:
                var above = LineStart - 1;
                Cursor = Column(above == 0 ? 0 : Text.LastIndexOf('\n', above - 1) + 1, above);
                break;
            case KeyKind.Down when LineEnd < Text.Length:
                var below = LineEnd + 1;
                Cursor = Column(below, Text.IndexOf('\n', below) is var end and >= 0 ? end : Text.Length);
                break;
            case KeyKind.Up:
                Recall(at - 1);
                break;
            case KeyKind.Down:
                Recall(at + 1);
                break;
        }
    }

    // False: the search is over and the key counts.
    bool Search(Key key)
    {
        switch (key.Kind)
        {
            case KeyKind.Text:
                sought += key.Text;
                Find(at);
                return true;
            case KeyKind.Backspace:
                sought = sought![..TextWidth.Before(sought!, sought!.Length)];
                Find(history.Count - 1);
                return true;
            case KeyKind.Search:
                Find(at - 1);
                return true;
            case KeyKind.Interrupt or KeyKind.Escape:
                (sought, at) = (null, history.Count);
                Set(beforeSearch);
                return true;
            case KeyKind.Redraw:
                return true;
            default:
                sought = null;
                return false;
        }
    }

    void Find(int from)
    {
        for (var line = Math.Min(from, history.Count - 1); line >= 0; line--)
        {
            if (history[line].IndexOf(sought!, StringComparison.OrdinalIgnoreCase) is not (>= 0 and var found)) continue;
            at = line;
            Set(history[line]);
            Cursor = found;
            return;
        }
    }

    void Recall(int line)
    {
        if (line < 0 || line > history.Count) return;
        edited[at] = Text;
        at = line;
        Set(edited.TryGetValue(line, out var text) ? text : line < history.Count ? history[line] : "");
    }

    void Set(string text) => (Text, Cursor) = (text, text.Length);

    void Insert(string text)
    {
        Text = Text.Insert(Cursor, text);
        Cursor += text.Length;
    }

    void Remove(int from, int to, bool keep)
    {
        if (keep && to > from) killed = Text[from..to];
        Text = Text.Remove(from, to - from);
        Cursor = from;
    }

    int LineStart => Cursor == 0 ? 0 : Text.LastIndexOf('\n', Cursor - 1) + 1;

    int LineEnd => Text.IndexOf('\n', Cursor) is var end and >= 0 ? end : Text.Length;

    int WordLeft => Back(symbol => !char.IsLetterOrDigit(symbol), char.IsLetterOrDigit);

    int WordRight
    {
        get
        {
            var to = Cursor;
            while (to < Text.Length && !char.IsLetterOrDigit(Text[to])) to++;
            while (to < Text.Length && char.IsLetterOrDigit(Text[to])) to++;
            return to;
        }
    }

    int Back(Predicate<char> between, Predicate<char> word)
    {
        var from = Cursor;
        while (from > 0 && between(Text[from - 1])) from--;
        while (from > 0 && word(Text[from - 1])) from--;
        return from;
    }

    // The place in a line that is as far from its beginning as the cursor is from the beginning of its own.
    int Column(int start, int end)
    {
        var left = 0;
        for (var index = LineStart; index < Cursor; index = TextWidth.After(Text, index)) left++;
        var place = start;
        for (; left > 0 && place < end; left--) place = TextWidth.After(Text, place);
        return place;
    }
}
