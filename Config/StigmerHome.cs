namespace Stigmer.Config;

/// <summary>This user's files: <c>~/.stigmer</c>, or STIGMER_HOME. Names only; nothing is created here but by <see cref="Ensure"/>.</summary>
/// <param name="Root">Absolute.</param>
sealed record StigmerHome(string Root)
{
    public string ConfigFile => Path.Combine(Root, "config.yaml");
    public string History => Path.Combine(Root, "history");
    public string Bin => Path.Combine(Root, "bin");
    public string TemporalBinary => Path.Combine(Bin, OperatingSystem.IsWindows() ? "temporal.exe" : "temporal");
    public string TemporalRecord => Path.Combine(Bin, "temporal.json");
    public string TemporalData => Path.Combine(Root, "temporal-data");
    public string TemporalPid => Path.Combine(Root, "temporal.pid");
    public string Data => Path.Combine(Root, "data");
    public string Logs => Path.Combine(Root, "logs");
    public string Run => Path.Combine(Root, "run");
    public string DaemonLock => Path.Combine(Run, "daemon.lock");
    public string DaemonPid => Path.Combine(Run, "daemon.pid");
    public string Children => Path.Combine(Run, "children.json");
    /// <summary>Held by whoever installs Temporal's CLI.</summary>
    public string TemporalLock => Path.Combine(Run, "temporal.lock");
    public string ToolsLock => Path.Combine(Run, "tools.lock");
    public string Tools => Path.Combine(Run, "tools.json");
    public string Stops => Path.Combine(Run, "stops");
    public string ControlSocket => Path.Combine(Run, "control.sock");
    public string Token => Path.Combine(Run, "token");

    /// <summary>The log file of a component, one of <see cref="ComponentName"/>'s.</summary>
    public string LogFile(string component) => Path.Combine(Logs, component + ".log");

    /// <summary>A role's data folder: STIGMER_DATA_DIR, by which the daemon hands on what is configured, else the home's.</summary>
    public static string DataOf(Func<string, string?> environment) =>
        environment("STIGMER_DATA_DIR") is { Length: > 0 } set ? Path.GetFullPath(set) : From(environment).Data;

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

    /// <summary>
    /// What opens this home's server to its user: 256 random bits in hexadecimal digits, in run/token, made by whoever needs it
    /// first. Fails with exit code 2 where it cannot be made or read.
    /// </summary>
    public string ReadOrMakeToken()
    {
        EnsureRun();
        return PrivateFile.ReadOrMake(Token, () => RandomId.New(bytes: 32));
    }

    /// <summary>
    /// Creates run/ where there is none, and closes it to others where it was open: who may look into it may talk to the daemon
    /// and to the server. Fails with exit code 2 where that cannot be.
    /// </summary>
    public void EnsureRun()
    {
        Ensure(Run);
        if (OperatingSystem.IsWindows()) return;
        const UnixFileMode OwnersAlone = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        try
        {
            if (File.GetUnixFileMode(Run) != OwnersAlone) File.SetUnixFileMode(Run, OwnersAlone);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new Failure($"{Run} is another user's", e.Message, "Set STIGMER_HOME to a folder of your own", ExitCode.Usage, e);
        }
    }

    /// <summary>Creates the folder, readable by this user only. Fails with exit code 2, naming STIGMER_HOME, where that cannot be.</summary>
    public static void Ensure(string folder)
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
