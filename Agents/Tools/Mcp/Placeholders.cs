using System.Text;

namespace Stigmer.Agents.Tools.Mcp;

/// <summary>Fills <c>${NAME}</c> from an environment, and knows afterwards what is not to be shown.</summary>
/// <param name="environment">A variable's value; null: it is not set.</param>
sealed class Placeholders(Func<string, string?> environment)
{
    /// <summary>What is shorter stands in any text by chance.</summary>
    const int ShortestSecret = 6;

    readonly HashSet<string> secrets = new(StringComparer.Ordinal);

    /// <summary>The names that were not set, in the order in which they were met.</summary>
    public List<string> Missing { get; } = [];

    /// <summary>The text with all of them filled in; what is no name of a variable stays as it is.</summary>
    public string Fill(string text)
    {
        var filled = new StringBuilder(text.Length);
        var at = 0;
        while (true)
        {
            var open = text.IndexOf("${", at, StringComparison.Ordinal);
            var close = open < 0 ? -1 : text.IndexOf('}', open);
            if (close < 0) return filled.Append(text, at, text.Length - at).ToString();
            var name = text[(open + 2)..close];
            if (!IsName(name))
            {
                filled.Append(text, at, open + 2 - at);
                at = open + 2;
                continue;
            }
            filled.Append(text, at, open - at);
            if (environment(name) is { } value)
            {
                filled.Append(value);
                if (value.Length >= ShortestSecret) secrets.Add(value);
            }
            else if (!Missing.Contains(name))
            {
                Missing.Add(name);
            }
            at = close + 1;
        }
    }

    /// <summary>A text for people and models, in which no filled-in value stands.</summary>
    public string Hide(string text) => secrets.Aggregate(text, (shown, secret) => shown.Replace(secret, "***", StringComparison.Ordinal));

    static bool IsName(string name) => name.Length > 0 && !char.IsAsciiDigit(name[0]) && name.All(c => char.IsAsciiLetterOrDigit(c) || c == '_');
}
