namespace Stigmer.Config;

/// <summary>An agent as a file defines it. Texts with <c>${NAME}</c> in them stand as they were written.</summary>
sealed record AgentDefinition
{
    /// <summary>a-z 0-9 -, at most 63.</summary>
    public required string Name { get; init; }

    /// <summary>For who reads a list of agents; may be empty.</summary>
    public string Description { get; init; } = "";

    /// <summary>What the model is told.</summary>
    public required string Instructions { get; init; }

    /// <summary>Whose model; null: the stack's.</summary>
    public LlmProvider? Provider { get; init; }

    /// <summary>Which model; empty: the provider's, or the stack's.</summary>
    public string Model { get; init; } = "";

    /// <summary>In the order of the file.</summary>
    public IReadOnlyList<AgentServer> Servers { get; init; } = [];

    /// <summary>Patterns of what is offered; empty: everything.</summary>
    public IReadOnlyList<string> Allow { get; init; } = [];

    /// <summary>Patterns of what a person must say yes to, beside what always needs it.</summary>
    public IReadOnlyList<string> Approve { get; init; } = [];

    /// <summary>Patterns of what is never run again when its outcome is unknown, beside what never is.</summary>
    public IReadOnlyList<string> Once { get; init; } = [];

    /// <summary>Model calls per turn; 0: no limit of its own.</summary>
    public int MaxSteps { get; init; }

    /// <summary>Work per turn; zero: no limit of its own.</summary>
    public TimeSpan Timeout { get; init; }

    /// <summary>Tokens per turn; 0: no limit of its own.</summary>
    public long MaxTotalTokens { get; init; }
}

/// <summary>An MCP server of an agent: a command, or an address.</summary>
/// <param name="Name">Letters, digits, - and _: the first part of its tools' names.</param>
/// <param name="Command">What is started; empty: <paramref name="Url"/> counts.</param>
/// <param name="Args">In order.</param>
/// <param name="Env">All that it finds in its environment but PATH and HOME.</param>
/// <param name="Url">Where it is; empty: <paramref name="Command"/> counts.</param>
/// <param name="Headers">Sent with every request.</param>
sealed record AgentServer(
    string Name, string Command, IReadOnlyList<string> Args, IReadOnlyDictionary<string, string> Env, string Url, IReadOnlyDictionary<string, string> Headers);

/// <summary>An agent file, read and checked.</summary>
/// <param name="Path">As it is named in diagnostics.</param>
/// <param name="Agent">Null where there are errors.</param>
/// <param name="Name">Where the agent's name stands; null where there are errors.</param>
/// <param name="Diagnostics">Errors and warnings in the order of the text.</param>
sealed record AgentFile(string Path, AgentDefinition? Agent, Place? Name, IReadOnlyList<Diagnostic> Diagnostics)
{
    /// <summary>The name of the agent that needs no file.</summary>
    public const string BuiltIn = "assistant";

    /// <summary>Reads a file. One that cannot be read is an error among the diagnostics.</summary>
    public static AgentFile Read(string path)
    {
        var (text, problem) = SourceText.Read(path, "agent file");
        if (text is not null) return Parse(text, path);
        return new AgentFile(path, null, null, [new Diagnostic(true, path, null, problem ?? "this file does not exist")]);
    }

    /// <summary>Reads a file's text.</summary>
    public static AgentFile Parse(string text, string path)
    {
        var check = new NodeCheck(path);
        AgentDefinition? agent = null;
        Place? at = null;
        var root = Yaml.Parse(text, check.Refuse);
        if (root is not null)
        {
            agent = Definition(check, root);
            at = (root as YamlMapping)?.Entries.FirstOrDefault(entry => entry.Key.Text == "name")?.Value.At;
        }
        else if (check.Diagnostics.Count == 0)
        {
            check.Refuse(new Place(1, 1), "the document is empty: an agent has at least a name and instructions");
        }
        var failed = check.Diagnostics.Any(diagnostic => diagnostic.IsError);
        return new AgentFile(
            path, failed ? null : agent, failed ? null : at, [.. check.Diagnostics.OrderBy(diagnostic => (diagnostic.At?.Line, diagnostic.At?.Column))]);
    }

