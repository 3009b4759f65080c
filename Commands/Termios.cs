using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace Stigmer.Commands;

/// <summary>How the terminal on standard input treats what is typed, on Linux and macOS.</summary>
[UnsupportedOSPlatform("windows")]
static partial class Termios
{
    // struct termios: Linux has 32-bit flags, c_line and then c_cc (VTIME 5, VMIN 6); macOS 64-bit flags and c_cc (VMIN 16,
    // VTIME 17). Both: input flags first, then output, control, local.
    const uint Echo = 8;

    static uint Signals => OperatingSystem.IsLinux() ? 1u : 0x80;

    static uint Canonical => OperatingSystem.IsLinux() ? 2u : 0x100;

    static uint Extensions => OperatingSystem.IsLinux() ? 0x8000u : 0x400;

    // BRKINT, ISTRIP, INLCR, IGNCR, ICRNL and IXON.
    static uint Input => 0x02u | 0x20 | 0x40 | 0x80 | 0x100 | (OperatingSystem.IsLinux() ? 0x400u : 0x200);

    /// <summary>The settings now; null where standard input is no terminal.</summary>
    public static byte[]? Get()
    {
        var settings = new byte[256];
        return TcGetAttr(0, settings) == 0 ? settings : null;
    }

    /// <summary>Puts settings in force; false where that cannot be.</summary>
    /// <param name="flush">What was typed before is dropped.</param>
    public static bool Set(byte[] settings, bool flush = false) => TcSetAttr(0, flush ? TcsaFlush : TcsaNow, settings) == 0;

    /// <summary>The same settings, but each byte is handed over when it comes and none is shown. Keys still send signals.</summary>
    public static byte[] Silent(byte[] settings) => Without(settings, 0, Echo | Canonical);

    /// <summary>The same settings, but every key is only a byte. What is written is treated as before.</summary>
    /// <param name="signals">Ctrl-C and its like still send signals.</param>
    public static byte[] Raw(byte[] settings, bool signals) =>
        Without(settings, Input, Echo | Canonical | Extensions | (signals ? 0 : Signals));

    static byte[] Without(byte[] settings, uint input, uint local)
    {
        var changed = (byte[])settings.Clone();
        if (OperatingSystem.IsLinux())
        {
            Clear32(changed.AsSpan(0), input);
            Clear32(changed.AsSpan(12), local);
            (changed[17 + 5], changed[17 + 6]) = (0, 1);
        }
        else
        {
            Clear64(changed.AsSpan(0), input);
            Clear64(changed.AsSpan(24), local);
            (changed[32 + 16], changed[32 + 17]) = (1, 0);
        }
        return changed;
    }

    static void Clear32(Span<byte> flags, uint bits) => BinaryPrimitives.WriteUInt32LittleEndian(flags, BinaryPrimitives.ReadUInt32LittleEndian(flags) & ~bits);

    static void Clear64(Span<byte> flags, ulong bits) => BinaryPrimitives.WriteUInt64LittleEndian(flags, BinaryPrimitives.ReadUInt64LittleEndian(flags) & ~bits);

    const int TcsaNow = 0, TcsaFlush = 2;

    [LibraryImport("libc", EntryPoint = "tcgetattr")]
    private static partial int TcGetAttr(int descriptor, [Out] byte[] termios);

    [LibraryImport("libc", EntryPoint = "tcsetattr")]
    private static partial int TcSetAttr(int descriptor, int when, byte[] termios);
}
