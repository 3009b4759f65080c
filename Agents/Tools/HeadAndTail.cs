using System.Globalization;
using System.Text;

namespace Stigmer.Agents.Tools;

/// <summary>What a program writes, of which the beginning and the end are kept, however much it is.</summary>
/// <param name="head">How many bytes of the beginning.</param>
/// <param name="tail">How many bytes of the end.</param>
sealed class HeadAndTail(int head, int tail)
{
    readonly MemoryStream first = new();
    readonly byte[] last = new byte[tail];
    long total;

    /// <summary>How many bytes there were.</summary>
    public long Total => total;

    /// <summary>Takes the next piece.</summary>
    public void Take(ReadOnlySpan<byte> piece)
    {
        var room = (int)Math.Min(head - first.Length, piece.Length);
        first.Write(piece[..room]);
        total += room;
        piece = piece[room..];
        total += piece.Length;
        if (piece.Length > tail) piece = piece[^tail..];
        // A ring, in which the byte that was the n-th after the head stands at n modulo its length.
        var at = (int)((total - first.Length - piece.Length) % tail);
        var fitting = Math.Min(piece.Length, tail - at);
        piece[..fitting].CopyTo(last.AsSpan(at));
        piece[fitting..].CopyTo(last);
    }

    /// <summary>The text, in which it is said what was cut; what is no text is described.</summary>
    public string ToText()
    {
        var beginning = first.ToArray();
        var after = total - beginning.Length;
        var kept = (int)Math.Min(after, tail);
        var end = new byte[kept];
        for (var i = 0; i < kept; i++) end[i] = last[(int)((after - kept + i) % tail)];
        if (beginning.Contains((byte)0)) return $"(not a text: {TextFile.Describe(beginning)}; {WorkspaceList.Size(total)})";
        if (after == kept) return Encoding.UTF8.GetString([.. beginning, .. end]);
        var (from, to) = (WholeEnd(beginning), WholeStart(end));
        var cut = total - from - (kept - to);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{Encoding.UTF8.GetString(beginning, 0, from)}\n[… {cut} bytes in the middle of {total} are not shown …]\n{Encoding.UTF8.GetString(end, to, kept - to)}");
    }

    /// <summary>Where the last whole character ends.</summary>
    static int WholeEnd(byte[] bytes)
    {
        var end = bytes.Length;
        while (end > 0 && end > bytes.Length - 4 && (bytes[end - 1] & 0xC0) == 0x80) end--;
        return end > 0 && bytes[end - 1] >= 0xC0 ? end - 1 : bytes.Length;
    }

    /// <summary>Where the first whole character begins.</summary>
    static int WholeStart(byte[] bytes)
    {
        var start = 0;
        while (start < Math.Min(3, bytes.Length) && (bytes[start] & 0xC0) == 0x80) start++;
        return start;
    }
}
