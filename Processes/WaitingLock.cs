using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;
using Stigmer.Config;

namespace Stigmer.Processes;

/// <summary>An exclusive lock on a file that is waited for; the kernel releases it however its holder ends. The file stays.</summary>
sealed class WaitingLock : IDisposable
{
    /// <summary>Where the system has no lock that waits and can be given up.</summary>
    static readonly TimeSpan Again = TimeSpan.FromMilliseconds(500);

    readonly IDisposable held;

    WaitingLock(IDisposable held) => this.held = held;

    /// <summary>Waits for the lock. The file's folder must exist.</summary>
    public static async Task<WaitingLock> Take(string path, TimeProvider time, CancellationToken cancel)
    {
        if (OperatingSystem.IsWindows())
        {
            while (true)
            {
                try
                {
                    return new WaitingLock(new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None));
                }
                catch (IOException) when (File.Exists(path))
                {
                    await Task.Delay(Again, time, cancel);
                }
            }
        }
        return await TakeUnix(path, cancel);
    }

    [UnsupportedOSPlatform("windows")]
    static async Task<WaitingLock> TakeUnix(string path, CancellationToken cancel)
    {
        Make(path);
        var descriptor = Libc.open(path, Libc.O_RDWR | Libc.O_CLOEXEC);
        if (descriptor < 0) throw LastError(path);
        var file = new SafeFileHandle(descriptor, ownsHandle: true);
        var taken = new TaskCompletionSource<WaitingLock>(TaskCreationOptions.RunContinuationsAsynchronously);
        using var givenUp = cancel.Register(() => taken.TrySetCanceled(cancel));
        new Thread(() => Wait(path, file, taken), 256 * 1024) { IsBackground = true, Name = "lock" }.Start();
        return await taken.Task;
    }

    [UnsupportedOSPlatform("windows")]
    static void Wait(string path, SafeFileHandle file, TaskCompletionSource<WaitingLock> taken)
    {
        int result;
        do result = Libc.flock((int)file.DangerousGetHandle(), Libc.LOCK_EX);
        while (result != 0 && Marshal.GetLastPInvokeError() == Libc.EINTR);
        // Nothing ends a wait that was given up; what it comes to is given back.
        var won = result == 0 ? taken.TrySetResult(new WaitingLock(file)) : taken.TrySetException(LastError(path));
        if (!won || result != 0) file.Dispose();
    }

    static IOException LastError(string path) => new($"{path}: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}");

    /// <inheritdoc/>
    public void Dispose() => held.Dispose();

    static void Make(string path)
    {
        if (File.Exists(path)) return;
        try
        {
            new FileStream(path, PrivateFile.Options(FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite)).Dispose();
        }
        catch (IOException) when (File.Exists(path))
        {
            // Another made it, and may hold it already.
        }
    }
}
