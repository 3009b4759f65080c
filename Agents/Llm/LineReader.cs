namespace Stigmer.Agents.Llm;

/// <summary>Reads a stream line by line as bytes, so that no character is torn where a packet ends. A line ends with LF, CR LF or CR.</summary>
/// <param name="stream">What is read; not closed.</param>
/// <param name="arrived">Called whenever bytes have come, of whatever line.</param>
sealed class LineReader(Stream stream, Action? arrived = null)
{
    /// <summary>The longest line taken, in bytes: far above any answer, far below what would hurt.</summary>
    const int MaxLength = 64 * 1024 * 1024;

    byte[] buffer = new byte[16 * 1024];
    int start;
    int end;
    int scanned;
    bool skipsLineFeed;

    /// <summary>
    /// The next line without its end, valid until the next call; null at the end of the stream. A last line needs no end. A CR
    /// ends its line at once: whether a LF follows is seen when it comes.
    /// </summary>
    /// <exception cref="InvalidDataException">The line is longer than 64 MB.</exception>
    public async ValueTask<ReadOnlyMemory<byte>?> Next(CancellationToken cancel)
    {
        while (true)
        {
            if (skipsLineFeed && start < end)
            {
                if (buffer[start] == (byte)'\n') start++;
                scanned = start;
                skipsLineFeed = false;
            }
            var length = buffer.AsSpan(scanned, end - scanned).IndexOfAny((byte)'\n', (byte)'\r');
            if (length >= 0)
            {
                var line = buffer.AsMemory(start, scanned + length - start);
                skipsLineFeed = buffer[scanned + length] == (byte)'\r';
                start = scanned = scanned + length + 1;
                return line;
            }
            scanned = end;
            MakeRoom();
            var read = await stream.ReadAsync(buffer.AsMemory(end), cancel).ConfigureAwait(false);
            if (read == 0)
            {
                var rest = buffer.AsMemory(start, end - start);
                start = scanned = end;
                return rest.Length > 0 ? rest : (ReadOnlyMemory<byte>?)null;
            }
            arrived?.Invoke();
            end += read;
        }
    }

    /// <summary>The next line that is not empty.</summary>
    public async ValueTask<ReadOnlyMemory<byte>?> NextFilled(CancellationToken cancel)
    {
        while (await Next(cancel).ConfigureAwait(false) is { } line)
        {
            if (line.Span.IndexOfAnyExcept((byte)' ', (byte)'\t') >= 0) return line;
        }
        return null;
    }

    void MakeRoom()
    {
        if (end < buffer.Length) return;
        if (start > 0)
        {
            buffer.AsSpan(start, end - start).CopyTo(buffer);
            scanned -= start;
            end -= start;
            start = 0;
            return;
        }
        if (buffer.Length >= MaxLength) throw new InvalidDataException($"a line is longer than {MaxLength / 1024 / 1024} MB");
        Array.Resize(ref buffer, buffer.Length * 2);
    }
}
