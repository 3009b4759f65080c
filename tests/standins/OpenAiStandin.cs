using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Http;

namespace Stigmer.Standins;

/// <summary>
/// Speaks OpenAI's two wires, and refuses what they refuse: /v1/responses for every model, /v1/chat/completions as OpenAI's own
/// models (gpt-…) do, and as a compatible server does for any other name.
/// </summary>
sealed class OpenAiStandin(HostedScript script, TextWriter journal) : HostedStandin(script, journal)
{
    static readonly string[] OfResponses =
        ["model", "instructions", "input", "tools", "parallel_tool_calls", "max_output_tokens", "temperature", "reasoning", "stream", "store", "include"];

    static readonly string[] OfChat =
        ["model", "messages", "tools", "max_tokens", "max_completion_tokens", "temperature", "reasoning_effort", "stream", "stream_options", "parallel_tool_calls"];

    /// <summary>The calls that were given after reasoning: it must come back before them.</summary>
    readonly Dictionary<string, string> reasonedBefore = [];

    protected override bool IsLetIn(HttpContext context, string? key) => key is null || context.Request.Headers.Authorization == $"Bearer {key}";

    protected override JsonObject Error(string type, string message, string? param) => new()
    {
        ["error"] = new JsonObject { ["message"] = message, ["type"] = type is "insufficient_quota" ? type : "invalid_request_error", ["param"] = param, ["code"] = type },
    };

    protected override Refused UnknownModel(string name) => new(404, "model_not_found", $"The model `{name}` does not exist or you do not have access to it.");

    protected override (int Step, string? Prompt) Place(JsonElement body)
    {
        var (step, prompt, answered) = (1, (string?)null, false);
        foreach (var item in (body.TryGetProperty("input", out var input) ? input : body.GetProperty("messages")).EnumerateArray())
        {
            var role = Text(item, "role");
            if (role == "user") (step, prompt, answered) = (1, Said(item), false);
            else if (role == "tool" || Text(item, "type") == "function_call_output") answered = false;
            else if (role != "system" && !answered) (step, answered) = (step + 1, true);
        }
        return (step, prompt);
    }

    protected override async Task<string> Answer(HttpContext context, string path, JsonElement? body)
    {
        switch (path)
        {
            case "/v1/models":
                return await Json(context, new JsonObject { ["object"] = "list", ["data"] = new JsonArray([.. Script.Models.Select(model => Described(model.Name))]) });
            case "/v1/responses" when body is { } request:
                return await Responses(context, request, Model(request));
            case "/v1/chat/completions" when body is { } request:
                return await Chat(context, request, Model(request));
            case not null when path.StartsWith("/v1/models/", StringComparison.Ordinal):
                var name = path["/v1/models/".Length..];
                return Script.Models.Any(model => model.Name == name) ? await Json(context, Described(name)) : throw UnknownModel(name);
            default:
                throw new Refused(404, "not_found", $"Invalid URL ({context.Request.Method} {path})");
        }
    }

