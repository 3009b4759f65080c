using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Stigmer.Processes;

namespace Stigmer.Commands;

/// <summary>The keys of a terminal on Linux and macOS.</summary>
[UnsupportedOSPlatform("windows")]
sealed partial class UnixKeyboard : Keyboard
{
    readonly byte[] before, raw;
    readonly Lock gate = new();
    readonly List<PosixSignalRegistration> registrations = [];
    bool active = true;

    UnixKeyboard(byte[] before, byte[] raw)
    {
        (this.before, this.raw) = (before, raw);
        On(PosixSignal.SIGWINCH, _ => Disturbed?.Invoke());
        On(PosixSignal.SIGCONT, signal =>
        {
            // The runtime would put the terminal into the state in which it found it.
            signal.Cancel = true;
            Resume();
        });
        On(PosixSignal.SIGTSTP, Stop);
        // Whatever ends the process, the shell finds the terminal as it was.
        foreach (var signal in (ReadOnlySpan<PosixSignal>)[PosixSignal.SIGTERM, PosixSignal.SIGHUP, PosixSignal.SIGQUIT]) On(signal, _ => Restore());
        On(PosixSignal.SIGINT, _ =>
        {
            if (Interrupt.Taker is null) Restore();
        });
        AppDomain.CurrentDomain.ProcessExit += Exit;
    }

    public static new UnixKeyboard? Open(bool signals)
    {
        if (Termios.Get() is not { } before) return null;
        var raw = Termios.Raw(before, signals);
        return Termios.Set(raw, flush: signals) ? new UnixKeyboard(before, raw) : null;
    }

    public override (int Columns, int Rows) Size
    {
        get
        {
            // struct winsize: rows, columns.
            Span<ushort> size = stackalloc ushort[4];
            return WindowSize(size) && size[1] > 0 ? (size[1], Math.Max((ushort)1, size[0])) : (80, 24);
        }
    }

    public override async Task<int> Read(Memory<byte> buffer, CancellationToken cancel)
    {
        var wake = new int[2];
        if (pipe(wake) != 0) throw new IOException("there is no descriptor left for a pipe");
        try
        {
            // The registration is gone, also where its callback runs, before the pipe is closed.
            await using var registration = cancel.UnsafeRegister(_ => WriteByte(wake[1]), null);
            var count = await Task.Run(() => ReadOrWoken(buffer, wake[0]), CancellationToken.None);
            if (count < 0) cancel.ThrowIfCancellationRequested();
            return Math.Max(0, count);
        }
        finally
        {
            _ = close(wake[0]);
            _ = close(wake[1]);
        }
    }

    public override void Suspend() => _ = Libc.kill(0, SigTstp);

    public override void Dispose()
    {
        AppDomain.CurrentDomain.ProcessExit -= Exit;
        foreach (var registration in registrations) registration.Dispose();
        lock (gate) active = false;
        _ = Termios.Set(before);
    }

    static int SigTstp => OperatingSystem.IsLinux() ? 20 : 18;

    static int SigStop => OperatingSystem.IsLinux() ? 19 : 17;

    void On(PosixSignal signal, Action<PosixSignalContext> handler) => registrations.Add(PosixSignalRegistration.Create(signal, handler));

    void Stop(PosixSignalContext signal)
    {
        Restore();
        signal.Cancel = true;
        _ = Libc.kill(Environment.ProcessId, SigStop);
        // Here after it was continued; the signal for that may have been seen before this.
        Resume();
    }

    void Resume()
    {
        lock (gate)
        {
            if (!active) return;
            _ = Termios.Set(raw);
        }
        Disturbed?.Invoke();
    }

    void Restore()
    {
        lock (gate)
        {
            if (active) _ = Termios.Set(before);
        }
    }

    void Exit(object? sender, EventArgs e) => Restore();

    // -1: woken.
    static unsafe int ReadOrWoken(Memory<byte> buffer, int wake)
    {
        var polled = stackalloc PollDescriptor[2];
        polled[0] = new PollDescriptor { Descriptor = 0, Events = PollIn };
        polled[1] = new PollDescriptor { Descriptor = wake, Events = PollIn };
        while (true)
        {
            if (poll(polled, 2, -1) < 0) continue; // Interrupted by a signal.
            if (polled[1].Happened != 0) return -1;
            if (polled[0].Happened == 0) continue;
            using var pinned = buffer.Pin();
            var count = read(0, (byte*)pinned.Pointer, (nuint)buffer.Length);
            if (count >= 0) return (int)count;
            // EINTR; anything else (EIO) is a terminal that has gone.
            if (Marshal.GetLastPInvokeError() != 4) return 0;
        }
    }

    static unsafe void WriteByte(int descriptor)
    {
        byte any = 0;
        _ = write(descriptor, &any, 1);
    }

    static unsafe bool WindowSize(Span<ushort> size)
    {
        fixed (ushort* at = size)
        {
            // ioctl takes its third argument as a variadic one: on Apple's arm64 those lie on the stack, behind the eight that
            // registers hold.
            if (OperatingSystem.IsMacOS() && RuntimeInformation.ProcessArchitecture == Architecture.Arm64) return ioctl(0, 0x40087468, 0, 0, 0, 0, 0, 0, at) == 0;
            return ioctl(0, OperatingSystem.IsMacOS() ? 0x40087468u : 0x5413, at) == 0;
        }
    }

    const short PollIn = 1;

    [StructLayout(LayoutKind.Sequential)]
    struct PollDescriptor
    {
        public int Descriptor;
        public short Events;
        public short Happened;
    }

    [LibraryImport("libc")]
    private static unsafe partial int poll(PollDescriptor* descriptors, nuint count, int timeout);

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial nint read(int descriptor, byte* buffer, nuint count);

    [LibraryImport("libc")]
    private static unsafe partial nint write(int descriptor, byte* buffer, nuint count);

    [LibraryImport("libc")]
    private static partial int pipe([Out] int[] ends);

    [LibraryImport("libc")]
    private static partial int close(int descriptor);

    [LibraryImport("libc")]
    private static unsafe partial int ioctl(int descriptor, nuint request, void* argument);

    [LibraryImport("libc")]
    private static unsafe partial int ioctl(int descriptor, nuint request, nint a, nint b, nint c, nint d, nint e, nint f, void* argument);
}
