using System.Buffers.Binary;
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
        var before = new byte[256];
        if (TcGetAttr(0, before) != 0) return null;
        var masked = (byte[])before.Clone();
        // struct termios: Linux has 32-bit flags, c_line and then c_cc (VTIME 5, VMIN 6); macOS 64-bit flags and c_cc (VMIN 16,
        // VTIME 17). ECHO is 8 on both; ICANON 2 there and 0x100 here.
        if (OperatingSystem.IsLinux())
        {
            var local = BinaryPrimitives.ReadUInt32LittleEndian(masked.AsSpan(12));
            BinaryPrimitives.WriteUInt32LittleEndian(masked.AsSpan(12), local & ~(8u | 2u));
            (masked[17 + 5], masked[17 + 6]) = (0, 1);
        }
        else
        {
            var local = BinaryPrimitives.ReadUInt64LittleEndian(masked.AsSpan(24));
            BinaryPrimitives.WriteUInt64LittleEndian(masked.AsSpan(24), local & ~(8ul | 0x100ul));
            (masked[32 + 16], masked[32 + 17]) = (1, 0);
        }
        if (TcSetAttr(0, TcsaNow, masked) != 0) return null;
        try
        {
            // Only now: what is typed at the sight of it must not be shown.
            Error.Write(prompt);
            // A read of a terminal cannot be cancelled: it is left behind on its thread when the command gives up.
            return await Task.Run(ReadMaskedBytes, CancellationToken.None).WaitAsync(cancel);
        }
        finally
        {
            _ = TcSetAttr(0, TcsaNow, before);
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

    const int TcsaNow = 0;

    [LibraryImport("libc", EntryPoint = "tcgetattr")]
    private static partial int TcGetAttr(int descriptor, [Out] byte[] termios);

    [LibraryImport("libc", EntryPoint = "tcsetattr")]
    private static partial int TcSetAttr(int descriptor, int when, byte[] termios);
}
