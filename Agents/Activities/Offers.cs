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
        var offer = spec.McpServers.Count == 0 ? null : transcript.LastOrDefault(entry => entry.Offer is not null && entry.Turn == turn)?.Offer;
        if (offer is null) return BuiltIn(rules);
        return [.. offer.Tools.Select(tool => new ToolDeclaration(tool.Name, tool.Description, JsonElement.Parse(tool.Schema)))];
    }

    /// <summary>The built-in tools that the rules let through.</summary>
    public static IReadOnlyList<ToolDeclaration> BuiltIn(ToolRules rules) => [.. WorkspaceTools.All.Where(tool => rules.Offers(tool.Name))];
}
