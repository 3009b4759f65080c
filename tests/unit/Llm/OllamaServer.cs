using System.Collections.Concurrent;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Stigmer.Config;
using Stigmer.Standins;

namespace Stigmer.Tests.Llm;

/// <summary>A server on loopback that answers as a test says, and remembers what it was asked.</summary>
sealed class OllamaServer : IAsyncDisposable
{
    WebApplication? app;

    public ConcurrentQueue<(string Path, string Body, IReadOnlyDictionary<string, string?> Headers)> Requests { get; } = [];

    public string Url => app!.Urls.Single();

    /// <summary>The bodies of the chat calls so far.</summary>
    public IReadOnlyList<JsonElement> Chats => [.. Requests.Where(request => request.Path == "/api/chat").Select(request => JsonElement.Parse(request.Body))];

    public static async Task<OllamaServer> Start(Func<HttpContext, JsonElement, Task> chat, Func<HttpContext, Task>? other = null)
    {
        var server = new OllamaServer();
        server.app = await Loopback.Http(app => app.Run(async context =>
        {
            using var reader = new StreamReader(context.Request.Body);
            var body = await reader.ReadToEndAsync();
            server.Requests.Enqueue((context.Request.Path, body, context.Request.Headers.ToDictionary(header => header.Key, header => (string?)header.Value)));
            if (context.Request.Path == "/api/chat") await chat(context, JsonElement.Parse(body));
            else if (other is not null) await other(context);
            else context.Response.StatusCode = 404;
        }));
        return server;
    }

    public static Task<OllamaServer> Answering(params string[] lines) => Start(async (context, _) => await context.Response.WriteAsync(string.Join('\n', lines) + "\n"));

    public LlmSettings Settings(int? window = null) => new(LlmProvider.Ollama, "qwen2.5-coder:7b", Url, 8192, 0.0, window, null);

    public ValueTask DisposeAsync() => app!.DisposeAsync();
}
