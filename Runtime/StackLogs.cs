using System.Text;
using Stigmer.Config;
using Stigmer.Processes;
using Stigmer.Runtime.Logs;

namespace Stigmer.Runtime;

/// <summary>The logs of all components, the daemon's own among them, which this process alone writes.</summary>
sealed class StackLogs : IDisposable
{
    readonly Dictionary<string, LogFile> files = [];

    /// <param name="home">Where logs/ is.</param>
    /// <param name="time">The clock.</param>
    /// <param name="echo">Gets component and line of everything; null: nobody looks on.</param>
    /// <param name="ownOutput">Our standard output and error are the daemon's log too, and follow it when it turns over.</param>
    public StackLogs(StigmerHome home, TimeProvider time, Action<string, string>? echo, bool ownOutput)
    {
        foreach (var component in LogReader.Components)
        {
            files[component] = new LogFile(
                home.LogFile(component), time: time, echo: echo is null ? null : line => echo(component, line),
                opened: ownOutput && component == ComponentName.Daemon ? Redirect : null, ours: component != ComponentName.Temporal);
        }
        Daemon = new Log(ComponentName.Daemon, new LineWriter(files[ComponentName.Daemon]), time);
    }

    /// <summary>The daemon's own log.</summary>
    public Log Daemon { get; }

    /// <summary>The log of a component.</summary>
    public LogFile Of(string component) => files[component];

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var file in files.Values) file.Dispose();
    }

    static void Redirect(FileStream file)
    {
        if (OperatingSystem.IsWindows()) return; // Windows cannot rename a file that our standard handles hold open; the log then grows.
        var descriptor = (int)file.SafeFileHandle.DangerousGetHandle();
        _ = Libc.dup2(descriptor, 1);
        _ = Libc.dup2(descriptor, 2);
    }

    sealed class LineWriter(LogFile file) : TextWriter
    {
        public override Encoding Encoding => Encoding.UTF8;

        public override void Write(char value) => Write(value.ToString());

        public override void Write(string? value) => file.Write(Encoding.UTF8.GetBytes(value ?? ""));
    }
}