    async Task<string> Responses(HttpContext context, JsonElement body, HostedModel model)
    {
        CheckResponses(body, model);
        var answer = await Next(context, body);
        var n = 0;
        async Task Event(JsonObject data)
        {
            data["sequence_number"] = n++;
            await context.Response.WriteAsync($"event: {data["type"]}\ndata: {data.ToJsonString()}\n\n", context.RequestAborted);
            await context.Response.Body.FlushAsync(context.RequestAborted);
        }
        JsonObject Response(string status) => new() { ["id"] = "resp_1", ["object"] = "response", ["status"] = status, ["model"] = model.Name, ["error"] = null, ["output"] = new JsonArray() };
        await Event(new JsonObject { ["type"] = "response.created", ["response"] = Response("in_progress") });
        await Event(new JsonObject { ["type"] = "response.in_progress", ["response"] = Response("in_progress") });
        await Event(new JsonObject { ["type"] = "response.tomorrow", ["response"] = "not for you" });
        var index = 0;
        async Task Item(JsonObject item)
        {
            await Event(new JsonObject { ["type"] = "response.output_item.done", ["output_index"] = index++, ["item"] = item });
        }
        if (answer.Thinking is { } thought)
        {
            await Item(new JsonObject { ["type"] = "reasoning", ["id"] = Id("rs_"), ["summary"] = new JsonArray(), ["encrypted_content"] = $"{Sign(model.Name, thought)}.{thought}" });
        }
        foreach (var piece in Pieces(answer.Text)) await Event(new JsonObject { ["type"] = "response.output_text.delta", ["output_index"] = index, ["content_index"] = 0, ["delta"] = piece });
        if (await Trouble(context, answer) is { } ended) return ended;
        if (answer.Error is { } error)
        {
            await Event(answer.Stop == "failed"
                ? new JsonObject { ["type"] = "response.failed", ["response"] = new JsonObject { ["status"] = "failed", ["error"] = new JsonObject { ["code"] = answer.ErrorType ?? "server_error", ["message"] = error } } }
                : new JsonObject { ["type"] = "error", ["code"] = answer.ErrorType ?? "server_error", ["message"] = error, ["param"] = null });
            return "broken";
        }
        if (answer.Text.Length > 0)
        {
            var part = answer.Stop == "refusal" ? new JsonObject { ["type"] = "refusal", ["refusal"] = answer.Text } : new JsonObject { ["type"] = "output_text", ["text"] = answer.Text, ["annotations"] = new JsonArray() };
            await Item(new JsonObject { ["type"] = "message", ["id"] = Id("msg_"), ["role"] = "assistant", ["status"] = "completed", ["content"] = new JsonArray(part) });
        }
        foreach (var (at, call) in answer.Calls.Index())
        {
            var json = call.Arguments.GetRawText();
            var cut = answer.CutsCall && at == answer.Calls.Count - 1;
            if (cut) json = json[..(json.Length / 2)];
            var id = Id("call_");
            if (answer.Thinking is { } before) lock (reasonedBefore) reasonedBefore[id] = before;
            foreach (var piece in Pieces(json)) await Event(new JsonObject { ["type"] = "response.function_call_arguments.delta", ["output_index"] = index, ["delta"] = piece });
            await Item(new JsonObject { ["type"] = "function_call", ["id"] = Id("fc_"), ["call_id"] = id, ["name"] = call.Name, ["arguments"] = json, ["status"] = cut ? "incomplete" : "completed" });
        }
        var reason = answer.CutsCall ? "max_output_tokens" : answer.Stop is "max_output_tokens" or "content_filter" ? answer.Stop : null;
        var last = Response(reason is null ? "completed" : "incomplete");
        last["usage"] = new JsonObject { ["input_tokens"] = Tokens(body, "input"), ["output_tokens"] = (answer.Text.Length / 4) + 1 };
        last["incomplete_details"] = reason is null ? null : new JsonObject { ["reason"] = reason };
        await Event(new JsonObject { ["type"] = reason is null ? "response.completed" : "response.incomplete", ["response"] = last });
        return "answered";
    }

    async Task<string> Chat(HttpContext context, JsonElement body, HostedModel model)
    {
        CheckChat(body, model);
        var answer = await Next(context, body);
        async Task Data(JsonNode data)
        {
            await context.Response.WriteAsync($"data: {data.ToJsonString()}\n\n", context.RequestAborted);
            await context.Response.Body.FlushAsync(context.RequestAborted);
        }
        JsonObject Chunk(JsonObject? delta, string? finish = null) => new()
        {
            ["id"] = "chatcmpl-1", ["object"] = "chat.completion.chunk", ["model"] = model.Name,
            ["choices"] = delta is null ? new JsonArray() : new JsonArray(new JsonObject { ["index"] = 0, ["delta"] = delta, ["finish_reason"] = finish }),
            ["usage"] = null,
        };
        await context.Response.WriteAsync(": open\n\n", context.RequestAborted);
        await Data(Chunk(new JsonObject { ["role"] = "assistant", ["content"] = "" }));
        foreach (var piece in Pieces(answer.Thinking ?? "")) await Data(Chunk(new JsonObject { ["reasoning_content"] = piece }));
        foreach (var piece in Pieces(answer.Text)) await Data(Chunk(new JsonObject { [answer.Stop == "refusal" ? "refusal" : "content"] = piece }));
        if (await Trouble(context, answer) is { } ended) return ended;
        if (answer.Error is { } error)
        {
            await Data(Error(answer.ErrorType ?? "server_error", error, null));
            return "broken";
        }
        var isOpenAi = model.Name.StartsWith("gpt-", StringComparison.Ordinal);
        foreach (var (at, call) in answer.Calls.Index())
        {
            var json = call.Arguments.GetRawText();
            if (answer.CutsCall && at == answer.Calls.Count - 1) json = json[..(json.Length / 2)];
            // Compatible servers leave the index out.
            JsonObject Fragment(JsonObject fragment)
            {
                if (isOpenAi) fragment["index"] = at;
                return Chunk(new JsonObject { ["tool_calls"] = new JsonArray(fragment) });
            }
            await Data(Fragment(new JsonObject { ["id"] = Id("call_"), ["type"] = "function", ["function"] = new JsonObject { ["name"] = call.Name, ["arguments"] = "" } }));
            foreach (var piece in Pieces(json)) await Data(Fragment(new JsonObject { ["function"] = new JsonObject { ["arguments"] = piece } }));
        }
        await Data(Chunk([], answer.CutsCall ? "length" : answer.Stop is "length" or "content_filter" ? answer.Stop : answer.Calls.Count > 0 ? "tool_calls" : "stop"));
        if (body.TryGetProperty("stream_options", out _))
        {
            var usage = Chunk(null);
            usage["usage"] = new JsonObject { ["prompt_tokens"] = Tokens(body, "messages"), ["completion_tokens"] = (answer.Text.Length / 4) + 1 };
            await Data(usage);
        }
        await context.Response.WriteAsync("data: [DONE]\n\n", context.RequestAborted);
        return "answered";
    }

