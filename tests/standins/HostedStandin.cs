using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Stigmer.Standins;

/// <summary>A request that the real API would refuse.</summary>
sealed class Refused(int status, string type, string message, string? param = null) : Exception(message)
{
    public int Status => status;

    public string Type => type;

    public string? Param => param;
}

/// <summary>
/// What the stand-ins for Anthropic and OpenAI have in common: they answer by a script, refuse what the real APIs refuse, and
/// write down every request. Beside them /control, as with the stand-in for Ollama.
/// </summary>
abstract class HostedStandin(HostedScript script, TextWriter journal) : IAsyncDisposable
{
    readonly Lock gate = new();
    readonly int[] given = new int[script.Answers.Count];
    readonly ConcurrentDictionary<string, TaskCompletionSource> releases = new();
    readonly ConcurrentDictionary<string, TaskCompletionSource> holds = new();
    WebApplication? app;
    int requests;

    public string Url => app!.Urls.Single();

    protected HostedScript Script => script;

    /// <summary><c>anthropic|openai SCRIPT JOURNAL [PORT]</c>: prints URL=…; ends with its standard input.</summary>
    public static async Task<int> Run(string kind, IReadOnlyList<string> arguments)
    {
        var script = HostedScript.Parse(await File.ReadAllTextAsync(arguments[0]));
        await using var journal = new StreamWriter(new FileStream(arguments[1], FileMode.Append, FileAccess.Write, FileShare.ReadWrite)) { AutoFlush = true };
        await using var standin = await Start(kind, script, journal, arguments.Count > 2 ? int.Parse(arguments[2]) : 0);
        Console.WriteLine($"URL={standin.Url}");
        while (await Console.In.ReadLineAsync() is not null)
        {
        }
        return 0;
    }

