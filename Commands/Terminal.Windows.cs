using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using System.Text;

namespace Stigmer.Commands;

// The console of Windows.
sealed partial class Terminal
{
    /// <summary>The console shows UTF-8: its output code page is 65001.</summary>
    [SupportedOSPlatform("windows")]
    public static bool WindowsCodePageIsUtf8() => GetConsoleOutputCP() == 65001;

    /// <summary>Has the console obey escape sequences; false where it is too old for them.</summary>
    [SupportedOSPlatform("windows")]
    public static bool EnableWindowsColor()
    {
        var enabled = false;
        foreach (var stream in (ReadOnlySpan<int>)[StdOutput, StdError])
        {
            var handle = GetStdHandle(stream);
            if (!GetConsoleMode(handle, out var mode)) continue;
            if (!SetConsoleMode(handle, mode | EnableVirtualTerminalProcessing)) return false;
            enabled = true;
        }
        return enabled;
    }

    [SupportedOSPlatform("windows")]
    async Task<string?> ReadMaskedWindows(string prompt, CancellationToken cancel)
    {
        Error.Write(prompt);
        // A read of the console cannot be cancelled: it is left behind on its thread when the command gives up.
        return await Task.Run(
            () =>
            {
                var typed = new StringBuilder();
                while (true)
                {
                    var key = Console.ReadKey(intercept: true);
                    if (key.Key == ConsoleKey.Enter) return typed.ToString();
                    if (key.Key == ConsoleKey.Z && key.Modifiers == ConsoleModifiers.Control && typed.Length == 0) return null;
                    if (key.Key == ConsoleKey.Backspace && typed.Length > 0)
                    {
                        typed.Length--;
                        Error.Write("\b \b");
                    }
                    else if (key.KeyChar >= ' ')
                    {
                        typed.Append(key.KeyChar);
                        Error.Write('*');
                    }
                }
            },
            CancellationToken.None).WaitAsync(cancel);
    }

    const int StdOutput = -11, StdError = -12;
    const uint EnableVirtualTerminalProcessing = 4;

    [LibraryImport("kernel32")]
    private static partial uint GetConsoleOutputCP();

    [LibraryImport("kernel32")]
    private static partial nint GetStdHandle(int which);

    [LibraryImport("kernel32")]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool GetConsoleMode(nint handle, out uint mode);

    [LibraryImport("kernel32")]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool SetConsoleMode(nint handle, uint mode);
}
