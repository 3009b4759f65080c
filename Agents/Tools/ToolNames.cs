using System.Globalization;

namespace Stigmer.Agents.Tools;

/// <summary>
/// The names of tools as providers take them, and back: <c>workspace.read</c> is <c>workspace_read</c> on the wire. Anthropic
/// and OpenAI allow letters, digits, _ and -, 64 characters at most, and Ollama's templates are trained on such names.
/// </summary>
sealed class ToolNames
{
    const int MaxLength = 64;

    readonly Dictionary<string, string> toWire = new(StringComparer.Ordinal);
    readonly Dictionary<string, string> toAgent = new(StringComparer.Ordinal);

    /// <summary>Maps these names, in their order: where two would be the same on the wire, the later one gets a number.</summary>
    public ToolNames(IEnumerable<string> agentNames)
    {
        foreach (var name in agentNames)
        {
            if (toWire.ContainsKey(name)) continue;
            var wire = Sanitised(name);
            for (var n = 2; toAgent.ContainsKey(wire); n++)
            {
                var suffix = "_" + n.ToString(CultureInfo.InvariantCulture);
                var stem = Sanitised(name);
                wire = stem[..Math.Min(stem.Length, MaxLength - suffix.Length)] + suffix;
            }
            toWire[name] = wire;
            toAgent[wire] = name;
        }
    }

    /// <summary>The name on the wire; for a tool that is not offered (any more) a name of the allowed form.</summary>
    public string ToWire(string agentName) => toWire.GetValueOrDefault(agentName) ?? Sanitised(agentName);

    /// <summary>
    /// The agent's name for what a model called. A model may write the agent's own form (it stands in texts that it reads). A
    /// name that is not offered comes back as it is: whoever runs the call tells the model that there is no such tool.
    /// </summary>
    public string ToAgent(string wireName) =>
        toAgent.GetValueOrDefault(wireName) ?? (toWire.ContainsKey(wireName) ? wireName : toAgent.GetValueOrDefault(Sanitised(wireName)) ?? wireName);

    /// <summary>Whether an agent's name is among the mapped ones.</summary>
    public bool IsOffered(string agentName) => toWire.ContainsKey(agentName);

    static string Sanitised(string name)
    {
        var length = Math.Min(name.Length, MaxLength);
        if (length == 0) return "_";
        return string.Create(length, name, static (to, from) =>
        {
            for (var i = 0; i < to.Length; i++) to[i] = char.IsAsciiLetterOrDigit(from[i]) || from[i] is '_' or '-' ? from[i] : '_';
        });
    }
}
