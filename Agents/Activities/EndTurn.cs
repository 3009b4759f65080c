using Stigmer.Agents.Loop;
using Stigmer.Agents.Worker;
using Stigmer.Rpc.V1;

namespace Stigmer.Agents.Activities;

/// <summary>Closes a turn in the database, or hears that the model has not read all yet.</summary>
sealed class EndTurn(RunnerServer server)
{
    /// <summary>Asks the server until it answers.</summary>
    public async Task<EndReport> Run(EndTask task, Attempt attempt)
    {
        var request = new EndTurnRequest
        {
            RunId = task.Run,
            Turn = task.Turn,
            Caller = server.Caller(attempt),
            Status = StatusOf(task.End),
            Limit = task.Limit ?? "",
            Step = task.Step,
            ReadUpTo = task.ReadUpTo,
        };
        if (task.Error is { } error) request.Error = new Error { What = error.What, Why = error.Why ?? "", Remedy = error.Remedy ?? "" };
        var answer = await server.EndTurn(request, attempt.Stop);
        return answer.AnswerCase switch
        {
            EndTurnResponse.AnswerOneofCase.Closed => new EndReport(EndAnswer.Closed),
            EndTurnResponse.AnswerOneofCase.Unread => new EndReport(EndAnswer.Unread),
            EndTurnResponse.AnswerOneofCase.Refused => new EndReport(EndAnswer.Refused),
            _ => throw new ActivityFailure(new("The server does not know this run", $"run {task.Run}"), retryable: true),
        };
    }

    static RunStatus StatusOf(TurnEnd end) => end switch
    {
        TurnEnd.Completed => RunStatus.Completed,
        TurnEnd.Failed => RunStatus.Failed,
        TurnEnd.Cancelled => RunStatus.Cancelled,
        TurnEnd.TimedOut => RunStatus.TimedOut,
        TurnEnd.LimitReached => RunStatus.LimitReached,
        _ => throw new ArgumentOutOfRangeException(nameof(end)),
    };
}
