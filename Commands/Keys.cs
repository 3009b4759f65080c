using System.Text;

namespace Stigmer.Commands;

/// <summary>What a key, or a paste, asks for.</summary>
enum KeyKind
{
    Text, Paste, Enter, NewLine, Left, Right, Up, Down, Home, End, WordLeft, WordRight, Backspace, Delete, DeleteOrEnd,
    KillLine, KillToStart, KillWordBack, KillPartBack, KillWord, Yank, Clear, Search, Tab, Escape, Interrupt, Suspend, Redraw, Closed,
}

/// <summary>One of them; with the text that was typed or pasted.</summary>
readonly record struct Key(KeyKind Kind, string Text = "");

/// <summary>Makes keys of a terminal's bytes, in whatever pieces they come.</summary>
sealed class KeyDecoder
{
    static readonly byte[] PasteEnd = "\e[201~"u8.ToArray();

    readonly List<byte> pending = [];
    bool pasting;

    // Where the end of a paste is not, as far as it was looked for: a paste of a megabyte comes in hundreds of pieces.
    int searched;

    /// <summary>The keys that are whole with these bytes.</summary>
    public IReadOnlyList<Key> Take(ReadOnlySpan<byte> bytes)
    {
        pending.AddRange(bytes);
        var keys = new List<Key>();
        var all = pending.ToArray();
        var at = 0;
        while (at < all.Length)
        {
            var used = pasting ? Paste(all.AsSpan(at), keys) : One(all.AsSpan(at), keys);
            if (used == 0) break;
            at += used;
        }
        pending.RemoveRange(0, at);
        return keys;
    }

    int Paste(ReadOnlySpan<byte> bytes, List<Key> keys)
    {
        var from = Math.Clamp(searched - PasteEnd.Length, 0, bytes.Length);
        var end = bytes[from..].IndexOf(PasteEnd);
        searched = bytes.Length;
        if (end < 0) return 0;
        pasting = false;
        searched = 0;
        keys.Add(new Key(KeyKind.Paste, Clean(Encoding.UTF8.GetString(bytes[..(from + end)]))));
        return from + end + PasteEnd.Length;
    }

    // How many bytes the first key takes; 0: it is not whole yet.
    int One(ReadOnlySpan<byte> bytes, List<Key> keys)
    {
        var first = bytes[0];
        if (first == 0x1b) return Escape(bytes, keys);
        if (first < 0x20 || first == 0x7f)
        {
            if (Control(first) is { } kind) keys.Add(new Key(kind));
            return 1;
        }
        var status = Rune.DecodeFromUtf8(bytes, out var rune, out var length);
        if (status == System.Buffers.OperationStatus.NeedMoreData) return 0;
        // U+FFFD for what is not UTF-8, and nothing for C1 control characters.
        if (rune.Value is < 0x80 or > 0x9f) keys.Add(new Key(KeyKind.Text, rune.ToString()));
        return length;
    }

    static KeyKind? Control(byte code) => code switch
    {
        0x01 => KeyKind.Home,
        0x02 => KeyKind.Left,
        0x03 => KeyKind.Interrupt,
        0x04 => KeyKind.DeleteOrEnd,
        0x05 => KeyKind.End,
        0x06 => KeyKind.Right,
        0x07 => KeyKind.Escape,
        0x08 or 0x7f => KeyKind.Backspace,
        0x09 => KeyKind.Tab,
        0x0a or 0x0d => KeyKind.Enter,
        0x0b => KeyKind.KillLine,
        0x0c => KeyKind.Clear,
        0x0e => KeyKind.Down,
        0x10 => KeyKind.Up,
        0x12 => KeyKind.Search,
        0x15 => KeyKind.KillToStart,
        0x17 => KeyKind.KillWordBack,
        0x19 => KeyKind.Yank,
        0x1a => KeyKind.Suspend,
        _ => null,
    };

    int Escape(ReadOnlySpan<byte> bytes, List<Key> keys)
    {
        // Alone it begins what comes next, as it does in a shell.
        if (bytes.Length == 1) return 0;
        switch (bytes[1])
        {
            case (byte)'[':
                return Sequence(bytes, keys);
            case (byte)'O':
                if (bytes.Length < 3) return 0;
                if (Arrow((char)bytes[2], word: bytes[2] is (byte)'c' or (byte)'d') is { } kind) keys.Add(new Key(kind));
                return 3;
            case 0x1b:
                return 1;
            default:
                KeyKind? meta = (char)bytes[1] switch
                {
                    'b' or 'B' => KeyKind.WordLeft,
                    'f' or 'F' => KeyKind.WordRight,
                    'd' or 'D' => KeyKind.KillWord,
                    '\x7f' or '\b' => KeyKind.KillPartBack,
                    '\r' or '\n' => KeyKind.NewLine,
                    _ => null,
                };
                if (meta is { } known) keys.Add(new Key(known));
                return 2;
        }
    }

    int Sequence(ReadOnlySpan<byte> bytes, List<Key> keys)
    {
        var end = 2;
        // The Linux console's function keys have a second bracket.
        if (bytes.Length > 2 && bytes[2] == (byte)'[') return bytes.Length > 3 ? 4 : 0;
        while (end < bytes.Length && bytes[end] is >= 0x20 and <= 0x3f) end++;
        if (end == bytes.Length) return 0;
        var parameters = Encoding.ASCII.GetString(bytes[2..end]).Split(';');
        var modified = parameters.Length > 1 && parameters[1] is not ("" or "1" or "2");
        switch ((char)bytes[end])
        {
            case '~' when parameters[0] == "200":
                pasting = true;
                break;
            case '~' when parameters is ["27", _, "13"]:
            case 'u' when parameters is ["13", _]:
                keys.Add(new Key(KeyKind.NewLine));
                break;
            case '~':
                KeyKind? kind = parameters[0] switch
                {
                    "1" or "7" => KeyKind.Home,
                    "4" or "8" => KeyKind.End,
                    "3" => modified ? KeyKind.KillWord : KeyKind.Delete,
                    _ => null,
                };
                if (kind is { } known) keys.Add(new Key(known));
                break;
            case var final when Arrow(final, modified) is { } arrow:
                keys.Add(new Key(arrow));
                break;
        }
        return end + 1;
    }

    static KeyKind? Arrow(char final, bool word) => final switch
    {
        'A' => KeyKind.Up,
        'B' => KeyKind.Down,
        'C' or 'c' => word ? KeyKind.WordRight : KeyKind.Right,
        'D' or 'd' => word ? KeyKind.WordLeft : KeyKind.Left,
        'H' => KeyKind.Home,
        'F' => KeyKind.End,
        _ => null,
    };

    // Line breaks in one way, and no other control characters: a terminal passes on whatever was copied.
    static string Clean(string text)
    {
        var clean = new StringBuilder(text.Length);
        foreach (var symbol in text.ReplaceLineEndings("\n"))
        {
            if (symbol is '\n' or '\t' || !char.IsControl(symbol)) clean.Append(symbol);
        }
        return clean.ToString();
    }
}
