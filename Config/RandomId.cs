using System.Security.Cryptography;

namespace Stigmer.Config;

/// <summary>Ids, keys and tokens that nobody can guess and no two share.</summary>
static class RandomId
{
    /// <summary>So many random bytes as lower-case hexadecimal digits, two a byte.</summary>
    public static string New(int bytes = 16) => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(bytes));
}
