using System.Text;
using CsCheck;
using Stigmer.Commands;

namespace Stigmer.Tests.Commands;

public sealed class LineEditorTests : IDisposable
{
    const string Left = "\e[D", Up = "\e[A", Down = "\e[B", AltLeft = "\e[1;3D", CtrlRight = "\e[1;5C";

    readonly string folder = Directory.CreateTempSubdirectory("stg-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Theory]
    [InlineData("ab" + Left + Left + "\e[C" + "c", "ac|b")]
    [InlineData("ab\x01" + "c\x05" + "d", "cabd|")]
    [InlineData("ab\e[Hc\e[Fd", "cabd|")]
    [InlineData("ab\eOHc\e[4~d", "cabd|")]
    [InlineData("one two" + Left + Left + "\x0b", "one t|")]
    [InlineData("one two" + Left + Left + "\x15", "|wo")]
    [InlineData("one two.three\x17", "one |")]
    [InlineData("one two.three\e\x7f", "one two.|")]
    [InlineData("one two.three\eb\ebX", "one X|two.three")]
    [InlineData("one two" + AltLeft + "X", "one X|two")]
    [InlineData("one two\x01" + CtrlRight + "X", "oneX| two")]
    [InlineData("one two\x01\ed", "| two")]
    [InlineData("one two\x17\x01\x19", "two|one ")]
    [InlineData("ab\x01\x04", "|b")]
    [InlineData("ab\x01\e[3~", "|b")]
    [InlineData("漢字\x7f" + "é", "漢é|")]
    [InlineData("e\u0301x" + Left + "\x7f", "|x")]
    [InlineData("👩‍👩‍👧a" + Left + Left + "b", "b|👩‍👩‍👧a")]
    [InlineData("\e[200~one\r\ntwo\x03\e[201~!", "one\ntwo!|")]
    [InlineData("a\e\rb" + Up + "c", "ac|\nb")]
    [InlineData("a\e\rbc" + Up + Down + "d", "a\nbd|c")]
    [InlineData("a\e[13;2ub", "a\nb|")]
    [InlineData("a\e[1;2Pb\e[99~", "ab|")]
    public void Keys_do_what_they_do_in_a_shell(string keys, string expected) => Assert.Equal(expected, Shown(Typed([], keys)));

    [Theory]
    [InlineData(Up, "three|")]
    [InlineData(Up + Up + Up + Up, "one|")]
    [InlineData("new" + Up + Up + Down + Down, "new|")]
    [InlineData("new\x10\x0e", "new|")]
    [InlineData(Up + "!" + Up + Down, "three!|")]
    [InlineData("\x12o", "tw|o")]
    [InlineData("\x12o\x12", "|one")]
    [InlineData("\x12o\x05!", "two!|")]
    [InlineData("x\x12ne\x07", "x|")]
    public void What_was_said_before_comes_back(string keys, string expected) => Assert.Equal(expected, Shown(Typed(["one", "two", "three"], keys)));

    [Theory]
    [InlineData("\x04", "Left")]
    [InlineData("\x03", "Left")]
    [InlineData("a\x03", "Dropped")]
    [InlineData("a\r", "Done")]
    [InlineData("\n", "Done")]
    public void A_line_ends(string keys, string state)
    {
        var editor = new LineEditor([]);
        Assert.Equal(Enum.Parse<LineState>(state), new KeyDecoder().Take(Encoding.UTF8.GetBytes(keys)).Select(editor.Apply).ToList()[^1]);
    }

    [Fact]
    public void Bytes_that_come_in_pieces_are_the_same_keys()
    {
        var bytes = Encoding.UTF8.GetBytes("aé漢😀\e[D\e[1;5C\eOH\eb\e[200~x\r\ny\e[D\e[201~\e\r\x03\e[3~z");
        var whole = new KeyDecoder().Take(bytes);
        Gen.Int[0, bytes.Length].Array[1, 6].Sample(cuts =>
        {
            var decoder = new KeyDecoder();
            var keys = new List<Key>();
            var from = 0;
            foreach (var to in cuts.Order().Append(bytes.Length))
            {
                keys.AddRange(decoder.Take(bytes.AsSpan(from, to - from)));
                from = to;
            }
            return keys.SequenceEqual(whole);
        }, iter: 500);
    }

    [Fact]
    public void A_line_takes_as_many_rows_as_it_needs_and_wide_characters_two_columns()
    {
        using var output = new StringWriter();
        var view = new LineView(output, () => (11, 10));
        view.Draw("> ", "abcd漢字efghi", 13);
        Assert.Equal("\r\e[J> abcd漢字\n  efghi\r\e[7C", output.ToString());
        output.GetStringBuilder().Clear();
        view.Draw("> ", "a\nb", 0);
        Assert.Equal("\r\e[1A\e[J> a\n  b\e[1A\r\e[2C", output.ToString());
    }

    [Fact]
    public void What_is_higher_than_the_terminal_is_shown_around_the_cursor()
    {
        using var output = new StringWriter();
        var view = new LineView(output, () => (20, 3));
        view.Draw("> ", "1\n2\n3\n4\n5", 4);
        Assert.Equal("\r\e[J  2\n  3\n  4\e[1A\r\e[2C", output.ToString());
    }

    [Fact]
    public void History_is_kept_in_a_file_of_this_user_alone_and_only_so_much_of_it()
    {
        var file = Path.Combine(folder, "home", "history");
        var history = InputHistory.Read(file);
        foreach (var line in new[] { "one", "one", " secret", "two\nlines \\n" }) history.Add(line);
        Assert.Equal(["one", "two\nlines \\n"], InputHistory.Read(file).Lines);
        if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));

        File.AppendAllLines(file, Enumerable.Range(1, 3000).Select(number => $"line {number}"));
        Assert.Equal(1000, InputHistory.Read(file).Lines.Count);
        Assert.Equal("line 3000", InputHistory.Read(file).Lines[^1]);
        Assert.Equal(1000, File.ReadAllLines(file).Length);
    }

    static LineEditor Typed(IReadOnlyList<string> history, string keys)
    {
        var editor = new LineEditor(history);
        foreach (var key in new KeyDecoder().Take(Encoding.UTF8.GetBytes(keys))) editor.Apply(key);
        return editor;
    }

    static string Shown(LineEditor editor) => editor.Text.Insert(editor.Cursor, "|");
}
