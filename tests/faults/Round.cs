using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Stigmer.EndToEnd.Harness;
using Stigmer.Standins;

namespace Stigmer.Faults;

/// <summary>What a process of a stack is.</summary>
enum Part { Daemon, Server, Runner, Temporal, Command }

/// <summary>
/// One round: a home of its own, a model that answers slowly enough to be caught in the middle, the real executable, and a
/// record of all that was done. Its random numbers come from its seed alone.
/// </summary>
sealed partial class Round : IAsyncDisposable
{
    readonly StringWriter journal = new();
    readonly TextWriter journalWriter;
    readonly StringBuilder deeds = new();
    readonly Stopwatch clock = Stopwatch.StartNew();
    readonly OllamaStandin model;
    readonly string? mounted;

    Round(int seed, bool managed, string top, string? mounted, OllamaStandin model, StringWriter journal, TextWriter journalWriter)
    {
        (Random, Managed, Top, this.mounted, this.model, this.journal, this.journalWriter) = (new Random(seed), managed, top, mounted, model, journal, journalWriter);
        Home = Path.Combine(top, "home");
        Workspace = Path.Combine(top, "work");
        Directory.CreateDirectory(Home);
        Directory.CreateDirectory(Workspace);
        File.WriteAllText(Path.Combine(Workspace, "here.txt"), "here\n");
        Environment = new Dictionary<string, string>
        {
            ["PATH"] = System.Environment.GetEnvironmentVariable("PATH") ?? "/usr/bin:/bin",
            ["HOME"] = top,
            ["STIGMER_HOME"] = Home,
            ["LANG"] = "C.UTF-8",
        };
        if (managed)
        {
            var binary = Path.Combine(top, "temporal");
            File.WriteAllText(binary, TemporalArchives.Script("1.8.2"));
            File.SetUnixFileMode(binary, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            Environment["STIGMER_TEMPORAL_BIN"] = binary;
        }
        Configure(0, 0);
    }

    public Random Random { get; }

    /// <summary>Temporal is a process of its own, the stand-in; else the engine is embedded.</summary>
    public bool Managed { get; }

    /// <summary>The folder of everything.</summary>
    public string Top { get; }

    public string Home { get; }

    public string Workspace { get; }

    public Dictionary<string, string> Environment { get; }

    /// <summary>What happened how often, for the line of the class.</summary>
    public Dictionary<string, int> Counts { get; } = [];

    /// <summary>How often a runner may have been in the middle of a call when it ended: so often may a run have paid for one twice.</summary>
    public int RunnerEnds { get; set; }

    /// <summary>All that was done, with the milliseconds since the round began.</summary>
    public string Deeds
    {
        get
        {
            lock (deeds) return deeds.ToString();
        }
    }

    /// <summary>All requests that the model saw.</summary>
    public string Journal
    {
        get
        {
            journalWriter.Flush();
            lock (journal) return journal.ToString();
        }
    }

    /// <param name="seed">Of its random numbers.</param>
    /// <param name="managed">See <see cref="Managed"/>.</param>
    /// <param name="tmpfsMegabytes">Its folder is a file system of this size; 0: an ordinary folder.</param>
    /// <exception cref="Skipped">There may be no such file system here.</exception>
    public static async Task<Round> Begin(int seed, bool managed, int tmpfsMegabytes = 0)
    {
        // Short: a unix socket's path has 107 bytes at most.
        var top = Directory.CreateTempSubdirectory("stf-").FullName;
        if (tmpfsMegabytes > 0 && Mount("tmpfs", top, "tmpfs", 0, $"size={tmpfsMegabytes}m,mode=0700") != 0)
        {
            var why = Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError());
            Directory.Delete(top);
            throw new Skipped($"a small tmpfs cannot be mounted: {why}");
        }
        var journal = new StringWriter();
        var synchronized = TextWriter.Synchronized(journal);
        var model = await OllamaStandin.Start(Flight.Script(), synchronized);
        return new Round(seed, managed, top, tmpfsMegabytes > 0 ? top : null, model, journal, synchronized);
    }

    /// <summary>Writes config.yaml.</summary>
    /// <param name="port">The server's; 0: a free one.</param>
    /// <param name="temporalPort">Temporal's; 0: a free one.</param>
    public void Configure(int port, int temporalPort) => File.WriteAllText(Path.Combine(Home, "config.yaml"), $$"""
        backend:
          local:
            endpoint: localhost:{{port}}
            llm: { provider: ollama, base_url: "{{model.Url}}" }
            temporal: { {{(Managed ? $"managed: true, port: {temporalPort}" : "embedded: true")}} }

        """);

    /// <summary>Notes what is done.</summary>
    public void Note(string what)
    {
        lock (deeds) deeds.Append(CultureInfo.InvariantCulture, $"{clock.ElapsedMilliseconds,6} ms  {what}\n");
    }

