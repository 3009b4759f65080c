using System.Text.Json;
using Stigmer.Standins;

namespace Stigmer.EndToEnd.Harness;

/// <summary>A server with Ollama's protocol, as a process of its own.</summary>
sealed class Ollama : IAsyncDisposable
{
    static readonly HttpClient Control = new();

    readonly Running process;
    readonly string folder;

    Ollama(Running process, string folder, string url) => (this.process, this.folder, Url) = (process, folder, url);

    public string Url { get; }

    /// <summary>The chat calls so far: the step and the prompt of each.</summary>
    public IReadOnlyList<(int Step, string? Prompt)> Calls => [.. Journal().Where(line => line.Path == "/api/chat").Select(line => (line.Step, line.Prompt))];

    public static Task<Ollama> Start(params OllamaAnswer[] answers) => Start(new OllamaScript { Answers = answers });

    public static async Task<Ollama> Start(OllamaScript script)
    {
        var folder = Directory.CreateTempSubdirectory("stg-ollama-").FullName;
        await File.WriteAllTextAsync(Path.Combine(folder, "script.json"), script.ToJson());
        var process = Standin.Start("ollama", Path.Combine(folder, "script.json"), Path.Combine(folder, "journal"));
        var url = await process.Line(line => line.StartsWith("URL=", StringComparison.Ordinal));
        return new Ollama(process, folder, url[4..]);
    }

    /// <summary>Answers that list the workspace in every step but the last.</summary>
    public static OllamaAnswer[] ToolsThenAnswer(int steps, string answer = "That is all.") =>
    [
        .. Enumerable.Range(1, steps - 1).Select(step => new OllamaAnswer { Step = step, Text = $"Step {step}. ", Calls = [OllamaToolCall.Of("workspace_list")] }),
        new OllamaAnswer { Step = steps, Text = answer },
    ];

    /// <summary>Completes when an answer is being held.</summary>
    public async Task Held(string name) => (await Control.GetAsync($"{Url}/control/held/{name}")).EnsureSuccessStatusCode();

    /// <summary>Completes when so many chat calls have come.</summary>
    public async Task Called(int times)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (Calls.Count < times) await Task.Delay(50, limit.Token);
    }

    /// <summary>Lets it go on.</summary>
    public async Task Release(string name) => (await Control.PostAsync($"{Url}/control/release/{name}", null)).EnsureSuccessStatusCode();

    public IReadOnlyList<OllamaJournalLine> Journal()
    {
        using var reader = new StreamReader(new FileStream(Path.Combine(folder, "journal"), FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        return [.. reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonSerializer.Deserialize(line, OllamaScriptJson.Default.OllamaJournalLine)!)];
    }

    public async ValueTask DisposeAsync()
    {
        await process.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }
}

/// <summary>The program of the stand-ins, as a process.</summary>
static class Standin
{
    public static Running Start(params string[] arguments) => Running.Start(
        Path.Combine(AppContext.BaseDirectory, "Stigmer.Standins"),
        arguments,
        new Dictionary<string, string>
        {
            ["PATH"] = Environment.GetEnvironmentVariable("PATH") ?? "/usr/bin:/bin",
            ["HOME"] = Path.GetTempPath(),
            ["DOTNET_ROOT"] = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(typeof(object).Assembly.Location)!, "..", "..", "..")),
        },
        Path.GetTempPath());
}
