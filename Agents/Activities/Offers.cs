using System.Text.Json;
using Stigmer.Agents.Tools;
using Stigmer.Rpc.V1;

namespace Stigmer.Agents.Activities;

/// <summary>What a turn's models are offered.</summary>
static class Offers
{
    /// <summary>
    /// The built-in tools that the agent's rules let through, where it has no MCP servers; else what OpenTools stored for the turn,
    /// which holds those as well.
    /// </summary>
    public static IReadOnlyList<ToolDeclaration> Of(RunSpec spec, IReadOnlyList<TranscriptEntry> transcript, int turn, ToolRules rules)
    {
        if (Stored(spec, transcript, turn) is not { } offer) return BuiltIn(rules);
        return [.. offer.Tools.Select(tool => new ToolDeclaration(tool.Name, tool.Description, JsonElement.Parse(tool.Schema)))];
    }

    /// <summary>The agent's instructions, and which of its servers are not there: a model that does not know it would look for their tools.</summary>
    public static string Instructions(RunSpec spec, IReadOnlyList<TranscriptEntry> transcript, int turn) =>
        Stored(spec, transcript, turn) is { Notes.Count: > 0 } offer ? $"{spec.Instructions}\n\nNot all of your tools are there. {string.Join("\n", offer.Notes)}" : spec.Instructions;

    static ToolOffer? Stored(RunSpec spec, IReadOnlyList<TranscriptEntry> transcript, int turn) =>
        spec.McpServers.Count == 0 ? null : transcript.LastOrDefault(entry => entry.Offer is not null && entry.Turn == turn)?.Offer;

    /// <summary>The built-in tools that the rules let through.</summary>
    public static IReadOnlyList<ToolDeclaration> BuiltIn(ToolRules rules) => [.. WorkspaceTools.All.Where(tool => rules.Offers(tool.Name))];
}
