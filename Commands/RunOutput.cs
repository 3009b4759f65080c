using Stigmer.Rpc;
using Stigmer.Rpc.V1;

namespace Stigmer.Commands;

/// <summary>How a run that is followed is shown. Each thing is told once, in order; text comes in pieces.</summary>
abstract class RunOutput
{
    /// <summary>For whoever reads: JSON events, a terminal, or a pipe.</summary>
    public static RunOutput For(Terminal terminal) => terminal.Json ? new JsonRunOutput(terminal) : new TextRunOutput(terminal);

    /// <summary>
    /// Text can be taken back: a retry is told at once. Otherwise only when the new text turns out to be another one.
    /// </summary>
    public abstract bool TakesBack { get; }

    /// <summary>Which run it is; the first thing told.</summary>
    public abstract void Begin(string id, string agent);

    /// <summary>A further piece of a step's text.</summary>
    public abstract void Text(int step, string text);

    /// <summary>The step's text so far is void: it begins anew.</summary>
    public abstract void Retry(int step, string why);

    /// <summary>The model's answer is whole: its text was told, these are the tools that it asked for and what a person should know.</summary>
    public abstract void Answer(int step, ModelAnswer answer);

    /// <summary>What a tool said. <paramref name="call"/> is null where the call was told to somebody else before.</summary>
    public abstract void Result(int step, ToolCall? call, ToolResult result);

    /// <summary>The run waits for something: a sentence.</summary>
    public abstract void Waiting(string what);

    /// <summary>How it ended. Returns the exit code, or throws the failure that says why it is none of success.</summary>
    public abstract int End(Run run);
}

/// <summary><c>--json</c>: one event a line.</summary>
sealed class JsonRunOutput(Terminal terminal) : RunOutput
{
    public override bool TakesBack => true;

    public override void Begin(string id, string agent) => terminal.Document(new RunEvent("run", id, agent), RunJson.Default.RunEvent);

    public override void Text(int step, string text) => terminal.Document(new TextEvent("text", step, text), RunJson.Default.TextEvent);

    public override void Retry(int step, string why) => terminal.Document(new RetryEvent("retry", step, why), RunJson.Default.RetryEvent);

    public override void Answer(int step, ModelAnswer answer)
    {
        foreach (var call in answer.Calls)
        {
            terminal.Document(new CallEvent("tool_call", step, call.Id, call.Name, RunDocuments.Arguments(call.Arguments)), RunJson.Default.CallEvent);
        }
        foreach (var note in answer.Notes) terminal.Note(note);
    }

    public override void Result(int step, ToolCall? call, ToolResult result) =>
        terminal.Document(new ResultEvent("tool_result", step, result.CallId, result.Ok, result.Text), RunJson.Default.ResultEvent);

    public override void Waiting(string what) => terminal.Note($"Waiting: {what}");

    public override int End(Run run)
    {
        terminal.Document(
            new DoneEvent("done", run.Status.Name(), run.Output, run.Steps, RunDocuments.UsageOf(run.Usage), RunDocuments.ErrorOf(run), RunDocuments.OrNull(run.Limit)),
            RunJson.Default.DoneEvent);
        return run.Status == RunStatus.Completed ? ExitCode.Done : ExitCode.Failed;
    }
}

/// <summary>
/// For people: on a terminal the text as it comes, into a pipe the final step's text alone, once it is whole. Tools and notes
/// on standard error.
/// </summary>
sealed class TextRunOutput(Terminal terminal) : RunOutput
{
    bool midLine;

    // A pipe has seen nothing yet.
    public override bool TakesBack => !terminal.OutIsTerminal;

    public override void Begin(string id, string agent)
    {
        if (terminal.Verbose) terminal.FaintNote($"run {id}");
    }

    public override void Text(int step, string text)
    {
        if (!terminal.OutIsTerminal || text.Length == 0) return;
        // A model's text is not to be trusted: what a terminal would obey is made visible.
        terminal.Out.Write(Terminal.Harmless(text));
        midLine = text[^1] != '\n';
    }

    public override void Retry(int step, string why)
    {
        EndLine();
        terminal.FaintNote($"  begun anew: {RunTexts.OneLine(why)}");
    }

    public override void Answer(int step, ModelAnswer answer)
    {
        EndLine();
        foreach (var note in answer.Notes) terminal.Note($"  {note}");
    }

    public override void Result(int step, ToolCall? call, ToolResult result)
    {
        EndLine();
        var name = call is null ? result.CallId : RunTexts.Call(call);
        var outcome = result.Ok ? "" : $" {terminal.ErrorSymbol} {RunTexts.Shortened(RunTexts.OneLine(result.Text))}";
        var again = result.BegunBefore ? " (begun before)" : "";
        terminal.FaintNote($"  {name} ({RunTexts.Time(result.WorkedMs)}){again}{outcome}");
    }

    public override void Waiting(string what)
    {
        EndLine();
        terminal.Note($"Waiting: {what}");
    }

    public override int End(Run run)
    {
        EndLine();
        if (run.Status == RunStatus.Completed)
        {
            if (!terminal.OutIsTerminal && run.Output.Length > 0) terminal.Out.Write(run.Output.EndsWith('\n') ? run.Output : run.Output + "\n");
            Summary(run);
            return ExitCode.Done;
        }
        Summary(run);
        throw run.Status switch
        {
            RunStatus.Cancelled => new Failure("The run was cancelled", null, $"`stigmer runs get {run.Id}` shows how far it came"),
            RunStatus.TimedOut => new Failure(
                "The run ran out of time", RunDocuments.ErrorOf(run)?.Why, $"`stigmer runs resume {run.Id}` goes on from there with its time counted anew"),
            RunStatus.LimitReached => new Failure(
                "The run reached its limit", run.Limit.Length == 0 ? null : run.Limit, $"`stigmer runs resume {run.Id}` goes on from there, counted anew"),
            _ => RunDocuments.ErrorOf(run) is { } error ? new Failure(error.What, error.Why, error.Remedy) : new Failure("The run failed"),
        };
    }

    void Summary(Run run)
    {
        if (!terminal.ErrorIsTerminal) return;
        var tokens = (run.Usage?.InputTokens ?? 0) + (run.Usage?.OutputTokens ?? 0);
        var time = run.EndedAt > run.StartedAt ? $", {RunTexts.Time(run.EndedAt - run.StartedAt)}" : "";
        terminal.FaintNote($"run {run.Id[..Math.Min(8, run.Id.Length)]}: {run.Steps} {(run.Steps == 1 ? "step" : "steps")}, {tokens} tokens{time}");
    }

    // Standard error is the same terminal more often than not: its lines begin on lines of their own.
    void EndLine()
    {
        if (midLine) terminal.Out.WriteLine();
        midLine = false;
    }
}