    static AgentDefinition Definition(NodeCheck check, YamlNode root)
    {
        // What `agent get --json` shows besides may stand in a file: it says nothing about the agent.
        var keys = check.Keys(
            root, "", "name", "description", "instructions", "model", "mcp_servers", "tools", "limits", "mcpServers?", "version?", "updatedAt?");
        if (root is YamlMapping)
        {
            foreach (var required in (ReadOnlySpan<string>)["name", "instructions"])
            {
                if (!keys.ContainsKey(required)) check.Refuse(root.At, $"{required} is missing: an agent has at least a name and instructions");
            }
        }
        if (keys.TryGetValue("mcpServers", out var camel))
        {
            if (!keys.TryAdd("mcp_servers", camel)) check.Refuse(camel.At, "mcpServers is mcp_servers by another name, which stands here as well: write one of them");
        }
        var name = check.Text(keys, "name", AgentName);
        if (name == BuiltIn) check.Refuse(keys["name"].At, $"name is \"{BuiltIn}\", which is the built-in agent's: take another one");
        var model = check.Keys(keys, "model", "provider", "name");
        var provider = check.Text(model, "provider", ValueKind.OneOf(Providers.Names), "model.provider");
        var llm = check.Text(model, "name", ValueKind.Word, "model.name");
        WarnOfRetirement(check, model, Providers.Find(provider), llm);
        var servers = AgentServers.Read(check, keys);
        var tools = check.Keys(keys, "tools", "allow", "approve", "once");
        var limits = check.Keys(keys, "limits", "max_steps", "timeout", "max_total_tokens");
        return new AgentDefinition
        {
            Name = name,
            Description = check.Prose(keys, "description").Trim(),
            Instructions = check.Prose(keys, "instructions"),
            Provider = Providers.Find(provider),
            Model = llm,
            Servers = servers,
            Allow = Patterns(check, tools, "allow", servers),
            Approve = Patterns(check, tools, "approve", servers),
            Once = Patterns(check, tools, "once", servers),
            MaxSteps = (int)check.Whole(limits, "max_steps", 1_000_000, "limits.max_steps"),
            Timeout = check.Duration(limits, "timeout", "limits.timeout"),
            MaxTotalTokens = check.Whole(limits, "max_total_tokens", 1_000_000_000_000, "limits.max_total_tokens"),
        };
    }

    /// <summary>What an agent may be called.</summary>
    public static readonly ValueKind AgentName = new(
        Shape.Text, "a to z, 0 to 9 and - (not at its beginning), at most 63 of them",
        text => text.Length <= 63 && text[0] != '-' && text.All(symbol => char.IsAsciiLetterLower(symbol) || char.IsAsciiDigit(symbol) || symbol == '-'));

    static readonly ValueKind Pattern = new(
        Shape.Text, "a tool's name such as files.read, with * for any run of characters; ! at its beginning takes out",
        text => text.TrimStart('!').Length > 0 && text.LastIndexOf('!') <= 0 && !text.Any(symbol => char.IsControl(symbol) || char.IsWhiteSpace(symbol)));

    static List<string> Patterns(NodeCheck check, Dictionary<string, YamlNode> tools, string key, List<AgentServer> servers)
    {
        var patterns = new List<string>();
        foreach (var (text, at) in check.List(tools, key, Pattern, $"tools.{key}"))
        {
            patterns.Add(text);
            // One that can match nothing was meant otherwise.
            var first = text.TrimStart('!').Split('.')[0];
            if (first.Contains('*', StringComparison.Ordinal) || first == "workspace" || servers.Exists(server => server.Name == first)) continue;
            var known = servers.Select(server => server.Name).Append("workspace").ToArray();
            var hint = Schema.Nearest(first, known) is { } near ? $"did you mean {near}?" : $"tools here begin with {string.Join(", ", known.Select(each => each + "."))}";
            check.Warn(at, $"{ValueKind.Quote(text)} matches no tool: {hint}");
        }
        return patterns;
    }

    static void WarnOfRetirement(NodeCheck check, Dictionary<string, YamlNode> model, LlmProvider? provider, string name)
    {
        if (provider is not { } known || name.Length == 0) return;
        if (known.Retirement(known.ModelId(name), known.DefaultBaseUrl()) is { } warning) check.Warn(model["name"].At, warning);
    }
}