    void CheckResponses(JsonElement body, HostedModel model)
    {
        foreach (var member in body.EnumerateObject()) if (!OfResponses.Contains(member.Name)) throw Invalid($"Unknown parameter: '{member.Name}'.", member.Name);
        if (body.GetProperty("max_output_tokens").GetInt32() < 16) throw Invalid("Invalid 'max_output_tokens': integer below minimum value.", "max_output_tokens");
        if (!model.Temperature && body.TryGetProperty("temperature", out _)) throw Invalid("Unsupported parameter: 'temperature' is not supported with this model.", "temperature");
        if (!body.TryGetProperty("store", out var store) || store.GetBoolean()) throw Invalid("this stand-in keeps nothing", "store");
        CheckWindow(body, "input", model);
        CheckTools(body, tool => tool);
        List<JsonElement> items = [.. body.GetProperty("input").EnumerateArray()];
        var asked = items.Where(item => Text(item, "type") == "function_call").Select(item => Text(item, "call_id")).ToList();
        var answered = items.Where(item => Text(item, "type") == "function_call_output").Select(item => Text(item, "call_id")).ToList();
        foreach (var id in asked.Except(answered)) throw Invalid($"No tool output found for function call {id}.", "input");
        foreach (var id in answered.Except(asked)) throw Invalid($"No tool call found for function call output with call_id {id}.", "input");
        if (answered.Distinct().Count() != answered.Count) throw Invalid("Duplicate item found with id", "input");
        foreach (var (at, item) in items.Index())
        {
            if (Text(item, "type") == "reasoning")
            {
                var parts = Text(item, "encrypted_content")!.Split('.', 2);
                if (parts.Length < 2 || Sign(model.Name, parts[1]) != parts[0]) throw Invalid("The encrypted content could not be verified.", "input");
                if (at + 1 == items.Count || Text(items[at + 1], "type") is not ("message" or "function_call")) throw Invalid("Item of type 'reasoning' was provided without its required following item.", "input");
            }
            if (Text(item, "type") != "function_call") continue;
            lock (reasonedBefore)
            {
                if (reasonedBefore.TryGetValue(Text(item, "call_id")!, out var thought) && !items.Take(at).Any(before => Text(before, "encrypted_content")?.EndsWith("." + thought, StringComparison.Ordinal) == true))
                {
                    throw Invalid("Item of type 'function_call' was provided without its required 'reasoning' item.", "input");
                }
            }
        }
    }

