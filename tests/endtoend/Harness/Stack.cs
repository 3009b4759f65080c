using System.Text;
using System.Text.Json;

namespace Stigmer.EndToEnd.Harness;

/// <summary>
/// A home of its own, a configuration with free ports, a clean environment, and the real executable driven as a person
/// drives it. At the end the stack is stopped, and no process of it may be left.
/// </summary>
sealed class Stack : IAsyncDisposable
{
    readonly string top;

    Stack(string top)
    {
        this.top = top;
        Home = Path.Combine(top, "home");
        Workspace = Path.Combine(top, "work");
        Directory.CreateDirectory(Home);
        Directory.CreateDirectory(Workspace);
        Environment = new Dictionary<string, string>
        {
            ["PATH"] = System.Environment.GetEnvironmentVariable("PATH") ?? "/usr/bin:/bin",
            ["HOME"] = top,
            ["STIGMER_HOME"] = Home,
            ["LANG"] = "C.UTF-8",
        };
    }

    public string Home { get; }

    /// <summary>Where commands are run.</summary>
    public string Workspace { get; }

    /// <summary>All that commands find in their environment.</summary>
    public Dictionary<string, string> Environment { get; }

    /// <summary>A home without a stack. Its engine is embedded and its ports are free ones, unless the file is written anew.</summary>
    public static Stack Create(Ollama? model = null)
    {
        // Short: a unix socket's path has 107 bytes at most.
        var stack = new Stack(Directory.CreateTempSubdirectory("stg-").FullName);
        stack.Configure($$"""
            backend:
              local:
                endpoint: localhost:0
                llm: { provider: {{(model is null ? "demo" : "ollama")}}{{(model is null ? "" : $", base_url: \"{model.Url}\"")}} }
                temporal: { embedded: true }
            """);
        return stack;
    }

    /// <summary>A stack that is ready.</summary>
    public static async Task<Stack> Start(Ollama? model = null)
    {
        var stack = Create(model);
        (await stack.Run("local")).Exits(0);
        return stack;
    }

    public void Configure(string yaml) => File.WriteAllText(Path.Combine(Home, "config.yaml"), yaml + "\n");

    /// <summary>Puts a file into the workspace.</summary>
    public void Write(string name, string text) => File.WriteAllText(Path.Combine(Workspace, name), text);

    /// <summary>Runs <c>stigmer ARGUMENTS</c> to its end, with nothing on its standard input.</summary>
    public async Task<Result> Run(params string[] arguments)
    {
        await using var running = Begin(arguments).Input("");
        return await running.End();
    }

    /// <summary>Starts <c>stigmer ARGUMENTS</c>.</summary>
    public Running Begin(params string[] arguments) => Running.Start(Running.Executable, arguments, Environment, Workspace, Logs);

    /// <summary>The document of <c>local status --json</c>.</summary>
    public async Task<JsonElement> Status() => (await Run("local", "status", "--json")).Json;

    /// <summary>The process id of a component, as the status says.</summary>
    public async Task<int> Pid(string component) =>
        (await Status()).GetProperty("components").EnumerateArray().Single(c => c.GetProperty("name").GetString() == component).GetProperty("pid").GetInt32();

    /// <summary>The processes that have this home in their environment, by their command lines.</summary>
    public IReadOnlyList<(int Pid, string Command)> Processes()
    {
        var found = new List<(int, string)>();
        foreach (var folder in Directory.GetDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder), out var pid)) continue;
            try
            {
                var environment = File.ReadAllText(Path.Combine(folder, "environ")).Split('\0');
                if (environment.Contains($"STIGMER_HOME={Home}")) found.Add((pid, File.ReadAllText(Path.Combine(folder, "cmdline")).Replace('\0', ' ')));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It has ended, or is somebody else's.
            }
        }
        return found;
    }

    /// <summary>All that was logged.</summary>
    public string Logs()
    {
        var text = new StringBuilder();
        var folder = Path.Combine(Home, "logs");
        foreach (var file in (Directory.Exists(folder) ? Directory.GetFiles(folder) : []).Order())
        {
            text.Append("--- ").Append(Path.GetFileName(file)).Append('\n').Append(string.Join('\n', File.ReadLines(file).TakeLast(40).Select(line => line.Length <= 400 ? line : line[..400] + "…"))).Append('\n');
        }
        return text.ToString();
    }

    public async ValueTask DisposeAsync()
    {
        var logs = Logs();
        TestContext.Current.TestOutputHelper?.WriteLine(logs);
        var stopped = await Run("local", "stop");
        var left = Processes();
        // Whatever is wrong, the machine is left as it was found.
        foreach (var (pid, _) in left) Running.Kill(pid, 9);
        Directory.Delete(top, recursive: true);
        stopped.Exits(0);
        Assert.True(left.Count == 0, $"still running: {string.Join(", ", left)}\n{logs}");
    }
}
