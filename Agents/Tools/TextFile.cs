using System.Text;

namespace Stigmer.Agents.Tools;

/// <summary>Tells text from other files, and in which encoding it is, by a file's first bytes.</summary>
/// <param name="Encoding">Null: it is no text.</param>
/// <param name="Preamble">How many bytes of byte order mark stand before it.</param>
/// <param name="Remark">What the reader should know; null: nothing.</param>
sealed record TextFile(Encoding? Encoding, int Preamble, string? Remark)
{
    /// <summary>How many bytes decide.</summary>
    public const int HeadLength = 8192;

    static readonly (byte[] Mark, Func<Encoding> Encoding)[] Marks =
    [
        // UTF-32 before UTF-16, whose mark is the beginning of the other's.
        ([0xFF, 0xFE, 0, 0], () => new UTF32Encoding(bigEndian: false, byteOrderMark: true)),
        ([0, 0, 0xFE, 0xFF], () => new UTF32Encoding(bigEndian: true, byteOrderMark: true)),
        ([0xEF, 0xBB, 0xBF], () => Encoding.UTF8),
        ([0xFF, 0xFE], () => Encoding.Unicode),
        ([0xFE, 0xFF], () => Encoding.BigEndianUnicode),
    ];

    static readonly (byte[] Start, string Name)[] Known =
    [
        ("\u007fELF"u8.ToArray(), "an ELF executable"),
        ([0x89, (byte)'P', (byte)'N', (byte)'G'], "a PNG image"),
        ([0xFF, 0xD8, 0xFF], "a JPEG image"),
        ("GIF8"u8.ToArray(), "a GIF image"),
        ("%PDF-"u8.ToArray(), "a PDF document"),
        ("PK\u0003\u0004"u8.ToArray(), "a zip archive (or an office document, a package)"),
        ([0x1F, 0x8B], "a gzip archive"),
        ("SQLite format 3\0"u8.ToArray(), "an SQLite database"),
        ("MZ"u8.ToArray(), "a Windows executable"),
    ];

    /// <summary>Looks at a file's beginning.</summary>
    /// <param name="head">At most <see cref="HeadLength"/> bytes.</param>
    /// <param name="whole">There is no more of it.</param>
    public static TextFile Of(ReadOnlySpan<byte> head, bool whole)
    {
        foreach (var (mark, encoding) in Marks)
        {
            if (head.StartsWith(mark)) return new TextFile(encoding(), mark.Length, null);
        }
        if (head.Contains((byte)0)) return new TextFile(null, 0, null);
        // Where the head ends in the middle of a character, that is no fault of the file.
        var end = head.Length;
        if (!whole)
        {
            for (var back = 1; back <= 3 && back <= head.Length; back++)
            {
                var b = head[^back];
                if (b < 0x80) break;
                if (b < 0xC0) continue;
                if (back < (b >= 0xF0 ? 4 : b >= 0xE0 ? 3 : 2)) end = head.Length - back;
                break;
            }
        }
        return System.Text.Unicode.Utf8.IsValid(head[..end])
            ? new TextFile(Encoding.UTF8, 0, null)
            : new TextFile(Encoding.Latin1, 0, "It is not UTF-8; it was read as Latin-1");
    }

    /// <summary>What a file that is no text looks like.</summary>
    public static string Describe(ReadOnlySpan<byte> head)
    {
        foreach (var (start, name) in Known)
        {
            if (head.StartsWith(start)) return name;
        }
        return $"it begins with the bytes {Convert.ToHexStringLower(head[..Math.Min(16, head.Length)])}";
    }
}
