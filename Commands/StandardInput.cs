using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text;

namespace Stigmer.Commands;

/// <summary>What comes on standard input where a word - asks for it.</summary>
static class StandardInput
{
    /// <summary>To its end. A read of a terminal or a pipe cannot be cancelled: it is left behind on its thread when a person gives up.</summary>
    public static async Task<string> ReadAll(CancellationToken cancel)
    {
        return await Task.Run(
            () =>
            {
                using var reader = new StreamReader(Console.OpenStandardInput(), new UTF8Encoding(false));
                return reader.ReadToEnd();
            },
            CancellationToken.None).WaitAsync(cancel);
    }

    /// <summary>Something comes through a pipe, and was meant to be read. /dev/null and files can be sought in.</summary>
    public static bool IsPipe()
    {
        if (!Console.IsInputRedirected) return false;
        try
        {
            using var handle = new Microsoft.Win32.SafeHandles.SafeFileHandle(0, ownsHandle: false);
            using var stream = new FileStream(handle, FileAccess.Read, bufferSize: 1);
            return !OperatingSystem.IsWindows() && !stream.CanSeek;
        }
        catch (Exception e) when (e is IOException or ArgumentException or UnauthorizedAccessException)
        {
            // Closed: there is nothing to read.
            return false;
        }
    }

    /// <summary>How many words follow <c>--</c>: they are taken as they are.</summary>
    public static int Literal(ParseResult parsed)
    {
        var dashes = parsed.Tokens.ToList().FindIndex(token => token.Type == TokenType.DoubleDash);
        return dashes < 0 ? 0 : parsed.Tokens.Count - dashes - 1;
    }
}