    /// <summary>Counts what is done.</summary>
    public void Count(string what, int times = 1)
    {
        lock (Counts) Counts[what] = Counts.GetValueOrDefault(what) + times;
    }

    /// <summary>Runs <c>stigmer ARGUMENTS</c> to its end, with nothing on its standard input.</summary>
    public async Task<Result> Run(params string[] arguments)
    {
        await using var running = Begin(arguments);
        var result = await running.End();
        Note($"`stigmer {string.Join(' ', arguments)}` ended with {result.ExitCode}");
        return result;
    }

    /// <summary>Starts <c>stigmer ARGUMENTS</c>.</summary>
    public Running Begin(params string[] arguments)
    {
        Note($"`stigmer {string.Join(' ', arguments)}`");
        return Running.Start(Running.Executable, arguments, Environment, Workspace).Input("");
    }

    /// <summary>A pause of random length.</summary>
    public Task Pause(int milliseconds) => Task.Delay(Random.Next(milliseconds));

    /// <summary>The document of <c>local status</c>, whatever it says.</summary>
    public async Task<JsonElement> Status() => (await Run("local", "status", "--json")).Json;

    /// <summary>The processes of this home.</summary>
    public IReadOnlyList<(int Pid, Part Part, string Command)> Processes()
    {
        var found = new List<(int, Part, string)>();
        foreach (var folder in Directory.GetDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder), out var pid)) continue;
            try
            {
                if (!File.ReadAllText(Path.Combine(folder, "environ")).Split('\0').Contains($"STIGMER_HOME={Home}")) continue;
                var command = File.ReadAllText(Path.Combine(folder, "cmdline")).Replace('\0', ' ');
                found.Add((pid, PartOf(command), command));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It has ended, or is somebody else's.
            }
        }
        return found;
    }

    /// <summary>Sends a signal to a process of this home; false where it has ended.</summary>
    public bool Signal(int pid, int signal, string what)
    {
        var sent = Kill(pid, signal) == 0;
        Note($"signal {signal} to {what} {pid}{(sent ? "" : ": it has ended")}");
        return sent;
    }

    /// <summary>Asks again and again, a few times a second: of processes that are not ours there is no event.</summary>
    public static async Task<bool> Eventually(Func<Task<bool>> condition, TimeSpan patience)
    {
        var since = Stopwatch.StartNew();
        while (!await condition())
        {
            if (since.Elapsed > patience) return false;
            await Task.Delay(25);
        }
        return true;
    }

    /// <inheritdoc cref="Eventually(Func{Task{bool}}, TimeSpan)"/>
    public static Task<bool> Eventually(Func<bool> condition, TimeSpan patience) => Eventually(() => Task.FromResult(condition()), patience);

    /// <summary>Ends what is left of the home, which is kept where <paramref name="keep"/>, with the record beside it.</summary>
    public async Task End(bool keep)
    {
        foreach (var (pid, _, _) in Processes()) _ = Kill(pid, 9);
        await Eventually(() => Processes().Count == 0, TimeSpan.FromSeconds(5));
        // The memory of a disk that was filled is given back: what there is to see is copied out of it.
        if (keep && mounted is not null) CopyTo(Kept);
        if (mounted is not null) _ = Unmount(mounted, 2);
        if (!keep || mounted is not null) Directory.Delete(Top, recursive: true);
        if (!keep) return;
        await File.WriteAllTextAsync(Path.Combine(Kept, "deeds.txt"), Deeds);
        await File.WriteAllTextAsync(Path.Combine(Kept, "model.jsonl"), Journal);
    }

    /// <summary>Where the home is after <see cref="End"/>.</summary>
    public string Kept => mounted is null ? Top : Top + ".kept";

    public async ValueTask DisposeAsync() => await model.DisposeAsync();

    void CopyTo(string folder)
    {
        foreach (var file in Directory.GetFiles(Top, "*", SearchOption.AllDirectories))
        {
            // What filled the disk is of no interest.
            if (new FileInfo(file).Length > 10_000_000) continue;
            var copy = Path.Combine(folder, Path.GetRelativePath(Top, file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            try
            {
                File.Copy(file, copy);
            }
            catch (IOException)
            {
                // A socket.
            }
        }
    }

    static Part PartOf(string command) =>
        command.Contains(" internal daemon", StringComparison.Ordinal) ? Part.Daemon
        : command.Contains(" server --listen ", StringComparison.Ordinal) ? Part.Server
        : command.Contains(" agent-runner", StringComparison.Ordinal) ? Part.Runner
        : command.Contains(" start-dev ", StringComparison.Ordinal) ? Part.Temporal
        : Part.Command;

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int pid, int signal);

    [LibraryImport("libc", EntryPoint = "mount", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Mount(string source, string target, string type, nuint flags, string data);

    [LibraryImport("libc", EntryPoint = "umount2", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Unmount(string target, int flags);
}

/// <summary>This machine does not allow what a class of faults needs.</summary>
sealed class Skipped(string why) : Exception(why);
