using Stigmer.Rpc;
using Stigmer.Rpc.V1;

namespace Stigmer.Commands;

/// <summary>How a run that is followed is shown. Each thing is told once, in order; text comes in pieces.</summary>
abstract class RunOutput
{
    /// <summary>For whoever reads: JSON events, a terminal, or a pipe.</summary>
    public static RunOutput For(Terminal terminal) => terminal.Json ? new JsonRunOutput(terminal) : new TextRunOutput(terminal, TimeProvider.System);

    /// <summary>
    /// Text can be taken back: a retry is told at once. Otherwise only when the new text turns out to be another one.
    /// </summary>
    public abstract bool TakesBack { get; }

    /// <summary>Which run it is; the first thing told.</summary>
    public abstract void Begin(string id, string agent);

    /// <summary>What a turn's models are offered, and what a person should know about it.</summary>
    public abstract void Offer(ToolOffer offer);

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

    /// <summary>A call waits for a person's yes.</summary>
    public virtual void Approval(int step, ToolCall call)
    {
    }

    /// <summary>Says nothing until <see cref="Release"/>: a question stands where it would be said.</summary>
    public virtual void Hold()
    {
    }

    /// <summary>Says what was to be said meanwhile.</summary>
    public virtual void Release()
    {
    }

    /// <summary>What was spent on a run before the turn that is shown: the last line tells of that turn alone.</summary>
    public virtual void After(Run run)
    {
    }

    /// <summary>How it ended. Returns the exit code, or throws the failure that says why it is none of success.</summary>
    public abstract int End(Run run);
}

/// <summary><c>--json</c>: one event a line.</summary>
sealed class JsonRunOutput(Terminal terminal) : RunOutput
{
    public override bool TakesBack => true;

    public override void Begin(string id, string agent) => terminal.Document(new RunEvent("run", id, agent), RunJson.Default.RunEvent);

    public override void Offer(ToolOffer offer)
    {
        foreach (var note in offer.Notes) terminal.Note(note);
    }

    public override void Approval(int step, ToolCall call) =>
        terminal.Document(new CallEvent("approval", step, call.Id, call.Name, RunDocuments.Arguments(call.Arguments)), RunJson.Default.CallEvent);

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
