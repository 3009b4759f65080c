namespace Stigmer.Agents.Llm;

/// <summary>Reads a stream line by line as bytes, so that no character is torn where a packet ends.</summary>
sealed class LineReader(Stream stream)
{
    /// <summary>The longest line taken, in bytes: far above any answer, far below what would hurt.</summary>
    const int MaxLength = 64 * 1024 * 1024;

    byte[] buffer = new byte[16 * 1024];
    int start;
    int end;
    int scanned;

    /// <summary>The next line without its end, valid until the next call; empty lines are passed over; null at the end of the stream.</summary>
    /// <exception cref="InvalidDataException">The line is longer than 64 MB.</exception>
    public async ValueTask<ReadOnlyMemory<byte>?> Next(CancellationToken cancel)
    {
        while (true)
        {
            var newline = buffer.AsSpan(scanned, end - scanned).IndexOf((byte)'\n');
            if (newline >= 0)
            {
                var line = Trimmed(start, scanned + newline);
                start = scanned = scanned + newline + 1;
                if (line.Length > 0) return line;
                continue;
            }
            scanned = end;
            MakeRoom();
            var read = await stream.ReadAsync(buffer.AsMemory(end), cancel).ConfigureAwait(false);
            if (read == 0)
            {
                var rest = Trimmed(start, end);
                start = scanned = end;
                return rest.Length > 0 ? rest : (ReadOnlyMemory<byte>?)null;
            }
            end += read;
        }
    }

    ReadOnlyMemory<byte> Trimmed(int from, int to)
    {
        while (to > from && buffer[to - 1] is (byte)'\r' or (byte)' ') to--;
        return buffer.AsMemory(from, to - from);
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
