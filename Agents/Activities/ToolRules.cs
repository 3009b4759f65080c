namespace Stigmer.Agents.Activities;

/// <summary>Which tools a person must say yes to, and which are never run twice: an agent's own rules take their place here.</summary>
static class ToolRules
{
    static readonly string[] Approve = ["workspace.write", "workspace.run"];

    static readonly string[] NotTwice = ["workspace.run"];

    /// <summary>A person must say yes before it runs.</summary>
    public static bool NeedsApproval(string tool) => Approve.Contains(tool, StringComparer.Ordinal);

    /// <summary>Never run again when its outcome is unknown.</summary>
    public static bool Once(string tool) => NotTwice.Contains(tool, StringComparer.Ordinal);
}
