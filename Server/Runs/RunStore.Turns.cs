using Google.Protobuf;
using Stigmer.Rpc;
using Stigmer.Rpc.V1;
using Stigmer.Server.Storage;

namespace Stigmer.Server.Runs;

// A turn ends in the database first, and only then its workflow.
sealed partial class RunStore
{
    /// <summary>Closes the turn in one transaction, or answers that a message is unread where it would have ended completed.</summary>
    public Task<EndTurnResponse> EndTurn(EndTurnRequest request)
    {
        if (!request.Status.HasEnded() || request.Caller is null) throw Refusal.Invalid($"A turn does not end as {request.Status}");
        return database.Write(t =>
        {
            if (Turn(t.Connection, request.RunId, request.Turn) is not { } turn) return new EndTurnResponse { Unknown = new EndTurnUnknown() };
            if (turn.Workflow != request.Caller.WorkflowId) return new EndTurnResponse { Refused = new EndTurnRefused { Why = "the turn is bound to another workflow" } };
            // Closed by an earlier request of the same workflow, or by a cancel: either way what it asks for has been done.
            if (!turn.Open)
            {
                t.Execute("UPDATE bindings SET state = 2 WHERE workflow = $1", turn.Workflow);
                return new EndTurnResponse { Closed = new EndTurnClosed() };
            }
            if (request.Status == RunStatus.Completed)
            {
                var unread = t.Connection.Number("SELECT max(number) FROM said WHERE run = $1 AND kind = 'message' AND number > $2", turn.Run, request.ReadUpTo);
                if (unread > 0) return new EndTurnResponse { Unread = new EndTurnUnread { Number = unread } };
            }
            Close(t, turn, request.Status, request.Error, request.Limit);
            // The workflow closes by itself after this answer.
            t.Execute("UPDATE bindings SET state = 2 WHERE workflow = $1", turn.Workflow);
            return new EndTurnResponse { Closed = new EndTurnClosed() };
        });
    }

    /// <summary>Ends an open turn: every call that lacks a result gets one, and every claim ends.</summary>
    void Close(Transaction t, TurnRow turn, RunStatus status, Error? error, string limit)
    {
        var last = LastAnswer(t.Connection, turn);
        foreach (var call in last?.Answer.Calls ?? [])
        {
            if (Stored(t.Connection, turn, last!.Step, call.Slot) is null) Store(t, turn, EndedBefore(t.Connection, turn, last.Step, call, status));
        }
        // Who held what matters only to a turn that may be resumed.
        if (status is RunStatus.Completed or RunStatus.Cancelled) t.Execute("DELETE FROM claims WHERE run = $1 AND turn = $2", turn.Run, turn.Turn);
        else t.Execute("UPDATE claims SET ended_at = $1, ending = 'closed', begun = 1 WHERE run = $2 AND turn = $3 AND ended_at IS NULL", Now, turn.Run, turn.Turn);
        t.Execute(
            "UPDATE turns SET status = $1, ended_at = $2, error = $3, limit_name = $4 WHERE run = $5 AND turn = $6",
            status, Now, error?.ToByteArray(), limit.Length == 0 ? null : limit, turn.Run, turn.Turn);
        t.AfterCommit(() =>
        {
            Events.Settled(turn.Run);
            Runners.TellEnded(turn.RunId, turn.Turn, turn.Life);
            log.Info("A run has ended", ("run", turn.RunId), ("turn", turn.Turn), ("status", status));
        });
    }

    TranscriptEntry EndedBefore(Connection c, TurnRow turn, int step, ToolCall call, RunStatus status)
    {
        // A claim that is live may be at work at this moment.
        var begun = c.Number(
            "SELECT count(*) FROM claims WHERE run = $1 AND turn = $2 AND step = $3 AND slot = $4 AND (begun = 1 OR ended_at IS NULL)",
            turn.Run, turn.Turn, step, call.Slot) > 0;
        var ended = status == RunStatus.Cancelled ? "was cancelled" : "ended";
        return new TranscriptEntry
        {
            Turn = turn.Turn, Step = step, Slot = call.Slot, StoredAt = Now,
            Result = new ToolResult
            {
                CallId = call.Id,
                Ok = false,
                Kind = begun ? ResultKind.OutcomeUnknown : ResultKind.Cancelled,
                Text = begun ? $"outcome unknown: the run {ended} while this call was under way" : $"cancelled: the run {ended} before this call began",
            },
        };
    }
}
