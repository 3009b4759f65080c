using System.Globalization;

namespace Stigmer.Config;

/// <summary>A length of time as people write it: a number and ms, s, m, h or d; a bare number is seconds.</summary>
static class Durations
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

    /// <summary>Writes one, to the millisecond, with the largest unit that needs no fraction: what <see cref="TryParse"/> reads back.</summary>
    public static string Format(TimeSpan value)
    {
        var milliseconds = (long)value.TotalMilliseconds;
        foreach (var (unit, length) in (ReadOnlySpan<(string, long)>)[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)])
        {
            if (milliseconds > 0 && milliseconds % length == 0) return string.Create(CultureInfo.InvariantCulture, $"{milliseconds / length}{unit}");
        }
        return string.Create(CultureInfo.InvariantCulture, $"{milliseconds}ms");
    }
}
