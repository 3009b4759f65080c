using System.Globalization;
using Stigmer.Agents.Tools;
using Stigmer.Processes;

namespace Stigmer.Tests.Tools;

public sealed class WorkspaceRunTests : IDisposable
{
    readonly string workspace = Directory.CreateTempSubdirectory("stigmer-run-").FullName;

    public void Dispose() => Directory.Delete(workspace, recursive: true);

    Task<ToolOutcome> Run(string arguments, CancellationToken? cancel = null) => WorkspaceTools.Call(
        WorkspaceTools.Run, arguments, workspace, _ => new StringReader(""), TimeProvider.System, cancel ?? TestContext.Current.CancellationToken);

    /// <summary>The process whose id a command wrote down; waits for it to be written whole.</summary>
    async Task<ProcessIdentity> Written(string name)
    {
        while (!File.Exists(Path.Combine(workspace, name))) await Task.Delay(5, TestContext.Current.CancellationToken);
        return Assert.IsType<ProcessIdentity>(ProcessIdentity.Of(int.Parse(File.ReadAllText(Path.Combine(workspace, name)), CultureInfo.InvariantCulture)));
    }

    [Fact]
    public async Task A_command_runs_in_the_workspace_without_input_and_tells_output_and_exit_code()
    {
        File.WriteAllText(Path.Combine(workspace, "here"), "");
        Assert.Equal(new ToolOutcome(true, "here\nerr\n[exit code 0]"), await Run("""{"command":"ls; echo err >&2; cat"}"""));
        Assert.Equal(new ToolOutcome(false, "(no output)\n[exit code 7]"), await Run("""{"command":"exit 7"}"""));
        Assert.Equal(new ToolOutcome(false, "(no output)\n[signal 9 (KILL)]"), await Run("""{"command":"kill -9 $$"}"""));
    }

    [Fact]
    public void No_secret_is_in_its_environment()
    {
        var clean = WorkspaceRun.CleanEnvironment(new Dictionary<string, string>
        {
            ["PATH"] = "/bin", ["HOME"] = "/h", ["LC_ALL"] = "C", ["STIGMER_TOKEN"] = "s", ["OPENAI_API_KEY"] = "s", ["GITHUB_TOKEN"] = "s", ["MODE"] = "local",
        });
        Assert.Equal(["GIT_PAGER", "GIT_TERMINAL_PROMPT", "HOME", "LC_ALL", "PAGER", "PATH", "TERM"], clean.Keys.Order());
    }

    [Fact]
    public async Task Of_a_long_output_the_beginning_and_the_end_are_kept()
    {
        var text = (await Run("""{"command":"echo first; head -c 1000000 /dev/zero | tr '\\0' x; echo; echo last"}""")).Text;
        Assert.StartsWith("first\nxxx", text, StringComparison.Ordinal);
        Assert.EndsWith("xxx\nlast\n[exit code 0]", text, StringComparison.Ordinal);
        Assert.Contains("bytes in the middle of 1000012 are not shown", text, StringComparison.Ordinal);
        Assert.True(text.Length < 25_000);
    }

    [Fact]
    public async Task What_a_command_leaves_running_ends_with_it_also_in_a_session_of_its_own()
    {
        var outcome = await Run("""{"command":"setsid sleep 1000 & echo $!; sleep 1000 & echo $!"}""");
        Assert.True(outcome.Ok, outcome.Text);
        foreach (var line in outcome.Text.Split('\n')[..2]) Assert.Null(ProcessIdentity.Of(int.Parse(line, CultureInfo.InvariantCulture)));
    }

    [Fact]
    public async Task A_command_that_takes_too_long_is_ended_with_all_that_it_started()
    {
        var outcome = await Run("""{"command":"setsid sleep 1000 & echo $!; wait","timeout_seconds":1}""");
        Assert.False(outcome.Ok);
        Assert.Contains("it had not ended after 1 s", outcome.Text, StringComparison.Ordinal);
        Assert.Null(ProcessIdentity.Of(int.Parse(outcome.Text.Split('\n')[0], CultureInfo.InvariantCulture)));
    }

    [Fact]
    public async Task A_call_that_is_cancelled_ends_everything_even_what_ignores_the_polite_signal()
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var running = Run("""{"command":"trap '' TERM; echo $$ > me.new; mv me.new me; while :; do sleep 1000; done"}""", stop.Token);
        var command = await Written("me");
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
        Assert.False(command.IsAlive);
    }

    [Fact]
    public async Task A_command_ends_with_the_process_that_started_it_even_when_that_is_killed()
    {
        if (!OperatingSystem.IsLinux()) return;
        // A shell plays the runner: a pipe from the guardian to it, which breaks when it is killed.
        var guard = OwnExecutable.Command(["internal", "guard"])[0];
        var runner = Child.Start(new ChildSpec
        {
            Path = "/bin/bash",
            Arguments = ["-c", $"mkfifo p; exec 7<>p; exec 8<p; STIGMER_NOTIFY_FD=9 setsid '{guard}' internal guard -- /bin/sh -c 'setsid sleep 1000 & echo $! > me.new; mv me.new me; wait' 9>p 7>&- 8<&- & exec 7>&-; wait"],
            Environment = Environment.GetEnvironmentVariables().Cast<System.Collections.DictionaryEntry>().ToDictionary(e => (string)e.Key, e => (string)e.Value!),
            WorkingDirectory = workspace,
        });
        var sleeper = await Written("me");
        runner.Kill();
        await runner.Exited;
        await sleeper.WaitForEnd(TimeProvider.System, TestContext.Current.CancellationToken);
        Assert.False(sleeper.IsAlive);
    }
}
