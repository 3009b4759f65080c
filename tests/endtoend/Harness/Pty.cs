using System.Diagnostics;
using System.Text;

namespace Stigmer.EndToEnd.Harness;

/// <summary>A shell's command line on a terminal of its own, at which a test types. script (of util-linux) makes the terminal.</summary>
sealed class Pty : IAsyncDisposable
{
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    readonly Process process;
    readonly StringBuilder text = new();
    readonly Task reading;
    readonly Stack stack;
    TaskCompletionSource more = new(TaskCreationOptions.RunContinuationsAsynchronously);

    Pty(Process process, Stack stack)
    {
        (this.process, this.stack) = (process, stack);
        reading = Read();
    }

    /// <summary>Where there is no such program the tests of terminals cannot run.</summary>
    public static bool IsThere { get; } = OperatingSystem.IsLinux() && File.Exists("/usr/bin/script");

    /// <summary>Begins a command line in which <c>stigmer</c> is the executable.</summary>
    public static Pty Start(Stack stack, string commandLine, string term = "xterm")
    {
        var start = new ProcessStartInfo("/usr/bin/script", ["-qefc", $"stigmer() {{ '{Running.Executable}' \"$@\"; }}; {commandLine}", "/dev/null"])
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = stack.Workspace,
            StandardOutputEncoding = new UTF8Encoding(false), StandardInputEncoding = new UTF8Encoding(false),
        };
        start.Environment.Clear();
        foreach (var (name, value) in stack.Environment) start.Environment[name] = value;
        (start.Environment["TERM"], start.Environment["SHELL"]) = (term, "/bin/sh");
        return new Pty(Process.Start(start)!, stack);
    }

    /// <summary>Everything that was written to the terminal so far.</summary>
    public string Text
    {
        get { lock (text) return text.ToString(); }
    }

    /// <summary>Types.</summary>
    public async Task Type(string keys)
    {
        await process.StandardInput.WriteAsync(keys);
        await process.StandardInput.FlushAsync();
    }

    /// <summary>Completes when the terminal has shown this, counted from the last time that this was asked.</summary>
    public async Task Shows(string sought)
    {
        using var limit = new CancellationTokenSource(Patience);
        while (true)
        {
            Task wait;
            lock (text)
            {
                var at = text.ToString().IndexOf(sought, seen, StringComparison.Ordinal);
                if (at >= 0)
                {
                    seen = at + sought.Length;
                    return;
                }
                wait = more.Task;
            }
            try
            {
                if (reading.IsCompleted) Assert.Fail($"the terminal never showed {sought}:\n{Text}\n{stack.Logs()}");
                await Task.WhenAny(wait, reading).WaitAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                Assert.Fail($"the terminal did not show {sought}:\n{Text}\n{stack.Logs()}");
            }
        }
    }

    int seen;

    /// <summary>Waits for the end of the command line; its exit code.</summary>
    public async Task<int> End()
    {
        using var limit = new CancellationTokenSource(Patience);
        try
        {
            await process.WaitForExitAsync(limit.Token);
            await reading.WaitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            Assert.Fail($"the command line did not end:\n{Text}\n{stack.Logs()}");
        }
        return process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited) process.Kill(entireProcessTree: true);
        await process.WaitForExitAsync();
        process.Dispose();
    }

    async Task Read()
    {
        var buffer = new char[4096];
        while (await process.StandardOutput.ReadAsync(buffer) is > 0 and var count)
        {
            lock (text)
            {
                text.Append(buffer, 0, count);
                more.TrySetResult();
                more = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }
        }
    }
}
