namespace Stigmer.Config;

/// <summary>This user's files: <c>~/.stigmer</c>, or STIGMER_HOME. Names only; nothing is created here but by <see cref="Ensure"/>.</summary>
/// <param name="Root">Absolute.</param>
sealed record StigmerHome(string Root)
{
    public string ConfigFile => Path.Combine(Root, "config.yaml");
    public string Bin => Path.Combine(Root, "bin");
    public string TemporalBinary => Path.Combine(Bin, OperatingSystem.IsWindows() ? "temporal.exe" : "temporal");
    public string TemporalRecord => Path.Combine(Bin, "temporal.json");
    public string TemporalData => Path.Combine(Root, "temporal-data");
    public string TemporalPid => Path.Combine(Root, "temporal.pid");
    public string Logs => Path.Combine(Root, "logs");
    public string Run => Path.Combine(Root, "run");
    public string DaemonLock => Path.Combine(Run, "daemon.lock");
    public string DaemonPid => Path.Combine(Run, "daemon.pid");
    public string Children => Path.Combine(Run, "children.json");
    public string ControlSocket => Path.Combine(Run, "control.sock");
    public string Token => Path.Combine(Run, "token");

    /// <summary>The log file of a component: daemon, stigmer-server, agent-runner, temporal.</summary>
    public string LogFile(string component) => Path.Combine(Logs, component + ".log");

    /// <summary>Reads STIGMER_HOME, else the user's home. Fails with exit code 2 where neither is there.</summary>
    public static StigmerHome From(Func<string, string?> environment)
    {
        var set = environment("STIGMER_HOME");
        if (!string.IsNullOrWhiteSpace(set)) return new StigmerHome(Paths.Absolute(set.Trim(), null, environment));
        var user = Paths.UserHome(environment);
        if (string.IsNullOrEmpty(user))
        {
            throw new Failure("There is no home directory", "neither STIGMER_HOME nor HOME is set", "Set STIGMER_HOME to a folder that you can write to", ExitCode.Usage);
        }
        return new StigmerHome(Path.Combine(user, ".stigmer"));
    }

    /// <summary>Creates the folder, readable by this user only. Fails with exit code 2, naming STIGMER_HOME, where that cannot be.</summary>
    public void Ensure(string folder)
    {
        try
        {
            if (OperatingSystem.IsWindows()) Directory.CreateDirectory(folder);
            else Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new Failure($"{folder} cannot be created", e.Message, "Set STIGMER_HOME to a folder that you can write to", ExitCode.Usage, e);
        }
    }
}
