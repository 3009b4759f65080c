using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;

namespace Stigmer.Standins;

/// <summary>Speaks OpenAI's API.</summary>
sealed class OpenAiStandin(HostedScript script, TextWriter journal) : HostedStandin(script, journal)
{
    protected override bool IsLetIn(HttpContext context, string? key) => key is null || context.Request.Headers.Authorization == $"Bearer {key}";

    protected override JsonObject Error(string type, string message, string? param) =>
        new() { ["error"] = new JsonObject { ["message"] = message, ["type"] = type, ["param"] = param, ["code"] = null } };

    protected override Refused UnknownModel(string name) => new(404, "model_not_found", $"The model `{name}` does not exist or you do not have access to it.");

    protected override (int Step, string? Prompt) Place(JsonElement body) => (1, null);

    protected override Task<string> Answer(HttpContext context, string path, JsonElement? body) => throw new Refused(404, "invalid_request_error", "not yet");
}
