using Stigmer.Config;
using Stigmer.Processes;

namespace Stigmer.Runtime;

/// <summary>
/// run/daemon.lock. Whoever holds it is the daemon of this home: the one truth about 'running'. The kernel releases it however
/// its holder ends.
/// </summary>
sealed class DaemonLock : IDisposable
{
    readonly FileStream held;

    readonly string path;

    DaemonLock(FileStream held, string path) => (this.held, this.path) = (held, path);

    /// <summary>
    /// False where the file has been removed, with its home most likely: nobody can tell any more that its holder runs, and
    /// another daemon may hold a new one.
    /// </summary>
    public bool IsIntact => OperatingSystem.IsLinux() ? LinuxFile.IsNamed(held.SafeFileHandle, path) : File.Exists(path);

    /// <summary>The process that holds the lock, as the system says; null where nobody does, or it does not say.</summary>
    public static ProcessIdentity? Holder(StigmerHome home) => OperatingSystem.IsLinux() ? LinuxProcessTable.LockHolder(home.DaemonLock) : null;

    /// <summary>Takes the lock; null where somebody holds it. Fails with exit code 2 where it is not this user's.</summary>
    public static DaemonLock? TryTake(StigmerHome home)
    {
        StateFiles.ClearAway(home.DaemonLock);
        // None: an exclusive flock on Linux and macOS.
        try
        {
            return new DaemonLock(new FileStream(home.DaemonLock, PrivateFile.Options(FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None)), home.DaemonLock);
        }
        catch (UnauthorizedAccessException e)
        {
            throw Foreign(home, e);
        }
        // EROFS: nobody holds what nobody can open.
        catch (IOException e) when (e.HResult == 30)
        {
            throw new Failure($"Nothing can be written in {home.Run}", e.Message, "Set STIGMER_HOME to a folder that you can write to", ExitCode.Usage, e);
        }
        catch (IOException) when (File.Exists(home.DaemonLock))
        {
            return null;
        }
    }

    static Failure Foreign(StigmerHome home, Exception e) =>
        new($"{home.Run} is another user's", e.Message, "Set STIGMER_HOME to a folder that you can write to", ExitCode.Usage, e);

    /// <summary>
    /// Somebody holds it. Asking takes it for an instant, shared with others who ask: a daemon that starts in that instant
    /// finds it taken, and its launcher, which then sees that nobody holds it, starts another. Fails where it is not this user's.
    /// </summary>
    public static bool IsHeld(StigmerHome home)
    {
        try
        {
            using var probe = new FileStream(home.DaemonLock, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            return false;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return false;
        }
        catch (UnauthorizedAccessException) when (Directory.Exists(home.DaemonLock))
        {
            return false; // Who takes the lock clears it away.
        }
        catch (UnauthorizedAccessException e)
        {
            throw Foreign(home, e);
        }
        catch (IOException)
        {
            return true;
        }
    }

    /// <summary>The file stays: removing it would let two daemons lock two files of one name.</summary>
    public void Dispose() => held.Dispose();
}
