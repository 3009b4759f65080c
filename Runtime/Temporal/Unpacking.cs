using System.IO.Pipelines;

namespace Stigmer.Runtime.Temporal;

/// <summary>
/// Unpacks an archive beside its transfer, on another thread: what arrives goes through a pipe, which holds the transfer up
/// where unpacking is slower.
/// </summary>
sealed class Unpacking : IAsyncDisposable
{
    /// <summary>So much may wait to be unpacked, in bytes.</summary>
    const int Most = 1 << 20;

    readonly Pipe pipe = new(new PipeOptions(pauseWriterThreshold: Most, resumeWriterThreshold: Most / 2, minimumSegmentSize: Download.PieceSize, useSynchronizationContext: false));
    readonly CancellationTokenSource given = new();
    readonly Task<string> work;
    bool ended;

    /// <param name="member">The file to take out of the archive.</param>
    /// <param name="target">Where to.</param>
    public Unpacking(string member, string target) => work = Task.Run(() => Work(member, target));

    /// <summary>The archive's next bytes. An archive that was refused is taken to its end all the same: its hash tells more.</summary>
    public async ValueTask Append(ReadOnlyMemory<byte> piece, CancellationToken cancel)
    {
        var reached = await pipe.Writer.WriteAsync(piece, cancel);
        // A disk that is full does not get better.
        if (reached.IsCompleted && work.IsFaulted && work.Exception.InnerException is not Failure) await work;
    }

    /// <summary>That was all of it: completes when the file is unpacked, with its SHA-256. Fails where the archive is refused.</summary>
    public async Task<string> End()
    {
        ended = true;
        await pipe.Writer.CompleteAsync();
        return await work;
    }

    /// <summary>Drops it, and what was unpacked unless it was complete.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!ended)
        {
            await given.CancelAsync();
            await pipe.Writer.CompleteAsync(new OperationCanceledException());
        }
        await work.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        given.Dispose();
    }

    async Task<string> Work(string member, string target)
    {
        try
        {
            return await TemporalArchive.Extract(pipe.Reader.AsStream(leaveOpen: true), member, target, given.Token);
        }
        finally
        {
            await pipe.Reader.CompleteAsync();
        }
    }
}
