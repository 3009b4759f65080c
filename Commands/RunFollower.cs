using System.Text;
using Grpc.Core;
using Stigmer.Rpc;
using Stigmer.Rpc.V1;

namespace Stigmer.Commands;

/// <summary>
/// Follows a run to its end, over any number of connections: what was told once is not told again, and no piece of text is
/// lost or doubled. One object follows one run.
/// </summary>
/// <param name="keys">The keys of a conversation, for what must be asked; null: the terminal's.</param>
sealed class RunFollower(ServerLink link, RunOutput output, Terminal terminal, KeyQueue? keys = null)
{
    readonly Approvals approvals = new(link, output, terminal, keys);
    readonly HashSet<(int Turn, int Step, int Slot)> told = [];
    readonly Dictionary<(int Turn, int Step, int Slot), ToolCall> calls = [];

    // The last whole answer: everything before it was told. Results of its calls may come in any order.
    (int Turn, int Step) answered;

    // The step whose text streams: what was shown of it, and what this connection has sent of it.
    (int Turn, int Step) streaming;
    readonly StringBuilder shown = new();
    readonly StringBuilder sent = new();

    // What this connection sends continues what was shown. Not so at first on a second connection, which may begin the step's
    // text again, or in its middle.
    bool aligned = true;

    // Why the text that was shown is void, until what comes in its place turns out to be another one.
    string? voided;
    bool begun;
    int fromTurn;
    long afterMessage;
    string waitingFor = "";

    // The calls that wait for a yes, some of them perhaps of an answer that has yet to be told.
    Run? waiting;

    /// <summary>What a person has seen before: the transcript of a run that is taken up again.</summary>
    public void Skip(IEnumerable<TranscriptEntry> seen)
    {
        foreach (var entry in seen)
        {
            told.Add(Place(entry));
            if (entry.BodyCase == TranscriptEntry.BodyOneofCase.Answer) Remember(entry);
        }
    }

    /// <summary>Nothing of turns before this one is told, nor what the person said up to that message.</summary>
    public void From(int turn, long message) => (fromTurn, afterMessage) = (turn, message);

