using System.Reflection;
using System.Runtime.InteropServices;
using SQLitePCL;

namespace Stigmer.Server.Storage;

/// <summary>Which SQLite library is used. One a process: two of them on one database lose each other's writes.</summary>
static class Sqlite
{
    static readonly Lazy<bool> Chosen = new(Choose);

    /// <summary>Must have been called before the first connection is made; cheap after the first time.</summary>
    public static void Use() => _ = Chosen.Value;

    static bool Choose()
    {
        // The published executable has SQLite linked in on Linux (DirectPInvoke), and then nothing is resolved here.
        NativeLibrary.SetDllImportResolver(typeof(SQLite3Provider_sqlite3).Assembly, Resolve);
        raw.SetProvider(new SQLite3Provider_sqlite3());
        return true;
    }

    static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path)
    {
        if (name != "sqlite3") return 0;
        // Windows and macOS bring their own; Debian's libsqlite3-0 has the versioned name only.
        var system = OperatingSystem.IsWindows() ? "winsqlite3.dll" : OperatingSystem.IsMacOS() ? "/usr/lib/libsqlite3.dylib" : "libsqlite3.so.0";
        return NativeLibrary.TryLoad(system, out var handle) ? handle : 0;
    }
}
