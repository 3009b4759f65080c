using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Http;

namespace Stigmer.Standins;

/// <summary>Speaks Anthropic's Messages API, and refuses what it refuses.</summary>
sealed class AnthropicStandin(HostedScript script, TextWriter journal) : HostedStandin(script, journal)
{
    static readonly string[] Known = ["model", "max_tokens", "system", "messages", "tools", "tool_choice", "temperature", "stream", "metadata", "stop_sequences"];

    /// <summary>The calls that were given after a thinking block: it must come back with them.</summary>
    readonly Dictionary<string, string> thoughtBefore = [];

    protected override bool IsLetIn(HttpContext context, string? key) =>
        context.Request.Headers["anthropic-version"] == "2023-06-01" && (key is null || context.Request.Headers["x-api-key"] == key);

    protected override JsonObject Error(string type, string message, string? param) =>
        new() { ["type"] = "error", ["error"] = new JsonObject { ["type"] = type, ["message"] = message }, ["request_id"] = "req_1" };

    protected override Refused UnknownModel(string name) => new(404, "not_found_error", $"model: {name}");

    protected override (int Step, string? Prompt) Place(JsonElement body)
    {
        var (step, prompt) = (1, (string?)null);
        foreach (var message in body.GetProperty("messages").EnumerateArray())
        {
            if (message.GetProperty("role").GetString() == "assistant") step++;
            else if (Blocks(message).LastOrDefault(block => Type(block) == "text") is { ValueKind: JsonValueKind.Object } said) (step, prompt) = (1, said.GetProperty("text").GetString());
        }
        return (step, prompt);
    }

    protected override async Task<string> Answer(HttpContext context, string path, JsonElement? body)
    {
        if (path == "/v1/models") return await Json(context, Models());
        if (path.StartsWith("/v1/models/", StringComparison.Ordinal))
        {
            var name = path["/v1/models/".Length..];
            return Script.Models.Any(model => model.Name == name) ? await Json(context, Described(name)) : throw UnknownModel(name);
        }
        if (path != "/v1/messages" || body is null) throw new Refused(404, "not_found_error", "Not Found");
        var model = Model(body.Value);
        Check(body.Value, model);
        var answer = await Next(context, body.Value);

        await Event(context, new JsonObject
        {
            ["type"] = "message_start",
            ["message"] = new JsonObject { ["id"] = Id("msg_"), ["type"] = "message", ["role"] = "assistant", ["model"] = model.Name, ["content"] = new JsonArray(), ["stop_reason"] = null, ["usage"] = new JsonObject { ["input_tokens"] = Tokens(body.Value), ["cache_read_input_tokens"] = 0, ["output_tokens"] = 1 } },
        });
        await Event(context, new JsonObject { ["type"] = "ping" });
        var index = 0;
        if (answer.Thinking is { } thought)
        {
            await Block(context, index++, new JsonObject { ["type"] = "thinking", ["thinking"] = "", ["signature"] = "" },
            [
                .. Pieces(thought).Select(piece => new JsonObject { ["type"] = "thinking_delta", ["thinking"] = piece }),
                new JsonObject { ["type"] = "signature_delta", ["signature"] = Sign(model.Name, thought) },
            ]);
        }
        // Of a kind that no client knows yet.
        await Event(context, new JsonObject { ["type"] = "tomorrows_event", ["delta"] = "not for you", ["index"] = "x" });
        if (answer.Text.Length > 0)
        {
            await Block(context, index++, new JsonObject { ["type"] = "text", ["text"] = "" }, [.. Pieces(answer.Text).Select(piece => new JsonObject { ["type"] = "text_delta", ["text"] = piece })]);
        }
        if (await Trouble(context, answer) is { } ended) return ended;
        if (answer.Error is { } error)
        {
            await Event(context, Error(answer.ErrorType ?? "overloaded_error", error, null));
            return "broken";
        }
        foreach (var (n, call) in answer.Calls.Index())
        {
            var id = Id("toolu_");
            if (answer.Thinking is { } before) lock (thoughtBefore) thoughtBefore[id] = before;
            var json = call.Arguments.GetRawText();
            if (json == "{}") json = "";
            if (answer.CutsCall && n == answer.Calls.Count - 1) json = json[..(json.Length / 2)];
            await Block(context, index++, new JsonObject { ["type"] = "tool_use", ["id"] = id, ["name"] = call.Name, ["input"] = new JsonObject() },
                [.. Pieces(json).Select(piece => new JsonObject { ["type"] = "input_json_delta", ["partial_json"] = piece })]);
        }
        var stop = answer.Stop ?? (answer.CutsCall ? "max_tokens" : answer.Calls.Count > 0 ? "tool_use" : "end_turn");
        var delta = new JsonObject { ["stop_reason"] = stop, ["stop_sequence"] = null };
        if (stop == "refusal") delta["stop_details"] = new JsonObject { ["type"] = "refusal", ["message"] = "this is about biology" };
        await Event(context, new JsonObject { ["type"] = "message_delta", ["delta"] = delta, ["usage"] = new JsonObject { ["output_tokens"] = (answer.Text.Length / 4) + 1 } });
        await Event(context, new JsonObject { ["type"] = "message_stop" });
        return "answered";
    }

