using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using System.Text;
using System.Threading.Channels;

namespace Stigmer.Commands;

/// <summary>The keys of a Windows console, which is asked to write them as terminals do.</summary>
[SupportedOSPlatform("windows")]
sealed partial class WindowsKeyboard : Keyboard
{
    // A read of the console cannot be cancelled: one thread reads for as long as the process lives, and what it read waits here.
    static readonly Channel<byte[]> typed = Channel.CreateUnbounded<byte[]>();
    static Thread? reader;

    readonly nint handle;
    readonly uint before;
    byte[] rest = [];

    WindowsKeyboard(nint handle, uint before) => (this.handle, this.before) = (handle, before);

    public static new WindowsKeyboard? Open(bool signals)
    {
        var handle = GetStdHandle(StdInput);
        if (!GetConsoleMode(handle, out var before)) return null;
        var mode = (before & ~(ProcessedInput | LineInput | EchoInput)) | VirtualTerminalInput | (signals ? ProcessedInput : 0);
        if (!SetConsoleMode(handle, mode)) return null;
        if (reader is null)
        {
            reader = new Thread(() => Pump(handle)) { IsBackground = true, Name = "keyboard" };
            reader.Start();
        }
        return new WindowsKeyboard(handle, before);
    }

    public override (int Columns, int Rows) Size => (Math.Max(1, Console.WindowWidth), Math.Max(1, Console.WindowHeight));

    public override async Task<int> Read(Memory<byte> buffer, CancellationToken cancel)
    {
        if (rest.Length == 0)
        {
            if (!await typed.Reader.WaitToReadAsync(cancel)) return 0;
            if (!typed.Reader.TryRead(out rest!)) return 0;
        }
        var count = Math.Min(rest.Length, buffer.Length);
        rest.AsMemory(0, count).CopyTo(buffer);
        rest = rest[count..];
        return count;
    }

    public override void Suspend()
    {
    }

    public override void Dispose() => _ = SetConsoleMode(handle, before);

    static unsafe void Pump(nint handle)
    {
        var buffer = stackalloc char[256];
        // Half a character may stand at the end of a read.
        var encoder = new UTF8Encoding(false).GetEncoder();
        while (ReadConsoleW(handle, buffer, 256, out var count, 0) && count > 0)
        {
            var bytes = new byte[encoder.GetByteCount(new ReadOnlySpan<char>(buffer, (int)count), flush: false)];
            encoder.GetBytes(new ReadOnlySpan<char>(buffer, (int)count), bytes, flush: false);
            if (bytes.Length > 0) typed.Writer.TryWrite(bytes);
        }
        typed.Writer.TryComplete();
    }

    const int StdInput = -10;
    const uint ProcessedInput = 1, LineInput = 2, EchoInput = 4, VirtualTerminalInput = 0x200;

    [LibraryImport("kernel32")]
    private static partial nint GetStdHandle(int which);

    [LibraryImport("kernel32")]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool GetConsoleMode(nint handle, out uint mode);

    [LibraryImport("kernel32")]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool SetConsoleMode(nint handle, uint mode);

    [LibraryImport("kernel32")]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static unsafe partial bool ReadConsoleW(nint handle, char* buffer, uint length, out uint read, nint control);
}
