namespace Stigmer.Config;

/// <summary>
/// The random id of a host, kept as <c>host-id</c> in the data folder: the tools of a run are worked on where it was started.
/// </summary>
static class HostId
{
    /// <summary>
    /// Reads it, or makes it, and the folder, where there is none yet. Server and runner may both be first: one of them wins,
    /// and both get the same. Fails with exit code 2 where the folder cannot be written.
    /// </summary>
    /// <returns>Lower-case hexadecimal digits.</returns>
    public static string In(string dataDir)
    {
        StigmerHome.Ensure(dataDir);
        return PrivateFile.ReadOrMake(Path.Combine(dataDir, "host-id"), () => RandomId.New());
    }
}
