using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Stigmer.Standins;

/// <summary>
/// A process that speaks Ollama's protocol by a script and writes down every request: /api/version, tags, show, ps, pull and
/// chat. Beside it /control: POST release/NAME lets a held answer go on; GET held/NAME answers when one is being held.
/// </summary>
sealed class OllamaStandin : IAsyncDisposable
{
    readonly OllamaScript script;
    readonly TextWriter journal;
    readonly Lock gate = new();
    readonly int[] given;
    readonly HashSet<string> pulled;
    readonly ConcurrentDictionary<string, TaskCompletionSource> releases = new();
    readonly ConcurrentDictionary<string, TaskCompletionSource> holds = new();
    WebApplication? app;
    int requests;
    int pulls;

    OllamaStandin(OllamaScript script, TextWriter journal)
    {
        (this.script, this.journal) = (script, journal);
        given = new int[script.Answers.Count];
        pulled = [.. script.Models.Select(model => model.Name)];
    }

    public string Url => app!.Urls.Single();

    /// <summary><c>ollama SCRIPT JOURNAL [PORT]</c>: prints URL=…; ends with its standard input.</summary>
    public static async Task<int> Run(IReadOnlyList<string> arguments)
    {
        var script = OllamaScript.Parse(await File.ReadAllTextAsync(arguments[0]));
        await using var journal = new StreamWriter(new FileStream(arguments[1], FileMode.Append, FileAccess.Write, FileShare.ReadWrite)) { AutoFlush = true };
        await using var standin = await Start(script, journal, arguments.Count > 2 ? int.Parse(arguments[2]) : 0);
        Console.WriteLine($"URL={standin.Url}");
        while (await Console.In.ReadLineAsync() is not null)
        {
        }
        return 0;
    }

