using System.Net.Sockets;
using Microsoft.Win32.SafeHandles;
using Stigmer.Processes;

namespace Stigmer.Runtime.Control;

/// <summary>run/control.sock: a Unix domain socket, on Windows too. Its path has to fit into the address of such a socket.</summary>
static class ControlSocket
{
    /// <summary>The room in sockaddr_un without the final zero: 108 bytes on Linux and Windows, 104 on macOS.</summary>
    static int Longest => OperatingSystem.IsMacOS() ? 103 : 107;

    /// <summary>Listens, for this user only; what an earlier daemon left is replaced. Only who holds the lock may do this.</summary>
    public static Socket Listen(string path)
    {
        StateFiles.ClearAway(path);
        StateFiles.Delete(path);
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        using (var folder = Folder(path, out var name))
        {
            socket.Bind(new UnixDomainSocketEndPoint(name));
        }
        // The folder is closed to others as well.
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        socket.Listen();
        return socket;
    }

    /// <summary>Connects; null where nobody listens.</summary>
    public static async Task<Socket?> TryConnect(string path, CancellationToken cancel)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            using var folder = Folder(path, out var name);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(name), cancel);
            return socket;
        }
        catch (Exception e) when (e is SocketException or DirectoryNotFoundException)
        {
            socket.Dispose();
            return null;
        }
    }

    /// <summary>
    /// A name under which the path can be used while the result is open: the path itself or, where that is too long, one by way
    /// of an open folder in /proc.
    /// </summary>
    static SafeFileHandle? Folder(string path, out string name)
    {
        name = path;
        if (System.Text.Encoding.UTF8.GetByteCount(path) <= Longest) return null;
        if (!OperatingSystem.IsLinux() || !Directory.Exists("/proc/self/fd"))
        {
            throw new Failure("The home directory's path is too long", $"{path} does not fit into a socket's address ({Longest} bytes)", "Set STIGMER_HOME to a shorter path", ExitCode.Usage);
        }
        // Only for reading: O_PATH, which would do, has another value on each architecture.
        var folder = new SafeFileHandle(Libc.open(Path.GetDirectoryName(path)!, Libc.O_CLOEXEC), ownsHandle: true);
        if (folder.IsInvalid) throw new DirectoryNotFoundException(path);
        name = $"/proc/self/fd/{folder.DangerousGetHandle()}/{Path.GetFileName(path)}";
        return folder;
    }
}
