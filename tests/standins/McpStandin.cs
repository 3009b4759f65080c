using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Stigmer.Standins;

/// <summary>
/// An MCP server over stdio, as <c>mcp JOURNAL</c>: each call's beginning, its end and a cancelled call are a line of the journal.
/// It keeps words in memory, tells its environment, starts processes, dies, and writes as much as it is asked to.
/// </summary>
static class McpStandin
{
    const string Anything = """{"type":"object","properties":{"text":{"type":"string"},"bytes":{"type":"integer"}}}""";

    static readonly string[] Tools = ["echo", "remember", "recall", "environment", "folder", "big", "hang", "die", "spawn", "fail", "picture"];

    static readonly List<string> Words = [];

    public static async Task<int> Run(string[] args)
    {
        var journal = args.Length > 0 ? args[0] : null;
        Note(journal, $"start {Environment.ProcessId}");
        Console.Error.WriteLine("the stand-in is here");
        while (await Console.In.ReadLineAsync() is { } line)
        {
            var message = JsonNode.Parse(line)!;
            var id = message["id"]?.DeepClone();
            switch ((string?)message["method"])
            {
                case "initialize":
                    Answer(id, """{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"standin","version":"1"}}""");
                    break;
                case "tools/list":
                    Answer(id, "{\"tools\":[" + string.Join(',', Tools.Select(Declared)) + "]}");
                    break;
                case "notifications/cancelled":
                    Note(journal, "cancelled");
                    break;
                case "tools/call":
                    var name = (string)message["params"]!["name"]!;
                    Note(journal, $"call {name}");
                    if (Call(name, message["params"]!["arguments"]) is { } result)
                    {
                        Note(journal, $"end {name}");
                        Answer(id, result);
                    }
                    break;
            }
        }
        return 0;
    }

    /// <summary>Null: it is never answered.</summary>
    static string? Call(string name, JsonNode? arguments)
    {
        switch (name)
        {
            case "echo": return Said((string?)arguments?["text"] ?? "");
            case "remember":
                Words.Add((string?)arguments?["text"] ?? "");
                return Said("noted");
            case "recall": return Said(string.Join(' ', Words));
            case "environment": return Said(string.Join('\n', Environment.GetEnvironmentVariables().Keys.Cast<string>().Order(StringComparer.Ordinal)));
            case "folder": return Said(Environment.CurrentDirectory);
            case "big": return Said(new string('x', (int)arguments!["bytes"]!));
            case "hang": return null;
            case "spawn":
                // As servers that start browsers do: in a session of its own, it would outlive us.
                using (var child = Process.Start(new ProcessStartInfo("setsid", ["sleep", "1000"]) { RedirectStandardOutput = false })!)
                {
                    return Said(child.Id.ToString(CultureInfo.InvariantCulture));
                }
            case "fail": return """{"content":[{"type":"text","text":"it cannot be done"}],"isError":true}""";
            case "picture": return """{"content":[{"type":"image","data":"AAAAAAAA","mimeType":"image/png"}]}""";
            case "die":
                Console.Error.WriteLine("it was too much");
                Environment.Exit(3);
                return null;
            default: return """{"content":[{"type":"text","text":"no such tool"}],"isError":true}""";
        }
    }

    static string Declared(string tool) => $$"""{"name":"{{tool}}","description":"Does {{tool}}","inputSchema":{{Anything}} }""";

    static string Said(string text) => $$"""{"content":[{"type":"text","text":{{JsonSerializer.Serialize(text, McpStandinJson.Default.String)}}}]}""";

    static void Answer(JsonNode? id, string result)
    {
        Console.Out.Write($$"""{"jsonrpc":"2.0","id":{{id?.ToJsonString() ?? "null"}},"result":{{result}}}""" + "\n");
        Console.Out.Flush();
    }

    static void Note(string? journal, string line)
    {
        if (journal is not null) File.AppendAllText(journal, line + "\n");
    }
}

[System.Text.Json.Serialization.JsonSerializable(typeof(string))]
sealed partial class McpStandinJson : System.Text.Json.Serialization.JsonSerializerContext;
