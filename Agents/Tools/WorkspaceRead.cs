using System.Globalization;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Stigmer.Agents.Tools;

/// <summary>workspace.read: a part of a text file that a model's window can hold, and how to read on.</summary>
static class WorkspaceRead
{
    /// <summary>The most that a model is shown at once, in characters: about 4,000 tokens of a window of 32,768.</summary>
    const int MaxLength = 16_000;

    /// <summary>How far the lines are counted after the part that is shown, in bytes.</summary>
    const long MaxCounted = 64 * 1024 * 1024;

    /// <summary>Carries out the call.</summary>
    public static ToolOutcome Run(WorkspaceFolder folder, ToolArguments arguments, CancellationToken cancel)
    {
        var path = arguments.Text("path") ?? throw new Refused("path is missing: the file to read");
        var first = arguments.Number("offset", least: 0) is > 0 and var given ? given : 1;
        var limit = arguments.Number("limit", least: 1) ?? long.MaxValue;
        var real = folder.Resolve(path);
        var name = WorkspaceList.OneLine(folder.NameOf(real));
        using var file = folder.OpenFile(real);

        var size = RandomAccess.GetLength(file);
        var block = new byte[64 * 1024];
        var read = ReadBlock(file, block, 0);
        if (read == 0) return new ToolOutcome(true, $"({name} is empty)");
        var head = block.AsSpan(0, Math.Min(read, TextFile.HeadLength));
        var kind = TextFile.Of(head, whole: read <= TextFile.HeadLength);
        if (kind.Encoding is null) return new ToolOutcome(true, $"({name} is not a text: {TextFile.Describe(head)}; {WorkspaceList.Size(size)})");

        var part = new Part(first, limit);
        var decoder = kind.Encoding.GetDecoder();
        var characters = new char[kind.Encoding.GetMaxCharCount(block.Length)];
        var at = 0L;
        var skip = kind.Preamble;
        while (read > 0)
        {
            cancel.ThrowIfCancellationRequested();
            var decoded = decoder.GetChars(block, skip, read - skip, characters, 0, flush: false);
            skip = 0;
            part.Take(characters.AsSpan(0, decoded));
            at += read;
            if (part.IsFull && at > MaxCounted) break;
            read = ReadBlock(file, block, at);
        }
        part.Take(characters.AsSpan(0, decoder.GetChars([], characters, flush: true)));
        return new ToolOutcome(true, part.ToText(name, size, whole: read == 0, kind.Remark));
    }

    /// <summary>Fills the block as far as there is something: one read may give less.</summary>
    internal static int ReadBlock(SafeFileHandle file, Span<byte> block, long at)
    {
        var total = 0;
        while (total < block.Length)
        {
            var read = RandomAccess.Read(file, block[total..], at + total);
            if (read == 0) break;
            total += read;
        }
        return total;
    }

    /// <summary>The lines from the first one asked for, as far as they fit.</summary>
    sealed class Part(long first, long limit)
    {
        readonly StringBuilder text = new();
        long line = 1;
        long lastShown;
        bool cutInLine;
        bool atLineStart = true;

        /// <summary>Nothing more is shown.</summary>
        public bool IsFull { get; private set; }

        /// <summary>Takes the next piece of the file, which may end anywhere.</summary>
        public void Take(ReadOnlySpan<char> piece)
        {
            while (!piece.IsEmpty)
            {
                var newline = piece.IndexOf('\n');
                var current = newline < 0 ? piece : piece[..(newline + 1)];
                piece = piece[current.Length..];
                if (atLineStart && line - first >= limit) IsFull = true;
                if (line >= first && !IsFull) Show(current);
                atLineStart = newline >= 0;
                if (atLineStart) line++;
            }
        }

        /// <summary>What the model reads.</summary>
        public string ToText(string name, long size, bool whole, string? remark)
        {
            var last = atLineStart ? line - 1 : line;
            if (lastShown == 0)
            {
                return string.Create(CultureInfo.InvariantCulture, $"({name} has only {last} lines)");
            }
            var notes = new List<string>();
            if (cutInLine) notes.Add(string.Create(CultureInfo.InvariantCulture, $"Line {lastShown} was cut: it is too long"));
            if (first > 1 || IsFull)
            {
                var of = whole ? string.Create(CultureInfo.InvariantCulture, $" of {last}") : "";
                var more = IsFull && (!whole || lastShown < last) ? string.Create(CultureInfo.InvariantCulture, $"; read on with offset {lastShown + 1}") : "";
                notes.Add(string.Create(CultureInfo.InvariantCulture, $"Lines {first} to {lastShown}{of}; the file has {WorkspaceList.Size(size)}{more}"));
            }
            if (remark is not null) notes.Add(remark);
            var shown = text.ToString().Replace("\r\n", "\n", StringComparison.Ordinal);
            if (notes.Count == 0) return shown;
            return $"{shown}{(shown.EndsWith('\n') ? "" : "\n")}[{string.Join(". ", notes)}]";
        }

        void Show(ReadOnlySpan<char> current)
        {
            var room = MaxLength - text.Length;
            if (current.Length > room)
            {
                IsFull = true;
                // A line that would fit alone is left whole for the next reading.
                if (lastShown > 0 && lastShown != line) return;
                if (room > 0 && char.IsHighSurrogate(current[room - 1])) room--;
                current = current[..room];
                cutInLine = true;
            }
            text.Append(current);
            lastShown = line;
        }
    }
}
