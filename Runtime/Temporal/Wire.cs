namespace Stigmer.Runtime.Temporal;

/// <summary>
/// A connection that is looked at. HTTP's library reads as much as was announced and drops the connection with whatever else the
/// server sent; whether there was something else is known here alone. For connections that carry one answer (Connection: close).
/// </summary>
sealed class Wire(Stream inner) : Stream
{
    /// <summary>How long the end of the connection is waited for; servers close it with the last byte.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(100);

    /// <summary>The library takes no larger head.</summary>
    const int MaxHead = 64 * 1024;

    readonly List<byte> head = [];
    bool inBody;
    long body;

    /// <summary>The length of the body, as the answer announces it; null: it does not, or there is no answer yet.</summary>
    public long? Announced { get; set; }

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    /// <summary>After all that was announced has been read: whether more comes. Closes the connection.</summary>
    public async Task<bool> HasMore(TimeProvider time, CancellationToken cancel)
    {
        if (body > Announced) return true;
        using var limit = new CancellationTokenSource(Patience, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel, limit.Token);
        try
        {
            return await inner.ReadAsync(new byte[1], either.Token) > 0;
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException || (e is OperationCanceledException && !cancel.IsCancellationRequested))
        {
            // It ends otherwise than in order, or stays open: what was announced is there.
            return false;
        }
        finally
        {
            await inner.DisposeAsync();
        }
    }

    /// <summary>Nobody wants to know any more.</summary>
    public void Abandon() => inner.Dispose();

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override int Read(Span<byte> buffer) => Seen(buffer, inner.Read(buffer));

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var count = await inner.ReadAsync(buffer, cancellationToken);
        return Seen(buffer.Span, count);
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override void Write(byte[] buffer, int offset, int count) => inner.Write(buffer, offset, count);

    public override void Write(ReadOnlySpan<byte> buffer) => inner.Write(buffer);

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) => inner.WriteAsync(buffer, cancellationToken);

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override void Flush() => inner.Flush();

    public override Task FlushAsync(CancellationToken cancellationToken) => inner.FlushAsync(cancellationToken);

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    /// <summary>By the library. With all that was announced read, the connection stays for <see cref="HasMore"/>.</summary>
    protected override void Dispose(bool disposing)
    {
        if (disposing && !(body >= Announced)) inner.Dispose();
        base.Dispose(disposing);
    }

    int Seen(ReadOnlySpan<byte> buffer, int count)
    {
        if (inBody) body += count;
        else Head(buffer[..count]);
        return count;
    }

    /// <summary>Looks for the end of the answer's head; heads that come before the answer (1xx) are none.</summary>
    void Head(ReadOnlySpan<byte> read)
    {
        head.AddRange(read);
        var bytes = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(head);
        while (bytes.IndexOf("\r\n\r\n"u8) is >= 0 and var end)
        {
            var preliminary = bytes.StartsWith("HTTP/1.1 1"u8);
            bytes = bytes[(end + 4)..];
            if (preliminary) continue;
            (inBody, body) = (true, bytes.Length);
            head.Clear();
            return;
        }
        if (head.Count > MaxHead * 2) head.Clear();
    }
}
