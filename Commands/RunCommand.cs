using System.CommandLine;
using Grpc.Core;
using Stigmer.Config;
using Stigmer.Rpc.V1;

namespace Stigmer.Commands;

/// <summary><c>stigmer run</c>: start a run and show it as it goes.</summary>
static class RunCommand
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var prompt = new Argument<string[]>("PROMPT") { Description = "What to do; - stands for standard input; one that begins with - comes after --", Arity = ArgumentArity.ZeroOrMore };
        var agent = new Option<string>("--agent", "-a") { Description = "Who does it (default: the built-in assistant)", HelpName = "AGENT" };
        var detach = new Option<bool>("--detach", "-d") { Description = "Print the run's id and leave", Arity = ArgumentArity.Zero };
        var workspace = new Option<string>("--workspace") { Description = "Where tools work (default: here)", HelpName = "DIR" };
        var provider = new Option<string>("--provider") { Description = $"Whose model: {string.Join(", ", Providers.Names)} (default: the stack's)", HelpName = "P" };
        provider.CompletionSources.Add(_ => Providers.Names.Select(name => new System.CommandLine.Completions.CompletionItem(name)));
        var model = new Option<string>("--model") { Description = "Which model", HelpName = "M" };
        var maxSteps = new Option<int?>("--max-steps") { Description = "Stop after so many model calls", HelpName = "N" };
        var timeout = Duration.Option("--timeout", "Stop after so much work, waiting not counted");
        var yes = new Option<bool>("--yes", "-y") { Description = "Answer yes to every approval of this run", Arity = ArgumentArity.Zero };
        var noStart = Stack.NoStartOption();
        var command = new Command("run", "Give an agent something to do and show how it goes; without a PROMPT, on a terminal, a conversation")
        {
            prompt, agent, detach, workspace, provider, model, maxSteps, timeout, yes, noStart,
        };
        command.SetAction(async (parsed, cancel) =>
        {
            var terminal = Terminal.From(parsed);
            // Before anything else: what is said relative to here must not depend on what happens later.
            var folder = parsed.GetValue(workspace);
            var request = new StartRunRequest
            {
                RunId = RandomId.New(),
                Agent = parsed.GetValue(agent) ?? "",
                Workspace = Workspace(folder),
                Provider = Provider(parsed.GetValue(provider)),
                Model = parsed.GetValue(model) ?? "",
                Limits = Limits(parsed.GetValue(maxSteps), parsed.GetValue(timeout)),
                Yes = parsed.GetValue(yes),
            };
            var said = parsed.GetValue(prompt) ?? [];
            if (said.Length == 0 && terminal.CanPrompt && !parsed.GetValue(detach)) return await Converse(request, folder, !parsed.GetValue(noStart), terminal, cancel);
            var words = Prompt.Parse(said, StandardInput.Literal(parsed), word => WrongUsage.UnknownOption(command, word));
            if (!words.ReadsStdin && StandardInput.IsPipe()) terminal.Note("Standard input is not read: `-` stands for it");
            request.Prompt = words.ReadsStdin ? words.Complete(await StandardInput.ReadAll(cancel)) : words.Text;
            using var link = await Stack.Connect(terminal, start: !parsed.GetValue(noStart), cancel);
            // A server elsewhere has no folder of this machine's.
            if (link.IsElsewhere && folder is null) request.Workspace = "";
            return await Start(link, request, parsed.GetValue(detach), terminal, cancel);
        });
        return command;
    }

    /// <summary>Starts the run and, unless detached, follows it to its end. Cancelling cancels the run.</summary>
    public static async Task<int> Start(ServerLink link, StartRunRequest request, bool detach, Terminal terminal, CancellationToken cancel)
    {
        var output = RunOutput.For(terminal);
        var follower = new RunFollower(link, output, terminal);
        try
        {
            var started = await link.Call((client, options) => client.StartRunAsync(request, options).ResponseAsync, cancel);
            if (detach)
            {
                if (terminal.Json) output.Begin(started.Run.Id, started.Run.Agent);
                else terminal.Line(started.Run.Id);
                return ExitCode.Done;
            }
            return output.End(await follower.Follow(request.RunId, cancel));
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            // Also where the answer to the start was not awaited: the run may be there all the same.
            if (await Cancel(link, follower, request.RunId, terminal) is { } ended && ended.Status == RunStatus.Completed) return output.End(ended);
            throw;
        }
    }

    static async Task<int> Converse(StartRunRequest request, string? folder, bool start, Terminal terminal, CancellationToken cancel)
    {
        using var link = await Stack.Connect(terminal, start, cancel);
        if (link.IsElsewhere && folder is null) request.Workspace = "";
        var history = InputHistory.Read(StigmerHome.From(Environment.GetEnvironmentVariable).History);
        await using var input = LineInput.For(terminal, history);
        return await new Conversation(link, request, terminal, input).Hold(cancel);
    }

    /// <summary>
    /// Ends a run that the person interrupted, and shows what it still has to say. Null: it had not begun, or how it ended is not
    /// known.
    /// </summary>
    public static async Task<Run?> Cancel(ServerLink link, RunFollower follower, string run, Terminal terminal)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        try
        {
            var request = new CancelRunRequest { Run = run, Key = RandomId.New() };
            try
            {
                await link.Call((client, options) => client.CancelRunAsync(request, options).ResponseAsync, patience.Token);
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.FailedPrecondition)
            {
                // It has ended in the same moment: following tells how.
            }
            var ended = await follower.Follow(run, patience.Token);
            if (ended.Status == RunStatus.Completed) return ended;
            if (terminal.Json) RunOutput.For(terminal).End(ended);
            else terminal.Note(terminal.ErrorIsTerminal ? "\nThe run was cancelled" : "The run was cancelled");
            return ended;
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.NotFound)
        {
            // It had not begun.
            return null;
        }
        catch (Exception e) when (e is OperationCanceledException or RpcException or Failure)
        {
            terminal.Warn($"The run could not be cancelled, it may go on: `stigmer runs cancel {run}`");
            return null;
        }
    }

    static string Workspace(string? folder)
    {
        try
        {
            var path = Path.GetFullPath(folder is { Length: > 0 } ? folder : Directory.GetCurrentDirectory());
            if (Directory.Exists(path)) return path;
            throw new Failure(
                $"The workspace {path} {(File.Exists(path) ? "is a file" : "does not exist")}", null, "Name a folder: --workspace DIR", ExitCode.Usage);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new Failure("The workspace cannot be found", e.Message, "Name a folder that exists: --workspace DIR", ExitCode.Usage, e);
        }
    }

    static string Provider(string? provider)
    {
        if (provider is null) return "";
        return Providers.Find(provider)?.Name()
            ?? throw new Failure($"There is no provider \"{provider}\"", null, $"Providers: {string.Join(", ", Providers.Names)}", ExitCode.Usage);
    }

    static Limits Limits(int? maxSteps, TimeSpan? timeout)
    {
        if (maxSteps < 1) throw new Failure("--max-steps is at least 1", null, null, ExitCode.Usage);
        if (timeout is { } time && time < TimeSpan.FromMilliseconds(1)) throw new Failure("--timeout is more than nothing", null, null, ExitCode.Usage);
        return new Limits { MaxSteps = maxSteps ?? 0, TimeoutMs = (long)(timeout?.TotalMilliseconds ?? 0) };
    }
}
