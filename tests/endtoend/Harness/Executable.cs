using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace Stigmer.EndToEnd.Harness;

/// <summary>What a command printed and how it ended.</summary>
sealed record Result(string Command, int ExitCode, string Out, string Error, Func<string> Logs)
{
    /// <summary>Fails, with all that was printed and logged, where the exit code is another one.</summary>
    public Result Exits(int code)
    {
        if (ExitCode != code) Assert.Fail($"`stigmer {Command}` ended with {ExitCode} instead of {code}\n--- stdout\n{Out}\n--- stderr\n{Error}\n{Logs()}");
        return this;
    }

    /// <summary>The lines of standard output.</summary>
    public string[] Lines => Out.TrimEnd('\n').Split('\n');

    /// <summary>The one document on standard output.</summary>
    public JsonElement Json => Parse(Out);

    /// <summary>The documents on standard output, one a line.</summary>
    public IReadOnlyList<JsonElement> Events => [.. Lines.Select(Parse)];

    JsonElement Parse(string text)
    {
        try
        {
            return JsonElement.Parse(text);
        }
        catch (JsonException e)
        {
            throw new Xunit.Sdk.XunitException($"`stigmer {Command}` printed no JSON ({e.Message}):\n{text}\n--- stderr\n{Error}\n{Logs()}");
        }
    }
}

/// <summary>A command that is running, with what it has printed so far.</summary>
sealed partial class Running : IAsyncDisposable
{
    /// <summary>No command of a test takes this long.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    readonly Process process;
    readonly string command;
    readonly Func<string> logs;
    readonly Gathered output;
    readonly Gathered error;

    Running(Process process, string command, Func<string> logs)
    {
        (this.process, this.command, this.logs) = (process, command, logs);
        output = new Gathered(process.StandardOutput);
        error = new Gathered(process.StandardError);
    }

    /// <summary>The native executable: STIGMER_EXE, else out/stigmer of this repository.</summary>
    public static string Executable { get; } = Environment.GetEnvironmentVariable("STIGMER_EXE") is { Length: > 0 } path ? Path.GetFullPath(path) : Path.Combine(Root(), "out", "stigmer");

    public int Pid => process.Id;

    /// <summary>Starts a program with nothing in its environment but what is given.</summary>
    public static Running Start(string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string> environment, string workingDirectory, Func<string>? logs = null)
    {
        var words = arguments.ToList();
        var start = new ProcessStartInfo(program, words)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardOutputEncoding = new UTF8Encoding(false),
            StandardErrorEncoding = new UTF8Encoding(false),
            StandardInputEncoding = new UTF8Encoding(false),
            WorkingDirectory = workingDirectory,
        };
        start.Environment.Clear();
        foreach (var (name, value) in environment) start.Environment[name] = value;
        return new Running(Process.Start(start)!, string.Join(' ', words), logs ?? (() => ""));
    }

    /// <summary>Gives it something to read and then the end of its standard input.</summary>
    public Running Input(string text)
    {
        process.StandardInput.Write(text);
        process.StandardInput.Close();
        return this;
    }

    /// <summary>Gives it something to read, and keeps its standard input open.</summary>
    public Running Write(string text)
    {
        process.StandardInput.Write(text);
        process.StandardInput.Flush();
        return this;
    }

    /// <summary>The first line of standard output that fits, as soon as it is there.</summary>
    public Task<string> Line(Func<string, bool> fits) => Line(output, fits);

    /// <summary>The first line of standard error that fits, as soon as it is there.</summary>
    public Task<string> ErrorLine(Func<string, bool> fits) => Line(error, fits);

    /// <summary>SIGINT is 2, SIGKILL 9, SIGTERM 15.</summary>
    public void Signal(int signal) => Kill(process.Id, signal);

    /// <summary>What standard output has given so far.</summary>
    public string Printed => output.Text;

    /// <summary>Waits for its end.</summary>
    public async Task<Result> End()
    {
        using var limit = new CancellationTokenSource(Patience);
        try
        {
            await process.WaitForExitAsync(limit.Token);
            // A detached process must not hold these: the end of the streams is waited for as well.
            await Task.WhenAll(output.End, error.End).WaitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            Assert.Fail($"`stigmer {command}` did not end\n--- stdout\n{output.Text}\n--- stderr\n{error.Text}\n{logs()}");
        }
        return new Result(command, process.ExitCode, output.Text, error.Text, logs);
    }

    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited) process.Kill();
        await process.WaitForExitAsync();
        process.Dispose();
    }

    /// <summary>Sends a signal to a process that is known to be of this test.</summary>
    public static void Kill(int pid, int signal) => Assert.Equal(0, Send(pid, signal));

    async Task<string> Line(Gathered stream, Func<string, bool> fits)
    {
        using var limit = new CancellationTokenSource(Patience);
        try
        {
            return await stream.Line(fits, limit.Token);
        }
        catch (OperationCanceledException)
        {
            throw new Xunit.Sdk.XunitException($"`stigmer {command}` did not print the line\n--- stdout\n{output.Text}\n--- stderr\n{error.Text}\n{logs()}");
        }
    }

    static string Root()
    {
        for (var folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (File.Exists(Path.Combine(folder, "Stigmer.csproj"))) return folder;
        }
        throw new DirectoryNotFoundException("the tests do not stand in the repository");
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Send(int pid, int signal);

    /// <summary>What a stream has given so far.</summary>
    sealed class Gathered
    {
        readonly StringBuilder text = new();
        readonly List<(Func<string, bool> Fits, TaskCompletionSource<string> Found)> waiting = [];
        readonly List<string> lines = [];

        public Gathered(StreamReader reader) => End = Read(reader);

        public Task End { get; }

        public string Text
        {
            get { lock (text) return text.ToString(); }
        }

        public Task<string> Line(Func<string, bool> fits, CancellationToken cancel)
        {
            lock (text)
            {
                if (lines.FirstOrDefault(fits) is { } already) return Task.FromResult(already);
                var found = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
                if (End is { IsCompleted: true }) found.SetException(new EndOfStreamException($"no such line; all of it:\n{text}"));
                else waiting.Add((fits, found));
                return found.Task.WaitAsync(cancel);
            }
        }

        async Task Read(StreamReader reader)
        {
            while (await reader.ReadLineAsync().ConfigureAwait(false) is { } line)
            {
                lock (text)
                {
                    text.Append(line).Append('\n');
                    lines.Add(line);
                    foreach (var (fits, found) in waiting.ToList()) if (fits(line)) found.TrySetResult(line);
                }
            }
            lock (text)
            {
                foreach (var (_, found) in waiting) found.TrySetException(new EndOfStreamException($"no such line; all of it:\n{text}"));
            }
        }
    }
}
