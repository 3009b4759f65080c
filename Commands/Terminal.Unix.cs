using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Stigmer.Commands;

// Reading a secret on Linux and macOS. Console.ReadKey switches the echo off only while it reads, so that characters of a
// pasted key that arrive between two reads would be shown.
sealed partial class Terminal
{
    [UnsupportedOSPlatform("windows")]
    async Task<string?> ReadMaskedUnix(string prompt, CancellationToken cancel)
    {
        if (Termios.Get() is not { } before || !Termios.Set(Termios.Silent(before))) return null;
        try
        {
            // Only now: what is typed at the sight of it must not be shown.
            Error.Write(prompt);
            // A read of a terminal cannot be cancelled: it is left behind on its thread when the command gives up.
            return await Task.Run(ReadMaskedBytes, CancellationToken.None).WaitAsync(cancel);
        }
        finally
        {
            _ = Termios.Set(before);
        }
    }

    string? ReadMaskedBytes()
    {
        // Not the console's stream, which on a terminal reads lines and shows them.
        using var handle = new SafeFileHandle(0, ownsHandle: false);
        using var input = new FileStream(handle, FileAccess.Read, bufferSize: 0);
        var typed = new List<byte>();
        var buffer = new byte[256];
        while (true)
        {
            var count = input.Read(buffer);
            if (count <= 0) return typed.Count == 0 ? null : Text();
            foreach (var b in buffer.AsSpan(0, count))
            {
                switch (b)
                {
                    case (byte)'\r' or (byte)'\n':
                        return Text();
                    case 0x04 when typed.Count == 0:
                        return null;
                    case 0x7f or 0x08:
                        if (typed.Count == 0) break;
                        // All bytes of the last character.
                        while (typed.Count > 1 && (typed[^1] & 0xc0) == 0x80) typed.RemoveAt(typed.Count - 1);
                        typed.RemoveAt(typed.Count - 1);
                        Error.Write("\b \b");
                        break;
                    case < 0x20:
                        break;
                    default:
                        typed.Add(b);
                        if ((b & 0xc0) != 0x80) Error.Write('*');
                        break;
                }
            }
        }

        string Text() => Encoding.UTF8.GetString(CollectionsMarshal.AsSpan(typed));
    }
}
