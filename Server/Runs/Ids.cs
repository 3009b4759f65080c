namespace Stigmer.Server.Runs;

/// <summary>What a run's id looks like.</summary>
static class Ids
{
    /// <summary>A run's id: 32 lower-case hexadecimal digits.</summary>
    public static bool IsRunId(string text) => text.Length == 32 && IsPrefix(text);

    /// <summary>Could be the beginning of a run's id.</summary>
    public static bool IsPrefix(string text) => text.Length is > 0 and <= 32 && text.All(char.IsAsciiHexDigitLower);
}
