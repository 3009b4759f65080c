using System.Collections;
using System.Globalization;
using Stigmer.Processes;

namespace Stigmer.Agents.Tools;

/// <summary>
/// workspace.run: a command line by the platform's shell, in bounded time and with bounded output. All that it starts ends with
/// it, and nothing of what the runner knows is in its environment.
/// </summary>
static class WorkspaceRun
{
    /// <summary>How long a command may take where the model does not say.</summary>
    const int DefaultSeconds = 120;

    /// <summary>The most that it may ask for.</summary>
    const int MostSeconds = 600;

    /// <summary>What the model is shown of the output, in bytes. Of most programs the end tells more.</summary>
    const int Head = 8_000;
    const int Tail = 16_000;

    /// <summary>How long what was written may take to arrive once nobody writes any more.</summary>
    static readonly TimeSpan Rest = TimeSpan.FromSeconds(2);

    /// <summary>
    /// What a command may know of the user's environment: where things are, and how to speak. A list of what is let through,
    /// since nobody knows the names of all secrets.
    /// </summary>
    static readonly HashSet<string> Passed = new(
        [
            "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
            "JAVA_HOME", "GOPATH", "GOROOT", "CARGO_HOME", "RUSTUP_HOME", "DOTNET_ROOT", "NVM_DIR", "VIRTUAL_ENV", "CONDA_PREFIX",
            // A Windows program starts with no less.
            "SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "TEMP", "TMP", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "PROGRAMFILES", "WINDIR",
        ],
        OperatingSystem.IsWindows() ? StringComparer.OrdinalIgnoreCase : StringComparer.Ordinal);

    /// <summary>Carries out the call.</summary>
    /// <param name="note">Is told each process that was started, and disposes of the note when that has ended.</param>
    public static async Task<ToolOutcome> Run(
        WorkspaceFolder folder, ToolArguments arguments, Func<GuardedProcess, IDisposable> note, TimeProvider time, CancellationToken cancel)
    {
        if (arguments.Text("command") is not { } line || string.IsNullOrWhiteSpace(line)) throw new Refused("command is missing: the command line to run");
        if (line.Contains('\0', StringComparison.Ordinal)) throw new Refused("A command line has no NUL characters");
        var seconds = Math.Min(arguments.Number("timeout_seconds", least: 1) ?? DefaultSeconds, MostSeconds);
        var where = folder.Resolve(arguments.Text("path") ?? ".");
        if (WorkspaceFolder.KindOf(where) != EntryKind.Folder) throw new Refused($"{folder.NameOf(where)} is not a folder");

        var process = Start(line, where);
        using var noted = note(process);
        var output = new HeadAndTail(Head, Tail);
        var read = Read(process.Output, output);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(seconds), time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancel);
        string ending;
        var ok = false;
        try
        {
            var status = await process.Exited.WaitAsync(either.Token);
            (ok, ending) = (status.Code == 0, status.ToString());
        }
        catch (OperationCanceledException)
        {
            await process.End(time);
            cancel.ThrowIfCancellationRequested();
            ending = string.Create(CultureInfo.InvariantCulture, $"it had not ended after {seconds} s, and was ended with all that it had started");
        }
        await Task.WhenAny(read, Task.Delay(Rest, time, CancellationToken.None));
        string text;
        lock (output) text = output.ToText();
        if (text.Length == 0) text = "(no output)";
        return new ToolOutcome(ok, $"{text}{(text.EndsWith('\n') ? "" : "\n")}[{ending}]");
    }

    static GuardedProcess Start(string line, string where)
    {
        var windows = OperatingSystem.IsWindows();
        try
        {
            return GuardedProcess.Start(new ChildSpec
            {
                Path = windows ? Path.Combine(Environment.SystemDirectory, "cmd.exe") : "/bin/sh",
                Arguments = windows ? ["/d", "/s", "/c", line] : ["-c", line],
                Environment = CleanEnvironment(Environment.GetEnvironmentVariables()),
                WorkingDirectory = where,
            });
        }
        catch (Failure e)
        {
            throw new Refused(e.Message);
        }
    }

    /// <summary>What a command finds in its environment.</summary>
    internal static Dictionary<string, string> CleanEnvironment(IDictionary from)
    {
        var clean = new Dictionary<string, string>(Passed.Comparer);
        foreach (DictionaryEntry entry in from)
        {
            var name = (string)entry.Key;
            if (Passed.Contains(name) || name.StartsWith("LC_", StringComparison.Ordinal)) clean[name] = (string)entry.Value!;
        }
        // Whoever asks for a pager or a colour would wait for a person, or write what nobody reads.
        (clean["TERM"], clean["PAGER"], clean["GIT_PAGER"], clean["GIT_TERMINAL_PROMPT"]) = ("dumb", "cat", "cat", "0");
        return clean;
    }

    /// <summary>On a thread of its own, since reading blocks.</summary>
    static Task Read(Stream from, HeadAndTail into)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(Pump, 256 * 1024) { IsBackground = true, Name = "output" }.Start();
        return done.Task;

        void Pump()
        {
            var block = new byte[32 * 1024];
            try
            {
                using (from)
                {
                    for (int read; (read = from.Read(block)) > 0;)
                    {
                        lock (into) into.Take(block.AsSpan(0, read));
                    }
                }
            }
            catch (IOException)
            {
                // As good as its end.
            }
            done.SetResult();
        }
    }
}