    /// <summary>
    /// Follows until the run (its id, a unique beginning of it, or last) has ended and returns how, or throws where it cannot be
    /// known: the server is gone for longer than <see cref="ServerLink"/> waits, or does not know the run. Cancelling stops only
    /// the watching; follow again goes on.
    /// </summary>
    public async Task<Run> Follow(string run, CancellationToken cancel)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        approvals.GivenUp = either.Cancel;
        try
        {
            return await Watch(run, either.Token);
        }
        catch (OperationCanceledException) when (approvals.Failure is not null)
        {
            throw approvals.Failure;
        }
        finally
        {
            approvals.GivenUp = () => { };
            await approvals.Stop();
        }
    }

    async Task<Run> Watch(string run, CancellationToken cancel)
    {
        var patience = link.BePatient();
        while (true)
        {
            try
            {
                var client = await link.Connect(cancel);
                var request = new WatchRunRequest { Run = run, AfterTurn = answered.Turn, AfterStep = answered.Step, FromTurn = fromTurn, AfterMessage = afterMessage };
                using var call = client.WatchRun(request, cancellationToken: cancel);
                sent.Clear();
                aligned = shown.Length == 0;
                while (await call.ResponseStream.MoveNext(cancel))
                {
                    var response = call.ResponseStream.Current;
                    if (response.EventCase != WatchRunResponse.EventOneofCase.Run) patience.Renew();
                    if (response.EventCase == WatchRunResponse.EventOneofCase.Done) return response.Done;
                    // `last` may be another run by the time of a second connection.
                    if (response.EventCase == WatchRunResponse.EventOneofCase.Run) run = response.Run.Id;
                    Take(response);
                }
                // A server that stops ends its streams.
                await patience.Wait(null, cancel);
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.Cancelled && cancel.IsCancellationRequested)
            {
                throw new OperationCanceledException("No longer watched", e, cancel);
            }
            catch (Exception e) when (ServerLink.MayPass(e))
            {
                if (patience.First && terminal.Verbose) terminal.FaintNote("  lost stigmer-server, trying again");
                await patience.Wait(e, cancel);
            }
        }
    }

    void Take(WatchRunResponse response)
    {
        switch (response.EventCase)
        {
            case WatchRunResponse.EventOneofCase.Run:
                if (!begun) output.Begin(response.Run.Id, response.Run.Agent);
                begun = true;
                TakeWaiting(response.Run);
                break;
            case WatchRunResponse.EventOneofCase.Entry:
                TakeEntry(response.Entry);
                break;
            case WatchRunResponse.EventOneofCase.Text:
                TakeText((response.Text.Turn, response.Text.Step), response.Text.Text);
                break;
            case WatchRunResponse.EventOneofCase.Retry:
                TakeRetry((response.Retry.Turn, response.Retry.Step), response.Retry.Why);
                break;
            case WatchRunResponse.EventOneofCase.Changed:
                TakeWaiting(response.Changed);
                break;
            default:
                // An event that a newer server knows.
                break;
        }
    }

    void TakeEntry(TranscriptEntry entry)
    {
        switch (entry.BodyCase)
        {
            // Step 0 is what the model is offered, not what it said.
            case TranscriptEntry.BodyOneofCase.Offer when told.Add(Place(entry)):
                output.Offer(entry.Offer);
                break;
            case TranscriptEntry.BodyOneofCase.Answer when entry.Step > 0 && told.Add(Place(entry)):
                var step = (entry.Turn, entry.Step);
                var text = entry.Answer.Text;
                if (streaming == step && shown.Length > 0)
                {
                    if (text.StartsWith(shown.ToString(), StringComparison.Ordinal)) text = text[shown.Length..];
                    else output.Retry(entry.Step, voided ?? "the answer is not the one that was shown");
                }
                if (text.Length > 0) output.Text(entry.Step, text);
                Begin((0, 0));
                Remember(entry);
                output.Answer(entry.Step, entry.Answer);
                TakeWaitingCalls();
                break;
            case TranscriptEntry.BodyOneofCase.Result when told.Add(Place(entry)):
                output.Result(entry.Step, calls.GetValueOrDefault(Place(entry)), entry.Result);
                break;
            default:
                // What the person said is not told to the person again.
                break;
        }
    }

    void TakeText((int Turn, int Step) step, string text)
    {
        if (step.CompareTo(answered) <= 0) return;
        if (step != streaming) Begin(step);
        sent.Append(text);
        if (aligned)
        {
            shown.Append(text);
            output.Text(step.Step, text);
            return;
        }
        // Text that begins again catches up with what was shown. On a connection that began in its middle it cannot: then the
        // whole answer brings the rest.
        var all = sent.ToString();
        var before = shown.ToString();
        if (before.StartsWith(all, StringComparison.Ordinal)) return;
        var continues = all.StartsWith(before, StringComparison.Ordinal);
        if (!continues && voided is null) return;
        if (!continues) output.Retry(step.Step, voided!);
        Begin(step);
        sent.Append(all);
        shown.Append(all);
        output.Text(step.Step, continues ? all[before.Length..] : all);
    }

    void TakeRetry((int Turn, int Step) step, string why)
    {
        if (step.CompareTo(answered) <= 0) return;
        if (step == streaming && shown.Length > 0 && !output.TakesBack)
        {
            sent.Clear();
            (aligned, voided) = (false, why);
            return;
        }
        Begin(step);
        output.Retry(step.Step, why);
    }

    void TakeWaiting(Run run)
    {
        waiting = run;
        TakeWaitingCalls();
        // Calls that wait for a yes are told of by themselves. Text that comes is not waited for, whatever else is away.
        if (run.WaitingCalls.Count > 0 || run.WaitingFor == waitingFor || shown.Length > 0) return;
        waitingFor = run.WaitingFor;
        if (waitingFor.Length > 0 && !run.Status.HasEnded()) output.Waiting(waitingFor);
    }

    void TakeWaitingCalls()
    {
        if (waiting is { } run) approvals.Take(run, [.. run.WaitingCalls.Where(call => (call.Turn, call.Step).CompareTo(answered) <= 0)]);
    }

    void Begin((int Turn, int Step) step)
    {
        streaming = step;
        shown.Clear();
        sent.Clear();
        (aligned, voided) = (true, null);
    }

    void Remember(TranscriptEntry entry)
    {
        if ((entry.Turn, entry.Step).CompareTo(answered) > 0) answered = (entry.Turn, entry.Step);
        foreach (var call in entry.Answer.Calls) calls[(entry.Turn, entry.Step, call.Slot)] = call;
    }

    static (int, int, int) Place(TranscriptEntry entry) => (entry.Turn, entry.Step, entry.Slot);
}
