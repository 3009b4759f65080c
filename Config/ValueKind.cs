using System.Globalization;

namespace Stigmer.Config;

/// <summary>The YAML type that a value is written as.</summary>
enum Shape { Text, Whole, Number, Switch }

/// <summary>What a value may be, wherever it stands: in config.yaml, in an environment variable or after a flag.</summary>
/// <param name="Shape">How config.yaml writes it.</param>
/// <param name="Allowed">What is allowed, to follow "it must be".</param>
/// <param name="Accepts">Whether a trimmed text that is not empty is allowed.</param>
/// <param name="Revealing">A refused text may be shown; false where a secret may stand in it by mistake.</param>
sealed record ValueKind(Shape Shape, string Allowed, Predicate<string> Accepts, bool Revealing = true)
{
    /// <summary>true or false.</summary>
    public static readonly ValueKind Switch = new(Shape.Switch, "true or false", text => TrySwitch(text, out _));

    /// <summary>A name without spaces.</summary>
    public static readonly ValueKind Word = new(
        Shape.Text, "a name without spaces", text => !text.Any(symbol => char.IsControl(symbol) || char.IsWhiteSpace(symbol)));

    /// <summary>A path; <c>~/</c> is the user's home. <c>~somebody/</c> is a shell's business.</summary>
    public static readonly ValueKind FilePath = new(
        Shape.Text, "a path, absolute or beginning with ~/",
        text => !text.Any(char.IsControl) && !(text[0] == '~' && text.Length > 1 && text[1] is not ('/' or '\\')));

    /// <summary>The base of a provider's API.</summary>
    public static readonly ValueKind Url = new(
        Shape.Text, "an http:// or https:// address without a user name, a ? or a #", text => TryUrl(text, out _), Revealing: false);

    /// <summary>The base of what is downloaded; a login in it is sent there, and shown nowhere.</summary>
    public static readonly ValueKind Download = new(
        Shape.Text, "an http:// or https:// address without a ? or a #", text => TryUrl(text, out _, mayLogIn: true), Revealing: false);

    /// <summary>HOST:PORT of some server.</summary>
    public static readonly ValueKind Address = new(
        Shape.Text, "HOST:PORT, such as localhost:7233", text => HostPort.TryParse(text, out var value) && IsHost(value.Host) && value.Port > 0);

    /// <summary>HOST:PORT on which this machine alone can be reached; port 0 is a free one.</summary>
    public static readonly ValueKind Loopback = new(
        Shape.Text, "HOST:PORT of this machine alone: localhost, 127.0.0.1 or [::1] (`stigmer server --listen` serves others)",
        text => HostPort.TryParse(text, out var value) && value.IsLoopback);

    /// <summary>A port; 0 is a free one.</summary>
    public static readonly ValueKind Port = Whole(0, 65535);

    /// <summary>A release.</summary>
    public static readonly ValueKind Release = new(
        Shape.Text, "a release of Temporal's CLI, such as 1.8.2", text => TemporalReleases.TryParse(text, out _));

    /// <summary>One of some names, whatever their case.</summary>
    public static ValueKind OneOf(params IEnumerable<string> names)
    {
        var all = names.ToArray();
        return new(Shape.Text, $"{string.Join(", ", all[..^1])} or {all[^1]}", text => all.Contains(text, StringComparer.OrdinalIgnoreCase));
    }

    /// <summary>A whole number.</summary>
    public static ValueKind Whole(int least, int most) => new(
        Shape.Whole, $"a whole number from {least} to {most}",
        text => int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) && value >= least && value <= most);

    /// <summary>A number.</summary>
    public static ValueKind Number(double least, double most) => new(
        Shape.Number, string.Create(CultureInfo.InvariantCulture, $"a number from {least} to {most}"),
        text => double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && value >= least && value <= most);

    /// <summary>What is wrong with a text, as a clause after its name; null where nothing is.</summary>
    public string? Problem(string text) => Accepts(text) ? null : Revealing ? $"is {Quote(text)}: it must be {Allowed}" : $"must be {Allowed}";

    /// <summary>A text as an error shows it: short and on one line.</summary>
    public static string Quote(string text)
    {
        var shown = string.Concat(text.Take(60).Select(symbol => char.IsControl(symbol) ? ' ' : symbol));
        return $"\"{shown}{(text.Length > 60 ? "…" : "")}\"";
    }

    /// <summary>Reads true or false, in the three spellings of YAML.</summary>
    public static bool TrySwitch(string text, out bool value)
    {
        value = text is "true" or "True" or "TRUE";
        return value || text is "false" or "False" or "FALSE";
    }

    /// <summary>Reads the base of an API: absolute, http or https, nothing after the path, and no password, since it is shown and logged.</summary>
    /// <param name="text">With or without a trailing slash.</param>
    /// <param name="value">Without one.</param>
    /// <param name="mayLogIn">USER:PASSWORD@ may stand before the host.</param>
    public static bool TryUrl(string text, out string value, bool mayLogIn = false)
    {
        value = text.TrimEnd('/');
        return (text.StartsWith("http://", StringComparison.OrdinalIgnoreCase) || text.StartsWith("https://", StringComparison.OrdinalIgnoreCase))
            && Uri.TryCreate(text, UriKind.Absolute, out var uri) && uri.Host.Length > 0 && (mayLogIn || (uri.UserInfo.Length == 0 && !text.Contains('@', StringComparison.Ordinal)))
            && text.AsSpan().IndexOfAny("?# ") < 0;
    }

    static bool IsHost(string host) => Uri.CheckHostName(host.Trim('[', ']')) is not UriHostNameType.Unknown;
}
