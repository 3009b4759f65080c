using System.CommandLine;
using Stigmer.Config;

namespace Stigmer.Commands;

/// <summary>A length of time as an option takes it.</summary>
static class Duration
{
    /// <summary>An option that takes one; null where it is not given.</summary>
    public static Option<TimeSpan?> Option(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "30s|10m|2h",
        CustomParser = result =>
        {
            if (Durations.TryParse(result.Tokens[0].Value, out var value)) return value;
            result.AddError($"\"{result.Tokens[0].Value}\" is no duration for {name}: a number and ms, s, m, h or d");
            return null;
        },
    };
}
