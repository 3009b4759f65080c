namespace Stigmer.Config;

/// <summary>The MCP servers of an agent file, in the shape that other MCP clients use.</summary>
static class AgentServers
{
    static readonly ValueKind Name = new(
        Shape.Text, "letters, digits, - and _, at most 63 of them",
        text => text.Length <= 63 && text.All(symbol => char.IsAsciiLetterOrDigit(symbol) || symbol is '-' or '_'));

    static readonly ValueKind Argument = new(Shape.Text, "text without a NUL", text => !text.Contains('\0', StringComparison.Ordinal));

    static readonly ValueKind HeaderValue = new(Shape.Text, "text on one line", text => !text.Any(char.IsControl), Revealing: false);

    // A query may stand here, which Config's own addresses may not have; a password may not, since the address is shown.
    static readonly ValueKind Url = new(
        Shape.Text, "an http:// or https:// address without a user name or a #",
        text => Uri.TryCreate(Placeholders.Blank(text), UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https" && uri.Host.Length > 0
            && uri.UserInfo.Length == 0 && uri.Fragment.Length == 0 && !text.Any(symbol => char.IsControl(symbol) || char.IsWhiteSpace(symbol)),
        Revealing: false);

    // As other clients write it, where a command or a url says it all.
    static readonly ValueKind Type = ValueKind.OneOf("stdio", "http", "streamable-http", "streamableHttp", "streamable_http");

    /// <summary>Reads and checks them.</summary>
    /// <param name="check">Is told what is wrong.</param>
    /// <param name="keys">The file's, with mcp_servers among them or not.</param>
    public static List<AgentServer> Read(NodeCheck check, Dictionary<string, YamlNode> keys)
    {
        var servers = new List<AgentServer>();
        foreach (var entry in check.Mapping(keys, "mcp_servers", "mcp_servers", "a name for each server, and below it command or url"))
        {
            var name = entry.Key.Text;
            if (Name.Problem(name) is { } problem)
            {
                check.Refuse(entry.Key.At, name.Length == 0 ? $"a server's name is empty: it must be {Name.Allowed}" : $"the server's name {problem}");
            }
            else if (name == "workspace") check.Refuse(entry.Key.At, "the server's name is \"workspace\", which the built-in tools have: take another one");
            else servers.Add(Server(check, name, entry.Value));
        }
        return servers;
    }

    static AgentServer Server(NodeCheck check, string name, YamlNode node)
    {
        var path = $"mcp_servers.{name}";
        var keys = check.Keys(node, path, "command", "args", "env", "url", "headers", "type?", "transport?");
        var (local, remote) = (keys.ContainsKey("command"), keys.ContainsKey("url"));
        if (node is YamlMapping or YamlScalar { IsNull: true } && local == remote)
        {
            check.Refuse(node.At, local ? $"{path} has both command and url: it must have one of them" : $"{path} has neither command nor url: it must have one of them");
        }
        foreach (var (key, other, misplaced) in (ReadOnlySpan<(string, string, bool)>)
            [("args", "command", remote), ("env", "command", remote), ("headers", "url", local)])
        {
            if (misplaced && local != remote && keys.TryGetValue(key, out var value)) check.Refuse(value.At, $"{path}.{key} belongs to {other}, which this server does not have");
        }
        var type = check.Text(keys, "type", Type, $"{path}.type");
        if (type.Length == 0) type = check.Text(keys, "transport", Type, $"{path}.transport");
        if (type.Length > 0 && local != remote && type.Equals("stdio", StringComparison.OrdinalIgnoreCase) != local)
        {
            check.Refuse(node.At, $"{path} is of type {type} and has {(local ? "a command, which is stdio" : "a url, which is http")}");
        }
        return new AgentServer(
            name,
            Filled(check, keys, "command", Argument, $"{path}.command"),
            [.. check.List(keys, "args", Argument, $"{path}.args", mayBeEmpty: true).Select(argument => Filled(check, argument, $"{path}.args"))],
            Table(check, keys, "env", path, Argument, key => !key.Contains('=', StringComparison.Ordinal) && !key.Any(char.IsControl), "a variable's name"),
            Filled(check, keys, "url", Url, $"{path}.url"),
            Table(check, keys, "headers", path, HeaderValue, IsToken, "a header's name"));
    }

    static Dictionary<string, string> Table(
        NodeCheck check, Dictionary<string, YamlNode> keys, string key, string path, ValueKind kind, Predicate<string> name, string allowed)
    {
        var values = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var entry in check.Mapping(keys, key, $"{path}.{key}", $"{allowed} and its value on each line"))
        {
            var said = entry.Key.Text;
            if (said.Length == 0 || !name(said)) check.Refuse(entry.Key.At, $"{ValueKind.Quote(said)} is not {allowed}");
            else if (check.Scalar(entry.Value, kind, $"{path}.{key}.{said}", mayBeEmpty: true) is { } text)
            {
                values[said] = Filled(check, (text, entry.Value.At), $"{path}.{key}.{said}");
            }
        }
        return values;
    }

    static string Filled(NodeCheck check, Dictionary<string, YamlNode> keys, string key, ValueKind kind, string name)
    {
        var text = check.Text(keys, key, kind, name);
        return text.Length == 0 ? "" : Filled(check, (text, keys[key].At), name);
    }

    static string Filled(NodeCheck check, (string Text, Place At) value, string name)
    {
        if (Placeholders.Problem(value.Text) is { } problem) check.Refuse(value.At, $"{name} {problem}");
        return value.Text;
    }

    // RFC 9110, 5.6.2.
    static bool IsToken(string text) => text.All(symbol => char.IsAsciiLetterOrDigit(symbol) || "!#$%&'*+-.^_`|~".Contains(symbol, StringComparison.Ordinal));
}

/// <summary><c>${NAME}</c> in a text: filled in on the runner's host when a server is started.</summary>
static class Placeholders
{
    /// <summary>What is wrong with the placeholders of a text, as a clause after its name; null where nothing is.</summary>
    public static string? Problem(string text)
    {
        for (var start = Next(text, 0); start >= 0; start = Next(text, start + 2))
        {
            var end = text.IndexOf('}', start);
            if (end < 0) return "has a ${ without its }: a variable is written ${NAME}";
            var name = text[(start + 2)..end];
            if (!IsName(name)) return $"has {ValueKind.Quote($"${{{name}}}")}: between ${{ and }} stands a variable's name alone, letters, digits and _";
        }
        return null;
    }

    /// <summary>The text with a letter in the place of each.</summary>
    public static string Blank(string text)
    {
        for (var start = Next(text, 0); start >= 0; start = Next(text, start))
        {
            var end = text.IndexOf('}', start);
            if (end < 0) return text;
            // A whole address may come from a variable; a port must be a number.
            text = $"{text[..start]}{(start == 0 ? "http://x" : start > 0 && text[start - 1] == ':' ? "1" : "x")}{text[(end + 1)..]}";
        }
        return text;
    }

    static int Next(string text, int from) => text.IndexOf("${", from, StringComparison.Ordinal);

    static bool IsName(string name) =>
        name.Length > 0 && !char.IsAsciiDigit(name[0]) && name.All(symbol => char.IsAsciiLetterOrDigit(symbol) || symbol == '_');
}
