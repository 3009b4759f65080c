using System.Security.Cryptography;

namespace Stigmer.Server.Runs;

/// <summary>Random ids, and how they are kept.</summary>
static class Ids
{
    /// <summary>So many random bytes as lower-case hexadecimal digits.</summary>
    public static string New(int bytes) => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(bytes));

    /// <summary>A run's id: 32 lower-case hexadecimal digits.</summary>
    public static bool IsRunId(string text) => text.Length == 32 && IsPrefix(text);

    /// <summary>Could be the beginning of a run's id.</summary>
    public static bool IsPrefix(string text) => text.Length is > 0 and <= 32 && text.All(char.IsAsciiHexDigitLower);
}
