using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Stigmer.Standins;

namespace Stigmer.Scale;

/// <summary>
/// A model of Ollama's protocol that asks for a tool in every step but the last, and counts its calls by run and step. As
/// little else as can be: it is not to be what is measured.
/// </summary>
sealed class Model(int steps, TimeSpan thinking) : IAsyncDisposable
{
    readonly ConcurrentDictionary<(string Prompt, int Step), int> calls = new();
    WebApplication? app;
    int underWay;
    int most;

    public string Url => app!.Urls.Single();

    /// <summary>Calls so far.</summary>
    public int Calls => calls.Values.Sum();

    /// <summary>Calls that were made more than once.</summary>
    public int Repeated => calls.Values.Count(n => n > 1);

    /// <summary>The most calls at the same time.</summary>
    public int Most => most;

    public static async Task<Model> Start(int steps, TimeSpan thinking)
    {
        var model = new Model(steps, thinking);
        model.app = await Loopback.Http(app => app.Run(model.Answer));
        return model;
    }

    public ValueTask DisposeAsync() => app!.DisposeAsync();

    async Task Answer(HttpContext context)
    {
        switch (context.Request.Path.Value)
        {
            case "/api/chat":
                await Chat(context);
                break;
            case "/api/show":
                await context.Response.WriteAsync("""{"capabilities":["completion","tools"],"model_info":{"general.architecture":"x","x.context_length":32768}}""");
                break;
            case "/api/tags":
                await context.Response.WriteAsync("""{"models":[{"name":"m","model":"m","size":1}]}""");
                break;
            default:
                await context.Response.WriteAsync("""{"version":"0.40.12"}""");
                break;
        }
    }

    async Task Chat(HttpContext context)
    {
        using var body = await JsonDocument.ParseAsync(context.Request.Body);
        var (prompt, step) = ("", 1);
        foreach (var message in body.RootElement.GetProperty("messages").EnumerateArray())
        {
            var role = message.GetProperty("role").GetString();
            if (role == "user") (prompt, step) = (message.GetProperty("content").GetString()!, 1);
            else if (role == "assistant") step++;
        }
        calls.AddOrUpdate((prompt, step), 1, (_, n) => n + 1);
        var now = Interlocked.Increment(ref underWay);
        for (var seen = most; now > seen && Interlocked.CompareExchange(ref most, now, seen) != seen; seen = most)
        {
        }
        if (thinking > TimeSpan.Zero) await Task.Delay(thinking);
        Interlocked.Decrement(ref underWay);
        var last = step == steps;
        var text = new StringBuilder();
        if (last) text.Append("""{"model":"m","message":{"role":"assistant","content":"Done: """).Append(prompt).Append("\"},\"done\":false}\n");
        else text.Append("""{"model":"m","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"workspace_list","arguments":{}}}]},"done":false}""").Append('\n');
        text.Append("""{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":100,"eval_count":10}""").Append('\n');
        await context.Response.WriteAsync(text.ToString());
    }
}