    public static async Task<HostedStandin> Start(string kind, HostedScript script, TextWriter journal, int port = 0)
    {
        HostedStandin standin = kind == "anthropic" ? new AnthropicStandin(script, journal) : new OpenAiStandin(script, journal);
        standin.app = await Loopback.Http(app => app.Run(standin.Answer), port);
        return standin;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var hold in releases.Values) hold.TrySetResult();
        await app!.DisposeAsync();
    }

    /// <summary>Whether the request may come in at all.</summary>
    protected abstract bool IsLetIn(HttpContext context, string? key);

    /// <summary>The step that a conversation is at, and the message of the user that it answers.</summary>
    protected abstract (int Step, string? Prompt) Place(JsonElement body);

    /// <summary>Answers a request; how it ended.</summary>
    protected abstract Task<string> Answer(HttpContext context, string path, JsonElement? body);

    /// <summary>An error in the API's own form.</summary>
    protected abstract JsonObject Error(string type, string message, string? param);

    protected HostedModel Model(JsonElement body)
    {
        var name = body.GetProperty("model").GetString()!;
        return script.Models.FirstOrDefault(model => model.Name == name) ?? throw UnknownModel(name);
    }

    protected abstract Refused UnknownModel(string name);

    /// <summary>The script's answer, once it is not one that refuses.</summary>
    protected async Task<HostedAnswer> Next(HttpContext context, JsonElement body)
    {
        var (step, prompt) = Place(body);
        var answer = Find(step, prompt) ?? throw new Refused(500, "api_error", $"the script has no answer to step {step} of {prompt}");
        if (answer.RetryAfter is { } after) context.Response.Headers.RetryAfter = after;
        if (answer.Html is { } html)
        {
            context.Response.StatusCode = answer.Status;
            context.Response.ContentType = "text/html";
            await context.Response.WriteAsync(html, context.RequestAborted);
            throw new OperationCanceledException();
        }
        if (answer.Status != 200) throw new Refused(answer.Status, answer.ErrorType ?? "api_error", answer.Error ?? "scripted");
        context.Response.ContentType = "text/event-stream; charset=utf-8";
        return answer;
    }

    /// <summary>What happens after the text; null: all goes well.</summary>
    protected async Task<string?> Trouble(HttpContext context, HostedAnswer answer)
    {
        if (answer.Hold is { } name)
        {
            await context.Response.Body.FlushAsync(context.RequestAborted);
            Of(holds, name).TrySetResult();
            await Of(releases, name).Task.WaitAsync(context.RequestAborted);
        }
        if (answer.Break)
        {
            context.Abort();
            return "broken";
        }
        if (answer.WithoutEnd) return "broken";
        if (answer.Malformed)
        {
            await context.Response.WriteAsync("event: content_block_delta\ndata: {\"type\":\"content_blo\n\n", context.RequestAborted);
            return "broken";
        }
        return null;
    }

    /// <summary>Pieces of a few characters, as a model's tokens are.</summary>
    protected static IEnumerable<string> Pieces(string text) => Enumerable.Range(0, (text.Length + 4) / 5).Select(i => text.Substring(i * 5, Math.Min(5, text.Length - (i * 5))));

    /// <summary>A mark that only this model could have made of the text.</summary>
    protected static string Sign(string model, string text) => Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes($"{model}\n{text}")));

    protected static string Id(string prefix) => prefix + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(12));

    protected static async Task<string> Json(HttpContext context, JsonNode body)
    {
        context.Response.ContentType = "application/json";
        await context.Response.WriteAsync(body.ToJsonString(), context.RequestAborted);
        return "answered";
    }

    async Task Answer(HttpContext context)
    {
        var path = context.Request.Path.Value!;
        if (path.StartsWith("/control/release/", StringComparison.Ordinal))
        {
            Of(releases, path["/control/release/".Length..]).TrySetResult();
            return;
        }
        if (path.StartsWith("/control/held/", StringComparison.Ordinal))
        {
            await Of(holds, path["/control/held/".Length..]).Task.WaitAsync(context.RequestAborted);
            return;
        }
        using var reader = new StreamReader(context.Request.Body);
        var text = await reader.ReadToEndAsync();
        var body = text.Length > 0 ? JsonElement.Parse(text) : (JsonElement?)null;
        var (step, prompt) = body is { } asked ? Place(asked) : (0, null);
        var n = Interlocked.Increment(ref requests);
        Write(new OllamaJournalLine(n, path, step, prompt, body, null));
        string ended;
        context.Response.Headers["request-id"] = $"req_{n}";
        try
        {
            if (!IsLetIn(context, script.Key)) throw new Refused(401, "authentication_error", $"invalid key: {script.Key}x");
            ended = await Answer(context, path, body);
        }
        catch (Refused refused)
        {
            context.Response.StatusCode = refused.Status;
            await Json(context, Error(refused.Type, refused.Message, refused.Param));
            ended = refused.Status == 400 ? $"invalid: {refused.Message}" : "refused";
        }
        catch (OperationCanceledException)
        {
            ended = "aborted";
        }
        Write(new OllamaJournalLine(n, null, 0, null, null, ended));
    }

    HostedAnswer? Find(int step, string? prompt)
    {
        lock (gate)
        {
            foreach (var (index, answer) in script.Answers.Index())
            {
                if (answer.Step != 0 && answer.Step != step) continue;
                if (answer.To is { } to && prompt?.Contains(to, StringComparison.Ordinal) != true) continue;
                if (answer.Times != 0 && given[index] >= answer.Times) continue;
                given[index]++;
                return answer;
            }
            return null;
        }
    }

    void Write(OllamaJournalLine line)
    {
        lock (gate) journal.WriteLine(JsonSerializer.Serialize(line, OllamaScriptJson.Default.OllamaJournalLine));
    }

    static TaskCompletionSource Of(ConcurrentDictionary<string, TaskCompletionSource> all, string name) =>
        all.GetOrAdd(name, _ => new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
}
