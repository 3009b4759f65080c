using System.Text.Json;
using Stigmer.Standins;

namespace Stigmer.EndToEnd.Harness;

/// <summary>A server with the protocol of Anthropic or OpenAI, as a process of its own.</summary>
sealed class Provider : IAsyncDisposable
{
    public const string Key = "sk-test-0123456789abcdef";

    readonly Running process;
    readonly string folder;

    Provider(Running process, string folder, string url) => (this.process, this.folder, Url) = (process, folder, url);

    public string Url { get; }

    /// <summary>The calls of models so far, each with its body.</summary>
    public IReadOnlyList<OllamaJournalLine> Calls => [.. Journal().Where(line => line.Body is not null)];

    /// <summary>What the server refused as no valid request.</summary>
    public IReadOnlyList<string> Invalid => [.. Journal().Select(line => line.Ended).OfType<string>().Where(end => end.StartsWith("invalid", StringComparison.Ordinal))];

    public static async Task<Provider> Start(string kind, HostedScript script)
    {
        var folder = Directory.CreateTempSubdirectory("stg-provider-").FullName;
        await File.WriteAllTextAsync(Path.Combine(folder, "script.json"), script.ToJson());
        var process = Standin.Start(kind, Path.Combine(folder, "script.json"), Path.Combine(folder, "journal"));
        var url = await process.Line(line => line.StartsWith("URL=", StringComparison.Ordinal));
        return new Provider(process, folder, url[4..]);
    }

    public async ValueTask DisposeAsync()
    {
        await process.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }

    List<OllamaJournalLine> Journal()
    {
        using var reader = new StreamReader(new FileStream(Path.Combine(folder, "journal"), FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        return [.. reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonSerializer.Deserialize(line, OllamaScriptJson.Default.OllamaJournalLine)!)];
    }
}
