using Stigmer.Rpc.V1;

namespace Stigmer.Commands;

/// <summary>
/// For people: on a terminal the text as it comes, into a pipe the final step's text alone, once it is whole. Tools and notes
/// on standard error.
/// </summary>
sealed class TextRunOutput(Terminal terminal, TimeProvider time) : RunOutput
{
    readonly Lock gate = new();
    readonly List<Action> held = [];
    bool holds;
    bool midLine;
    Run? before;
    long begun;

    // A pipe has seen nothing yet.
    public override bool TakesBack => !terminal.OutIsTerminal;

    public override void Begin(string id, string agent)
    {
        if (terminal.Verbose) terminal.FaintNote($"run {id}");
    }

    public override void After(Run run) => (before, begun) = (run, time.GetTimestamp());

    public override void Offer(ToolOffer offer) => Say(() =>
    {
        foreach (var note in offer.Notes) terminal.Note($"  {RunTexts.OneLine(note)}");
    });

    public override void Text(int step, string text)
    {
        if (!terminal.OutIsTerminal || text.Length == 0) return;
        lock (gate)
        {
            if (holds) held.Add(() => Write(text));
            else Write(text);
        }
    }

    public override void Retry(int step, string why) => Say(() => terminal.FaintNote($"  begun anew: {RunTexts.OneLine(why)}"));

    public override void Answer(int step, ModelAnswer answer) => Say(() =>
    {
        foreach (var note in answer.Notes) terminal.Note($"  {RunTexts.OneLine(note)}");
    });

    public override void Result(int step, ToolCall? call, ToolResult result) => Say(() =>
    {
        var name = call is null ? result.CallId : RunTexts.Call(call);
        var outcome = result.Ok ? "" : $" {terminal.ErrorSymbol} {RunTexts.Shortened(RunTexts.OneLine(result.Text))}";
        var again = result.BegunBefore ? " (begun before)" : "";
        terminal.FaintNote($"  {name} ({RunTexts.Time(result.WorkedMs)}){again}{outcome}");
    });

    public override void Waiting(string what) => Say(() => terminal.Note($"Waiting: {what}"));

    public override void Hold()
    {
        lock (gate)
        {
            EndLine();
            holds = true;
        }
    }

    public override void Release()
    {
        lock (gate)
        {
            holds = false;
            foreach (var say in held) say();
            held.Clear();
        }
    }

    public override int End(Run run)
    {
        lock (gate)
        {
            EndLine();
            if (run.Status == RunStatus.Completed && !terminal.OutIsTerminal && run.Output.Length > 0)
            {
                terminal.Out.Write(run.Output.EndsWith('\n') ? run.Output : run.Output + "\n");
            }
            Summary(run);
        }
        if (run.Status == RunStatus.Completed) return ExitCode.Done;
        throw Why(run);
    }

    static Failure Why(Run run) => run.Status switch
    {
        RunStatus.Cancelled => new Failure("The run was cancelled", null, $"`stigmer runs get {run.Id}` shows how far it came"),
        RunStatus.TimedOut => new Failure(
            "The run ran out of time", RunDocuments.ErrorOf(run)?.Why, $"`stigmer runs resume {run.Id}` goes on from there with its time counted anew"),
        RunStatus.LimitReached => new Failure(
            "The run reached its limit", run.Limit.Length == 0 ? null : run.Limit, $"`stigmer runs resume {run.Id}` goes on from there, counted anew"),
        _ => RunDocuments.ErrorOf(run) is { } error ? new Failure(error.What, error.Why, error.Remedy) : new Failure("The run failed"),
    };

    void Summary(Run run)
    {
        if (!terminal.ErrorIsTerminal) return;
        var steps = run.Steps - (before?.Steps ?? 0);
        var tokens = Tokens(run) - (before is null ? 0 : Tokens(before));
        var spent = before is null ? run.EndedAt - run.StartedAt : (long)time.GetElapsedTime(begun).TotalMilliseconds;
        var took = spent > 0 ? $", {RunTexts.Time(spent)}" : "";
        terminal.FaintNote($"run {run.Id[..Math.Min(8, run.Id.Length)]}: {steps} {(steps == 1 ? "step" : "steps")}, {tokens} tokens{took}");
    }

    static long Tokens(Run run) => (run.Usage?.InputTokens ?? 0) + (run.Usage?.OutputTokens ?? 0);

    void Write(string text)
    {
        // A model's text is not to be trusted: what a terminal would obey is made visible.
        terminal.Out.Write(Terminal.Harmless(text));
        midLine = text[^1] != '\n';
    }

    // Lines for standard error.
    void Say(Action lines)
    {
        lock (gate)
        {
            void Now()
            {
                EndLine();
                lines();
            }
            if (holds) held.Add(Now);
            else Now();
        }
    }

    // Standard error is the same terminal more often than not: its lines begin on lines of their own.
    void EndLine()
    {
        if (midLine) terminal.Out.WriteLine();
        midLine = false;
    }
}
