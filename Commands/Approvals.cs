using Grpc.Core;
using Stigmer.Config;
using Stigmer.Rpc.V1;

namespace Stigmer.Commands;

/// <summary>
/// What becomes of calls that wait for a person's yes while their run is followed: with --json an event tells of each and the run
/// waits on, on a terminal the person is asked, one call after the other, and anywhere else nobody can answer.
/// </summary>
/// <param name="shared">The keys of a conversation; null: the terminal's are taken for the time of the question.</param>
sealed class Approvals(ServerLink link, RunOutput output, Terminal terminal, KeyQueue? shared = null)
{
    readonly Lock gate = new();
    readonly HashSet<(int, int, int)> told = [];
    readonly HashSet<(int, int, int)> decided = [];
    IReadOnlyList<WaitingCall> waiting = [];
    (int, int, int) asked;
    CancellationTokenSource? elsewhere;
    CancellationTokenSource stop = new();
    Task asking = Task.CompletedTask;
    bool isAsking;

    /// <summary>Why nobody answers: the terminal has gone, or the person ended the input.</summary>
    public Failure? Failure { get; private set; }

    /// <summary>Called when there is a <see cref="Failure"/>.</summary>
    public Action GivenUp { get; set; } = () => { };

    /// <summary>The calls that wait now; one that no longer waits was answered elsewhere. Fails where nobody can be asked.</summary>
    /// <param name="run">The run as it is now.</param>
    /// <param name="calls">Those of its waiting calls that have been told.</param>
    public void Take(Run run, IReadOnlyList<WaitingCall> calls)
    {
        if (terminal.Json)
        {
            foreach (var call in calls.Where(call => told.Add(Place(call)))) output.Approval(call.Step, call.Call);
            return;
        }
        if (!terminal.CanPrompt)
        {
            // Until then other calls of the step are under way, whose results are worth telling.
            if (calls.Count > 0 && run.Status == RunStatus.Waiting) throw Unanswered(run.Id, calls);
            return;
        }
        lock (gate)
        {
            waiting = calls;
            if (isAsking && !calls.Any(call => Place(call) == asked)) elsewhere?.Cancel();
            if (isAsking || Next() is null) return;
            isAsking = true;
        }
        output.Hold();
        asking = Ask(run.Id);
    }

    /// <summary>Takes a question that stands open back.</summary>
    public async Task Stop()
    {
        await stop.CancelAsync();
        await asking;
        stop.Dispose();
        stop = new CancellationTokenSource();
    }

    async Task Ask(string run)
    {
        KeyQueue? own = null;
        var keys = shared;
        LinkedList<Key>? aside = null;
        try
        {
            if (keys is null && terminal.OpenKeyboard(true) is { } keyboard) keys = own = new KeyQueue(keyboard);
            // What was typed before is no answer; a keyboard of our own begins empty.
            aside = shared?.SetAside();
            while (Begin() is { } call)
            {
                var yes = keys is null ? null : await Question(call, keys);
                if (elsewhere!.IsCancellationRequested)
                {
                    if (stop.IsCancellationRequested) return;
                    terminal.Note("It was answered elsewhere");
                }
                else if (yes is { } answer)
                {
                    await Decide(run, call, answer);
                }
                else
                {
                    Failure = Unanswered(run, [call]);
                    return;
                }
                lock (gate) decided.Add(Place(call));
            }
        }
        catch (Exception e) when (e is Stigmer.Failure or RpcException)
        {
            Failure = Failures.From(e);
        }
        finally
        {
            if (aside is not null) shared!.PutBack(aside);
            if (own is not null) await own.DisposeAsync();
            lock (gate) isAsking = false;
            output.Release();
            if (Failure is not null) GivenUp();
        }
    }

    WaitingCall? Begin()
    {
        lock (gate)
        {
            elsewhere?.Dispose();
            elsewhere = CancellationTokenSource.CreateLinkedTokenSource(stop.Token);
            if (Next() is { } call)
            {
                asked = Place(call);
                return call;
            }
            // Under the lock: what comes from now on is asked by another.
            isAsking = false;
            return null;
        }
    }

    WaitingCall? Next() => waiting.FirstOrDefault(call => !decided.Contains(Place(call)));

    // Null: there is nobody to answer, or the question was taken back.
    async Task<bool?> Question(WaitingCall call, KeyQueue keys)
    {
        foreach (var line in CallTexts.Whole(call.Call)) terminal.Error.WriteLine(line);
        terminal.Error.Write("Allow it? [y/N] ");
        var typed = "";
        try
        {
            while (true)
            {
                var key = await keys.Next(elsewhere!.Token);
                switch (key.Kind)
                {
                    case KeyKind.Text:
                        typed += key.Text;
                        terminal.Error.Write(Terminal.Visible(key.Text));
                        break;
                    case KeyKind.Backspace when typed.Length > 0:
                        typed = typed[..^1];
                        terminal.Error.Write("\b \b");
                        break;
                    case KeyKind.KillToStart:
                        foreach (var _ in typed) terminal.Error.Write("\b \b");
                        typed = "";
                        break;
                    case KeyKind.Enter:
                        return typed.Trim().ToLowerInvariant() is "y" or "yes";
                    case KeyKind.Closed:
                    case KeyKind.DeleteOrEnd when typed.Length == 0:
                        return null;
                }
            }
        }
        catch (OperationCanceledException)
        {
            return null;
        }
        finally
        {
            terminal.Error.WriteLine();
        }
    }

    async Task Decide(string run, WaitingCall call, bool yes)
    {
        var request = new DecideCallsRequest { Run = run, Key = RandomId.New(), Yes = yes, Call = call.Call.Id };
        try
        {
            await link.Call((client, options) => client.DecideCallsAsync(request, options).ResponseAsync, stop.Token);
        }
        catch (RpcException e) when (e.StatusCode is StatusCode.FailedPrecondition or StatusCode.NotFound)
        {
            terminal.Note("It was answered elsewhere");
        }
        catch (OperationCanceledException)
        {
            // The person gave up in the moment of the answer.
        }
    }

    static Failure Unanswered(string run, IReadOnlyList<WaitingCall> calls) => new(
        calls.Count == 1 ? "A tool call waits for a person's yes" : $"{calls.Count} tool calls wait for a person's yes",
        string.Join('\n', calls.Select(call => RunTexts.Call(call.Call))),
        $"`stigmer runs approve {run}` says yes and `stigmer runs deny {run}` no; `stigmer run --yes` says yes to all of a run");

    static (int, int, int) Place(WaitingCall call) => (call.Turn, call.Step, call.Call.Slot);
}