    void CheckChat(JsonElement body, HostedModel model)
    {
        foreach (var member in body.EnumerateObject()) if (!OfChat.Contains(member.Name)) throw Invalid($"Unrecognized request argument supplied: {member.Name}", member.Name);
        var isOpenAi = model.Name.StartsWith("gpt-", StringComparison.Ordinal);
        var hasTools = body.TryGetProperty("tools", out _);
        var effort = body.TryGetProperty("reasoning_effort", out var given) ? given.GetString() : null;
        if (isOpenAi && body.TryGetProperty("max_tokens", out _)) throw Invalid("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", "max_tokens");
        if (!isOpenAi && body.TryGetProperty("max_completion_tokens", out _)) throw Invalid("Unrecognized request argument supplied: max_completion_tokens", "max_completion_tokens");
        if (!isOpenAi && effort is not null) throw Invalid("Unrecognized request argument supplied: reasoning_effort", "reasoning_effort");
        if (isOpenAi && hasTools && effort != "none") throw Invalid("Function tools with reasoning_effort are not supported for this model in /v1/chat/completions. Please use /v1/responses instead.", "reasoning_effort");
        if (isOpenAi && effort == "none" && model.Name.EndsWith("-sol", StringComparison.Ordinal)) throw Invalid("Unsupported value: 'reasoning_effort' does not support 'none' with this model.", "reasoning_effort");
        if (!model.Temperature && body.TryGetProperty("temperature", out var degrees) && effort != "none" && degrees.GetDouble() != 1) throw Invalid("Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported.", "temperature");
        if (!model.Tools && hasTools) throw Invalid("\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set", null);
        if (body.TryGetProperty("max_tokens", out var most) && most.GetInt32() >= model.Context)
        {
            throw Invalid($"'max_tokens' is too large: {most}. This model's maximum context length is {model.Context} tokens and your request has {Tokens(body, "messages")} input tokens.", "max_tokens");
        }
        CheckWindow(body, "messages", model);
        CheckTools(body, tool => tool.GetProperty("function"));
        var open = new List<string>();
        foreach (var message in body.GetProperty("messages").EnumerateArray())
        {
            if (Text(message, "role") == "tool")
            {
                if (!open.Remove(Text(message, "tool_call_id")!)) throw Invalid("messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.", "messages");
                continue;
            }
            if (open.Count > 0) throw Invalid($"An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. Missing: {string.Join(", ", open)}", "messages");
            if (!message.TryGetProperty("tool_calls", out var calls)) continue;
            foreach (var call in calls.EnumerateArray())
            {
                _ = JsonDocument.Parse(call.GetProperty("function").GetProperty("arguments").GetString()!);
                open.Add(Text(call, "id")!);
            }
        }
        if (open.Count > 0) throw Invalid("An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.", "messages");
    }

    static void CheckWindow(JsonElement body, string name, HostedModel model)
    {
        if (Tokens(body, name) is var tokens && tokens > model.Context)
        {
            throw new Refused(400, "context_length_exceeded", $"This model's maximum context length is {model.Context} tokens. However, your messages resulted in {tokens} tokens.", name);
        }
    }

    static void CheckTools(JsonElement body, Func<JsonElement, JsonElement> function)
    {
        if (!body.TryGetProperty("tools", out var tools)) return;
        foreach (var tool in tools.EnumerateArray())
        {
            if (Text(tool, "type") != "function") throw Invalid("Missing required parameter: 'tools[0].type'.", "tools");
            if (!Regex.IsMatch(Text(function(tool), "name")!, "^[a-zA-Z0-9_-]{1,64}$")) throw Invalid("Invalid 'tools[0].name': string does not match pattern.", "tools[0].name");
            var parameters = function(tool).GetProperty("parameters");
            if (Text(parameters, "type") != "object" || !parameters.TryGetProperty("properties", out _)) throw Invalid("Invalid schema for function: object schema missing properties", "tools[0].parameters");
        }
    }

    static JsonObject Described(string name) => new() { ["id"] = name, ["object"] = "model", ["created"] = 1, ["owned_by"] = "openai" };

    static string? Said(JsonElement message)
    {
        var content = message.GetProperty("content");
        return content.ValueKind == JsonValueKind.String ? content.GetString() : string.Concat(content.EnumerateArray().Select(part => Text(part, "text")));
    }

    static string? Text(JsonElement item, string name) => item.TryGetProperty(name, out var member) && member.ValueKind == JsonValueKind.String ? member.GetString() : null;

    static int Tokens(JsonElement body, string name) => body.GetProperty(name).GetRawText().Length / 4;

    static Refused Invalid(string message, string? param) => new(400, "invalid_request", message, param);
}