    public static async Task<OllamaStandin> Start(OllamaScript script, TextWriter journal, int port = 0)
    {
        var standin = new OllamaStandin(script, journal);
        standin.app = await Loopback.Http(app => app.Run(standin.Answer), port);
        return standin;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var hold in releases.Values) hold.TrySetResult();
        await app!.DisposeAsync();
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
        var (step, prompt) = body is { } chat && chat.TryGetProperty("messages", out var messages) ? Place(messages) : (0, null);
        var n = Interlocked.Increment(ref requests);
        Write(new OllamaJournalLine(n, path, step, prompt, body, null));
        var ended = "answered";
        try
        {
            ended = (context.Request.Method, path) switch
            {
                ("GET" or "HEAD", "/") => await Json(context, "Ollama is running"),
                ("GET", "/api/version") => await Json(context, """{"version":"0.40.12"}"""),
                ("GET", "/api/tags") => await Json(context, Tags()),
                ("GET", "/api/ps") => await Json(context, """{"models":[]}"""),
                ("POST", "/api/show") => await Show(context, body!.Value.GetProperty("model").GetString()!),
                ("POST", "/api/pull") => await Pull(context, body!.Value.GetProperty("model").GetString()!),
                ("POST", "/api/chat") => await Chat(context, body!.Value, step, prompt),
                _ => await Refuse(context, 404, "404 page not found"),
            };
        }
        catch (OperationCanceledException)
        {
            ended = "aborted";
        }
        Write(new OllamaJournalLine(n, null, 0, null, null, ended));
    }

    async Task<string> Chat(HttpContext context, JsonElement body, int step, string? prompt)
    {
        var name = body.GetProperty("model").GetString()!;
        if (Model(name) is not { } model) return await Refuse(context, 404, Error($"model '{name}' not found"));
        var tools = body.TryGetProperty("tools", out var offered) && offered.GetArrayLength() > 0;
        if (tools && !model.Capabilities.Contains("tools")) return await Refuse(context, 400, Error($"registry.ollama.ai/library/{name} does not support tools"));
        var length = body.GetProperty("messages").GetRawText().Length / 4;
        var window = Math.Min(model.Context, body.TryGetProperty("options", out var options) && options.TryGetProperty("num_ctx", out var asked) ? asked.GetInt32() : 4096);
        if (length > window && body.TryGetProperty("truncate", out var truncate) && !truncate.GetBoolean())
        {
            return await Refuse(context, 400, Error("the prompt is longer than the context length currently available to the model"));
        }

        var answer = Next(step, prompt);
        if (answer is null) return await Refuse(context, 500, Error($"the script has no answer to step {step} of {prompt}"));
        if (answer.DelayMs > 0) await Task.Delay(answer.DelayMs, context.RequestAborted);
        if (!answer.HoldAfterText) await Hold(answer, context);
        if (answer.RetryAfter is { } after) context.Response.Headers.RetryAfter = after.ToString(System.Globalization.CultureInfo.InvariantCulture);
        if (answer.Status != 200) return await Refuse(context, answer.Status, Error(answer.Error ?? "scripted"));

        context.Response.ContentType = "application/x-ndjson";
        if (answer.Thinking is { } thinking) await Line(context, name, Message("", thinking));
        foreach (var piece in Pieces(answer.Text)) await Line(context, name, Message(piece));
        if (answer.HoldAfterText) await Hold(answer, context);
        if (answer.Break)
        {
            context.Abort();
            return "broken";
        }
        if (answer.WithoutDone) return "broken";
        if (answer.Error is { } error)
        {
            await context.Response.WriteAsync(Error(error) + "\n", context.RequestAborted);
            return "broken";
        }
        if (answer.CallsAs is { } form)
        {
            foreach (var piece in Pieces(AsText(answer, form))) await Line(context, name, Message(piece));
        }
        else
        {
            foreach (var call in answer.Calls) await Line(context, name, Message("", calls: [call]));
        }
        var last = Chunk(name, Message(""));
        last["done"] = true;
        last["done_reason"] = answer.DoneReason;
        last["total_duration"] = 1_000_000;
        last["load_duration"] = 0;
        last["prompt_eval_count"] = length;
        last["prompt_eval_duration"] = 0;
        last["eval_count"] = (answer.Text.Length / 4) + 1;
        last["eval_duration"] = 1_000_000;
        await context.Response.WriteAsync(last.ToJsonString() + "\n", context.RequestAborted);
        return "answered";
    }

    OllamaAnswer? Next(int step, string? prompt)
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

    async Task Hold(OllamaAnswer answer, HttpContext context)
    {
        if (answer.Hold is not { } name) return;
        Of(holds, name).TrySetResult();
        await Of(releases, name).Task.WaitAsync(context.RequestAborted);
    }

    async Task<string> Show(HttpContext context, string name)
    {
        if (Model(name) is not { } model) return await Refuse(context, 404, Error($"model '{name}' not found"));
        return await Json(context, new JsonObject
        {
            ["details"] = new JsonObject { ["family"] = "qwen2", ["parameter_size"] = "7.6B", ["quantization_level"] = "Q4_K_M" },
            ["model_info"] = new JsonObject { ["general.architecture"] = "qwen2", ["qwen2.context_length"] = model.Context },
            ["capabilities"] = new JsonArray([.. model.Capabilities.Select(capability => JsonValue.Create(capability))]),
        }.ToJsonString());
    }

    async Task<string> Pull(HttpContext context, string name)
    {
        context.Response.ContentType = "application/x-ndjson";
        async Task Line(string line)
        {
            await context.Response.WriteAsync(line + "\n", context.RequestAborted);
            await context.Response.Body.FlushAsync(context.RequestAborted);
        }
        await Line("""{"status":"pulling manifest"}""");
        if (script.Library?.Contains(name) == false)
        {
            await Line(Error("pull model manifest: file does not exist"));
            return "refused";
        }
        await Line("""{"status":"pulling 60e05f210007","digest":"sha256:60e05f210007","total":4683073184}""");
        if (Interlocked.Increment(ref pulls) <= script.PullBreaks)
        {
            await Line($$"""{"status":"pulling 60e05f210007","digest":"sha256:60e05f210007","total":4683073184,"completed":{{pulls}}000000000}""");
            context.Abort();
            return "broken";
        }
        lock (gate) pulled.Add(name);
        await Line("""{"status":"pulling 60e05f210007","digest":"sha256:60e05f210007","total":4683073184,"completed":4683073184}""");
        await Line("""{"status":"verifying sha256 digest"}""");
        await Line("""{"status":"writing manifest"}""");
        await Line("""{"status":"success"}""");
        return "answered";
    }

    OllamaModel? Model(string name)
    {
        bool has;
        lock (gate) has = pulled.Contains(name);
        return has ? script.Models.FirstOrDefault(model => model.Name == name) ?? new OllamaModel { Name = name } : null;
    }

    string Tags()
    {
        lock (gate)
        {
            return new JsonObject
            {
                ["models"] = new JsonArray([.. pulled.Select(name => new JsonObject { ["name"] = name, ["model"] = name, ["size"] = 4683087332 })]),
            }.ToJsonString();
        }
    }

    /// <summary>The step that a conversation is at, and the message of the user that it answers.</summary>
    static (int Step, string? Prompt) Place(JsonElement messages)
    {
        var (step, prompt) = (1, (string?)null);
        foreach (var message in messages.EnumerateArray())
        {
            switch (message.GetProperty("role").GetString())
            {
                case "user": (step, prompt) = (1, message.GetProperty("content").GetString()); break;
                case "assistant": step++; break;
            }
        }
        return (step, prompt);
    }

    static string AsText(OllamaAnswer answer, string form)
    {
        var calls = answer.Calls.Select(call => new JsonObject { ["name"] = call.Name, ["arguments"] = JsonNode.Parse(call.Arguments.GetRawText()) }.ToJsonString());
        return form switch
        {
            "bare" => string.Join('\n', calls),
            "fence" => $"```json\n{string.Join('\n', calls)}\n```",
            "tag" => string.Join('\n', calls.Select(call => $"<tool_call>\n{call}\n</tool_call>")),
            _ => throw new InvalidDataException($"callsAs is bare, fence or tag, not {form}"),
        };
    }

    /// <summary>Pieces of a few characters, as a model's tokens are.</summary>
    static IEnumerable<string> Pieces(string text)
    {
        var piece = new StringBuilder();
        foreach (var rune in text.EnumerateRunes())
        {
            piece.Append(rune);
            if (piece.Length < 5) continue;
            yield return piece.ToString();
            piece.Clear();
        }
        if (piece.Length > 0) yield return piece.ToString();
    }

    static JsonObject Message(string content, string? thinking = null, IReadOnlyList<OllamaToolCall>? calls = null)
    {
        var message = new JsonObject { ["role"] = "assistant", ["content"] = content };
        if (thinking is not null) message["thinking"] = thinking;
        if (calls is not null)
        {
            message["tool_calls"] = new JsonArray([.. calls.Select(call => new JsonObject
            {
                ["function"] = new JsonObject { ["name"] = call.Name, ["arguments"] = JsonNode.Parse(call.Arguments.GetRawText()) },
            })]);
        }
        return message;
    }

    static JsonObject Chunk(string model, JsonObject message) =>
        new() { ["model"] = model, ["created_at"] = "2026-11-24T10:00:00.000000Z", ["message"] = message, ["done"] = false };

    static async Task Line(HttpContext context, string model, JsonObject message)
    {
        await context.Response.WriteAsync(Chunk(model, message).ToJsonString() + "\n", context.RequestAborted);
        await context.Response.Body.FlushAsync(context.RequestAborted);
    }

    static async Task<string> Json(HttpContext context, string body)
    {
        if (body.StartsWith('{')) context.Response.ContentType = "application/json; charset=utf-8";
        await context.Response.WriteAsync(body, context.RequestAborted);
        return "answered";
    }

    static async Task<string> Refuse(HttpContext context, int status, string body)
    {
        context.Response.StatusCode = status;
        await Json(context, body);
        return "refused";
    }

    static string Error(string text) => new JsonObject { ["error"] = text }.ToJsonString();

    static TaskCompletionSource Of(ConcurrentDictionary<string, TaskCompletionSource> all, string name) =>
        all.GetOrAdd(name, _ => new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));

    void Write(OllamaJournalLine line)
    {
        lock (gate) journal.WriteLine(JsonSerializer.Serialize(line, OllamaScriptJson.Default.OllamaJournalLine));
    }
}
