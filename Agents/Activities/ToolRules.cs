namespace Stigmer.Agents.Activities;

/// <summary>
/// What an agent's patterns say of a tool: whether it is offered, whether a person must say yes, whether it may run twice. In a
/// pattern * stands for any run of characters; the last one that matches counts, and one that begins with ! takes out.
/// </summary>
sealed class ToolRules
{
    static readonly string[] Dangerous = ["workspace.write", "workspace.run"];

    static readonly string[] NotTwice = ["workspace.run"];

    readonly IReadOnlyList<string> allow;
    readonly IReadOnlyList<string> approve;
    readonly IReadOnlyList<string> once;

    ToolRules(IReadOnlyList<string> allow, IReadOnlyList<string> approve, IReadOnlyList<string> once) => (this.allow, this.approve, this.once) = (allow, approve, once);

    /// <summary>Those of a run; null: a run without any of its own.</summary>
    public static ToolRules Of(Rpc.V1.ToolRules? rules) =>
        new([.. rules?.Allow ?? []], [.. Dangerous, .. rules?.Approve ?? []], [.. NotTwice, .. rules?.Once ?? []]);

    /// <summary>The model is offered the tool, and may call it. A list that begins by taking out takes it out of everything.</summary>
    public bool Offers(string tool) => Last(allow, tool) ?? (allow.Count == 0 || allow[0].StartsWith('!'));

    /// <summary>A person must say yes before it runs.</summary>
    public bool NeedsApproval(string tool) => Last(approve, tool) == true;

    /// <summary>Never run again when its outcome is unknown.</summary>
    public bool Once(string tool) => Last(once, tool) == true;

    /// <summary>Null: no pattern matches.</summary>
    static bool? Last(IReadOnlyList<string> patterns, string tool)
    {
        for (var i = patterns.Count - 1; i >= 0; i--)
        {
            var takesOut = patterns[i].StartsWith('!');
            if (Matches(takesOut ? patterns[i].AsSpan(1) : patterns[i], tool)) return !takesOut;
        }
        return null;
    }

    static bool Matches(ReadOnlySpan<char> pattern, ReadOnlySpan<char> text)
    {
        // Where the last * stands, and how much of the text it has taken so far.
        int at = 0, star = -1, taken = 0, next = 0;
        while (at < text.Length)
        {
            if (next < pattern.Length && pattern[next] == '*')
            {
                star = next++;
                taken = at;
            }
            else if (next < pattern.Length && pattern[next] == text[at])
            {
                next++;
                at++;
            }
            else if (star >= 0)
            {
                next = star + 1;
                at = ++taken;
            }
            else
            {
                return false;
            }
        }
        return pattern[next..].TrimStart('*').IsEmpty;
    }
}
