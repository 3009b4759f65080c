using System.CommandLine;
using System.Globalization;

namespace Stigmer.Commands;

/// <summary>A length of time as it is typed: a number and ms, s, m, h or d; a bare number is seconds.</summary>
static class Duration
{
    static readonly (string Unit, double Seconds)[] Units = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400)];

    /// <summary>Reads one; false for anything else, negative numbers and more than 100 years among it.</summary>
    public static bool TryParse(string text, out TimeSpan value)
    {
        value = default;
        var number = text.AsSpan();
        var factor = 1.0;
        foreach (var (unit, seconds) in Units)
        {
            if (!text.EndsWith(unit, StringComparison.Ordinal)) continue;
            number = text.AsSpan(0, text.Length - unit.Length);
            factor = seconds;
            break;
        }
        if (!double.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var count)) return false;
        if (!(count * factor <= TimeSpan.FromDays(36525).TotalSeconds)) return false; // Also not a number.
        value = TimeSpan.FromSeconds(count * factor);
        return true;
    }

    /// <summary>An option that takes one; null where it is not given.</summary>
    public static Option<TimeSpan?> Option(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "30s|10m|2h",
        CustomParser = result =>
        {
            if (TryParse(result.Tokens[0].Value, out var value)) return value;
            result.AddError($"\"{result.Tokens[0].Value}\" is no duration for {name}: a number and ms, s, m, h or d");
            return null;
        },
    };
}
