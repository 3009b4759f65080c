using System.IO.Pipelines;
using System.Text;
using Stigmer.Processes;

namespace Stigmer.Agents.Tools.Mcp;

/// <summary>The process of a server over stdio: its streams as a client wants them, its standard error in our log, its end.</summary>
sealed class McpProcess : IAsyncDisposable
{
    /// <summary>What of its standard error goes into our log, in characters; the rest is let go.</summary>
    const int MostLogged = 256 * 1024;

    /// <summary>Of one line.</summary>
    const int MostOfLine = 2_000;

    /// <summary>How many of its last lines are told where it ended.</summary>
    const int LastLines = 8;

    /// <summary>How long it may take to end by itself once its input has, or its output.</summary>
    static readonly TimeSpan Leave = TimeSpan.FromMilliseconds(500);

    readonly string name;
    readonly GuardedProcess process;
    readonly Func<string, string> hide;
    readonly Log log;
    readonly TimeProvider time;
    readonly Pipe output = new();
    readonly TaskCompletionSource said = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly Queue<string> lines = new();

    /// <param name="name">The server's, for the log.</param>
    /// <param name="process">Started with pipes for all three.</param>
    /// <param name="hide">Takes secrets out of what it writes.</param>
    public McpProcess(string name, GuardedProcess process, Func<string, string> hide, Log log, TimeProvider time)
    {
        (this.name, this.process, this.hide, this.log, this.time) = (name, process, hide, log, time);
        FromServer = output.Reader.AsStream();
        Begin(Pump, "output");
        Begin(ReadErrors, "errors");
    }

    /// <summary>What it reads.</summary>
    public Stream ToServer => process.Input;

    /// <summary>What it writes; waiting for it blocks no thread of the pool.</summary>
    public Stream FromServer { get; }

    /// <summary>How it ended, and what it said last; it has ended, or is about to.</summary>
    public async Task<string> LastWords()
    {
        await Task.WhenAny(process.Exited, Task.Delay(Leave, time, CancellationToken.None));
        // One that has closed its output and lives is of no use.
        var status = process.Exited.IsCompleted ? await process.Exited : await process.End(time);
        await Task.WhenAny(said.Task, Task.Delay(Leave, time, CancellationToken.None));
        string last;
        lock (lines) last = string.Join('\n', lines);
        return $"it ended with {status}{(last.Length > 0 ? $" and said last:\n{last}" : "")}";
    }

    /// <summary>Ends it as the protocol asks: its input first; what stays is asked, and then killed.</summary>
    public async ValueTask DisposeAsync()
    {
        // Closing may wait for a write that blocks, which the process's end unblocks.
        _ = Task.Run(CloseInput, CancellationToken.None);
        await Task.WhenAny(process.Exited, Task.Delay(Leave, time, CancellationToken.None));
        await process.End(time);
    }

    void CloseInput()
    {
        try
        {
            process.Input.Dispose();
        }
        catch (IOException)
        {
            // It has ended already.
        }
    }

    void Pump()
    {
        var block = new byte[32 * 1024];
        try
        {
            using var from = process.Output;
            for (int read; (read = from.Read(block)) > 0;)
            {
                var taken = output.Writer.WriteAsync(block.AsMemory(0, read));
                if (!taken.IsCompleted)
                {
                    // More than is read: the server waits, as on any pipe.
                    using var room = new ManualResetEventSlim();
                    taken.GetAwaiter().UnsafeOnCompleted(room.Set);
                    room.Wait();
                }
                if (taken.GetAwaiter().GetResult().IsCompleted) break;
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // As good as its end.
        }
        output.Writer.Complete();
    }

    void ReadErrors()
    {
        var logged = 0;
        try
        {
            using var reader = new StreamReader(process.Error, Encoding.UTF8);
            for (string? line; (line = ReadLine(reader)) is not null;)
            {
                if (string.IsNullOrWhiteSpace(line)) continue;
                line = hide(line);
                lock (lines)
                {
                    lines.Enqueue(line);
                    if (lines.Count > LastLines) lines.Dequeue();
                }
                if (logged > MostLogged) continue;
                logged += line.Length;
                log.Info(line, ("server", name));
                if (logged > MostLogged) log.Warn("what an MCP server writes is not logged any more: it is too much", ("server", name));
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // As good as its end.
        }
        said.TrySetResult();
    }

    /// <summary>A line; of one that is too long the rest is let go.</summary>
    static string? ReadLine(StreamReader reader)
    {
        var line = new StringBuilder();
        int next;
        while ((next = reader.Read()) >= 0 && next != '\n')
        {
            if (line.Length < MostOfLine) line.Append((char)next);
        }
        return next < 0 && line.Length == 0 ? null : line.ToString().TrimEnd('\r');
    }

    /// <summary>Reading a pipe blocks: each on a thread of its own.</summary>
    void Begin(Action work, string what) => new Thread(() => work(), 256 * 1024) { IsBackground = true, Name = $"{name} {what}" }.Start();
}
