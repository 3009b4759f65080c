using Grpc.Core;
using Stigmer.Config;
using Stigmer.Rpc.V1;

namespace Stigmer.Commands;

/// <summary><c>stigmer run</c> without a prompt: each line is a turn of one run. Ctrl-C ends an answer and not the conversation.</summary>
sealed class Conversation(ServerLink link, StartRunRequest request, Terminal terminal, LineInput input)
{
    readonly RunOutput output = RunOutput.For(terminal);
    readonly Lock gate = new();
    CancellationTokenSource? turn;
    RunFollower? follower;
    bool begun;

    /// <summary>Talks until the person leaves.</summary>
    public async Task<int> Hold(CancellationToken cancel)
    {
        await CheckAgent(cancel);
        using var left = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        // A signal is a Ctrl-C, too: at the prompt it leaves.
        Interrupt.Taker = () =>
        {
            if (!EndTurn()) left.Cancel();
        };
        follower = new RunFollower(link, output, terminal, input.Keys);
        terminal.FaintNote("Ctrl-C ends an answer, Ctrl-D leaves");
        try
        {
            while (await input.Read(left.Token) is { } line)
            {
                if (string.IsNullOrWhiteSpace(line)) continue;
                lock (gate) turn = CancellationTokenSource.CreateLinkedTokenSource(cancel);
                input.WhileBusy(() => EndTurn());
                try
                {
                    await Turn(line, cancel);
                }
                finally
                {
                    input.WhileBusy(null);
                    lock (gate)
                    {
                        turn.Dispose();
                        turn = null;
                    }
                }
            }
        }
        catch (OperationCanceledException) when (left.IsCancellationRequested && !cancel.IsCancellationRequested)
        {
            // The person has left by a signal.
        }
        finally
        {
            Interrupt.Taker = null;
        }
        if (begun) terminal.Note($"`stigmer runs send {request.RunId} \"...\"` takes it up again");
        return ExitCode.Done;
    }

    bool EndTurn()
    {
        lock (gate)
        {
            turn?.Cancel();
            return turn is not null;
        }
    }

    // Before the first line is typed.
    async Task CheckAgent(CancellationToken cancel)
    {
        if (request.Agent.Length == 0) return;
        var asked = new GetAgentRequest { Name = request.Agent };
        await link.CallAgents((client, options) => client.GetAgentAsync(asked, options).ResponseAsync, cancel);
    }

    async Task Turn(string text, CancellationToken cancel)
    {
        try
        {
            await Say(text, turn!.Token);
            output.End(await follower!.Follow(request.RunId, turn.Token));
        }
        catch (OperationCanceledException) when (turn!.IsCancellationRequested)
        {
            var ended = await RunCommand.Cancel(link, follower!, request.RunId, terminal);
            if (ended?.Status == RunStatus.Completed) output.End(ended);
            begun |= ended is not null;
            // Whether a start that was not awaited came to anything is not known: the next line is another run's.
            if (!begun) request.RunId = RandomId.New();
            cancel.ThrowIfCancellationRequested();
        }
        catch (Exception e) when (e is Failure or RpcException)
        {
            terminal.Fail(Failures.From(e));
        }
    }

    async Task Say(string text, CancellationToken cancel)
    {
        if (!begun)
        {
            request.Prompt = text;
            await link.Call((client, options) => client.StartRunAsync(request, options).ResponseAsync, cancel);
            begun = true;
            return;
        }
        var message = new SendMessageRequest { Run = request.RunId, Key = RandomId.New(), Text = text };
        var sent = await link.Call((client, options) => client.SendMessageAsync(message, options).ResponseAsync, cancel);
        follower!.From(sent.Turn, sent.Message);
        output.After(sent.Run);
    }
}