    void Check(JsonElement body, HostedModel model)
    {
        foreach (var member in body.EnumerateObject()) if (!Known.Contains(member.Name)) throw Invalid($"{member.Name}: Extra inputs are not permitted");
        if (!body.TryGetProperty("max_tokens", out var most) || most.GetInt32() < 1) throw Invalid("max_tokens: Field required");
        if (!model.Temperature && body.TryGetProperty("temperature", out _)) throw Invalid("`temperature` is deprecated for this model.");
        if (body.TryGetProperty("system", out var system) && string.IsNullOrWhiteSpace(system.GetString())) throw Invalid("system: text content blocks must be non-empty");
        if (Tokens(body) is var tokens && tokens > model.Context) throw Invalid($"prompt is too long: {tokens} tokens > {model.Context} maximum");
        if (body.TryGetProperty("tools", out var tools))
        {
            foreach (var tool in tools.EnumerateArray())
            {
                if (!Regex.IsMatch(tool.GetProperty("name").GetString()!, "^[a-zA-Z0-9_-]{1,64}$")) throw Invalid("tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'");
                if (tool.GetProperty("input_schema").GetProperty("type").GetString() != "object") throw Invalid("tools.0.custom.input_schema.type: Input should be 'object'");
            }
        }
        List<JsonElement> messages = [.. body.GetProperty("messages").EnumerateArray()];
        if (messages.Count == 0 || Role(messages[0]) != "user") throw Invalid("messages: first message must use the \"user\" role");
        if (Role(messages[^1]) == "assistant" && !Script.Answers.Any(answer => answer.Stop == "pause_turn")) throw Invalid("This model does not support assistant message prefill");
        var ids = new HashSet<string>();
        for (var i = 0; i < messages.Count; i++) Check(messages, i, ids, model);
    }

    void Check(List<JsonElement> messages, int at, HashSet<string> ids, HostedModel model)
    {
        List<JsonElement> blocks = [.. Blocks(messages[at])];
        if (blocks.Count == 0) throw Invalid($"messages.{at}: all messages must have non-empty content");
        if (at > 0 && Role(messages[at]) == Role(messages[at - 1])) throw Invalid($"messages.{at}: roles must alternate");
        foreach (var block in blocks)
        {
            switch (Type(block))
            {
                case "text" when string.IsNullOrWhiteSpace(block.GetProperty("text").GetString()):
                    throw Invalid($"messages.{at}: text content blocks must contain non-whitespace text");
                case "thinking" when Sign(model.Name, block.GetProperty("thinking").GetString()!) != block.GetProperty("signature").GetString():
                    throw Invalid($"messages.{at}: Invalid `signature` in `thinking` block");
                case "tool_use" when !ids.Add(block.GetProperty("id").GetString()!):
                    throw Invalid($"messages.{at}: `tool_use` ids must be unique");
                case "tool_use" when block.GetProperty("input").ValueKind != JsonValueKind.Object:
                    throw Invalid($"messages.{at}: tool_use.input: Input should be a valid dictionary");
            }
        }
        if (Role(messages[at]) == "assistant")
        {
            if (Type(blocks[^1]) == "thinking") throw Invalid($"messages.{at}: The final block in an assistant message cannot be `thinking`.");
            var asked = blocks.Where(block => Type(block) == "tool_use").Select(block => block.GetProperty("id").GetString()!).ToList();
            if (asked.Count == 0) return;
            var next = at + 1 < messages.Count ? Blocks(messages[at + 1]).ToList() : [];
            var results = next.TakeWhile(block => Type(block) == "tool_result").Select(block => block.GetProperty("tool_use_id").GetString()!).ToList();
            if (results.Count != next.Count(block => Type(block) == "tool_result")) throw Invalid($"messages.{at + 1}: tool_result blocks must come before text");
            if (!results.Order().SequenceEqual(asked.Order())) throw Invalid($"messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after");
            lock (thoughtBefore)
            {
                if (asked.Any(id => thoughtBefore.TryGetValue(id, out var thought) && !blocks.Any(block => Type(block) == "thinking" && block.GetProperty("thinking").GetString() == thought)))
                {
                    throw Invalid($"messages.{at}: Expected `thinking`, but found `tool_use`");
                }
            }
        }
        else if (blocks.Any(block => Type(block) == "tool_result") && (at == 0 || !Blocks(messages[at - 1]).Any(block => Type(block) == "tool_use")))
        {
            throw Invalid($"messages.{at}: unexpected `tool_use_id` found in `tool_result` blocks");
        }
    }

    JsonObject Models() => new() { ["data"] = new JsonArray([.. Script.Models.Select(model => Described(model.Name))]), ["has_more"] = false, ["first_id"] = null, ["last_id"] = null };

    static JsonObject Described(string name) => new() { ["type"] = "model", ["id"] = name, ["display_name"] = name, ["created_at"] = "2026-09-28T00:00:00Z" };

    static async Task Block(HttpContext context, int index, JsonObject start, IReadOnlyList<JsonObject> deltas)
    {
        await Event(context, new JsonObject { ["type"] = "content_block_start", ["index"] = index, ["content_block"] = start });
        foreach (var delta in deltas) await Event(context, new JsonObject { ["type"] = "content_block_delta", ["index"] = index, ["delta"] = delta });
        await Event(context, new JsonObject { ["type"] = "content_block_stop", ["index"] = index });
    }

    static async Task Event(HttpContext context, JsonObject data)
    {
        await context.Response.WriteAsync($"event: {data["type"]}\ndata: {data.ToJsonString()}\n\n", context.RequestAborted);
        await context.Response.Body.FlushAsync(context.RequestAborted);
    }

    static IEnumerable<JsonElement> Blocks(JsonElement message) => message.GetProperty("content").EnumerateArray();

    static string? Type(JsonElement block) => block.GetProperty("type").GetString();

    static string? Role(JsonElement message) => message.GetProperty("role").GetString();

    static int Tokens(JsonElement body) => body.GetProperty("messages").GetRawText().Length / 4;

    static Refused Invalid(string message) => new(400, "invalid_request_error", message);
}
