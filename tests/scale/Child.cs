using System.Diagnostics;

namespace Stigmer.Scale;

/// <summary>A role that was started, and what it takes of the machine.</summary>
sealed class Child
{
    readonly Process process;
    readonly TaskCompletionSource<string> serves = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly List<string> log = [];

    Child(Process process, string name)
    {
        (this.process, Name) = (process, name);
        process.ErrorDataReceived += (_, line) =>
        {
            if (line.Data is not { } text) return;
            lock (log) log.Add(text);
            if (text.Contains(" serves ", StringComparison.Ordinal)) serves.TrySetResult(text.Split(' ').First(word => word.StartsWith("address=", StringComparison.Ordinal))["address=".Length..]);
            else if (text.Contains(" ERROR ", StringComparison.Ordinal) || text.Contains(" WARN ", StringComparison.Ordinal)) Console.WriteLine($"             {text}");
        };
        process.BeginErrorReadLine();
    }

    public string Name { get; }

    /// <summary>Where a server listens.</summary>
    public string Address { get; private set; } = "";

    /// <summary>Resident memory in KB: at the first look, at most, and now.</summary>
    public long First { get; private set; }

    /// <inheritdoc cref="First"/>
    public long Most { get; private set; }

    /// <inheritdoc cref="First"/>
    public long Now { get; private set; }

    /// <summary>Seconds.</summary>
    public double Cpu { get; private set; }

    public static Child Start(string executable, IReadOnlyList<string> arguments, string home, IReadOnlyDictionary<string, string> environment)
    {
        Directory.CreateDirectory(home);
        var start = new ProcessStartInfo(executable, arguments) { RedirectStandardError = true };
        start.Environment.Clear();
        (start.Environment["PATH"], start.Environment["HOME"], start.Environment["STIGMER_HOME"]) = ("/usr/bin:/bin", home, home);
        foreach (var (name, value) in environment) start.Environment[name] = value;
        return new Child(Process.Start(start)!, $"{arguments[0]} of {Path.GetFileName(home)}");
    }

    public static async Task<Child> Server(string executable, string home, string token, IReadOnlyDictionary<string, string> environment)
    {
        var child = Start(executable, ["server", "--listen", "127.0.0.1:0"], home, new Dictionary<string, string>(environment) { ["STIGMER_TOKEN"] = token });
        child.Address = await child.serves.Task.WaitAsync(TimeSpan.FromSeconds(30));
        return child;
    }

    public void Sample()
    {
        if (process.HasExited) return;
        process.Refresh();
        Now = process.WorkingSet64 / 1024;
        if (First == 0) First = Now;
        Most = Math.Max(Most, Now);
        Cpu = process.TotalProcessorTime.TotalSeconds;
    }

    public void Kill()
    {
        if (!process.HasExited) process.Kill();
        process.WaitForExit();
    }

    /// <summary>In order, so that the database is in one file.</summary>
    public void Terminate()
    {
        if (!process.HasExited) Process.Start("kill", $"{process.Id}").WaitForExit();
        process.WaitForExit(20_000);
    }
}
