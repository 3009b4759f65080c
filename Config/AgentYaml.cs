using System.Globalization;
using System.Text;

namespace Stigmer.Config;

/// <summary>An agent as the file that defines it.</summary>
static class AgentYaml
{
    /// <summary>The whole file: applying it changes nothing.</summary>
    public static string Write(AgentDefinition agent)
    {
        var text = new StringBuilder();
        Line(text, "name", YamlText.Scalar(agent.Name));
        if (agent.Description.Length > 0) Line(text, "description", YamlText.Value(agent.Description, "  "));
        Line(text, "instructions", YamlText.Value(agent.Instructions, "  "));
        if (agent.Provider is not null || agent.Model.Length > 0)
        {
            text.Append("model:\n");
            if (agent.Provider is { } provider) Line(text, "  provider", provider.Name());
            if (agent.Model.Length > 0) Line(text, "  name", YamlText.Scalar(agent.Model));
        }
        if (agent.Servers.Count > 0) text.Append("mcp_servers:\n");
        foreach (var server in agent.Servers) Server(text, server);
        if (agent.Allow.Count + agent.Approve.Count + agent.Once.Count > 0) text.Append("tools:\n");
        List(text, "  allow", agent.Allow);
        List(text, "  approve", agent.Approve);
        List(text, "  once", agent.Once);
        if (agent.MaxSteps > 0 || agent.Timeout > TimeSpan.Zero || agent.MaxTotalTokens > 0) text.Append("limits:\n");
        if (agent.MaxSteps > 0) Line(text, "  max_steps", agent.MaxSteps.ToString(CultureInfo.InvariantCulture));
        if (agent.Timeout > TimeSpan.Zero) Line(text, "  timeout", Durations.Format(agent.Timeout));
        if (agent.MaxTotalTokens > 0) Line(text, "  max_total_tokens", agent.MaxTotalTokens.ToString(CultureInfo.InvariantCulture));
        return text.ToString();
    }

    static void Server(StringBuilder text, AgentServer server)
    {
        // A name of digits is a key all the same.
        text.Append("  ").Append(YamlText.Scalar(server.Name)).Append(":\n");
        if (server.Command.Length > 0) Line(text, "    command", YamlText.Scalar(server.Command));
        List(text, "    args", server.Args);
        Table(text, "    env", server.Env);
        if (server.Url.Length > 0) Line(text, "    url", YamlText.Scalar(server.Url));
        Table(text, "    headers", server.Headers);
    }

    static void Line(StringBuilder text, string key, string value) => text.Append(key).Append(": ").Append(value).Append('\n');

    static void List(StringBuilder text, string key, IReadOnlyList<string> items)
    {
        if (items.Count == 0) return;
        text.Append(key).Append(": [").AppendJoin(", ", items.Select(YamlText.Scalar)).Append("]\n");
    }

    static void Table(StringBuilder text, string key, IReadOnlyDictionary<string, string> values)
    {
        if (values.Count == 0) return;
        text.Append(key).Append(":\n");
        foreach (var (name, value) in values.OrderBy(pair => pair.Key, StringComparer.Ordinal)) Line(text, $"      {YamlText.Scalar(name)}", YamlText.Scalar(value));
    }
}
