using Google.Protobuf;
using Stigmer.Rpc.Temporal;

namespace Stigmer.Server.Engine;

/// <summary>Reading histories, page by page, and waiting for what comes.</summary>
static class HistoryReading
{
    /// <summary>Temporal answers a reader without news after about 20 s.</summary>
    internal static readonly TimeSpan Hold = TimeSpan.FromSeconds(20);

    const int MaxPageEvents = 1_000;

    /// <summary>Clients take 4 MB by default; a single event may be half of that.</summary>
    const long MaxPageBytes = 2 * 1024 * 1024;

    /// <summary>The next page of a history that has an end, and where it goes on; null: it is complete.</summary>
    public static async Task<(List<HistoryEvent> Events, PageToken? More)> Page(EmbeddedEngine engine, PageToken token, int atMost)
    {
        var events = await engine.Read(connection => Store.Events(connection, token.RunKey, token.NextEventId, token.ToEventId,
            Math.Min(atMost, MaxPageEvents), MaxPageBytes)).ConfigureAwait(false);
        var next = token with { NextEventId = events.Count == 0 ? token.ToEventId : events[^1].EventId + 1 };
        if (next.NextEventId < token.ToEventId) return (events, next);
        events.AddRange(token.Unwritten);
        return (events, null);
    }

    /// <exception cref="Grpc.Core.RpcException">NotFound, or InvalidArgument for a token that is not ours.</exception>
    public static async Task<GetWorkflowExecutionHistoryResponse> Get(
        EmbeddedEngine engine, GetWorkflowExecutionHistoryRequest asked, TimeSpan hold, CancellationToken caller)
    {
        var atMost = asked.MaximumPageSize <= 0 ? MaxPageEvents : asked.MaximumPageSize;
        var token = asked.NextPageToken.IsEmpty ? await Begin(engine, asked).ConfigureAwait(false) : PageToken.Parse(asked.NextPageToken);
        if (token.Unwritten.Count > 0) return Answer(await Page(engine, token, atMost).ConfigureAwait(false));
        var closeOnly = asked.HistoryEventFilterType == HistoryEventFilterType.CloseEvent;
        using var end = CancellationTokenSource.CreateLinkedTokenSource(caller, engine.Stopping);
        var until = engine.Time.GetTimestamp();
        while (true)
        {
            // Wait for news before looking, so that none is missed in between.
            var news = engine.Readers.Wait(token.RunKey);
            try
            {
                var row = await engine.Read(connection => Store.Find(connection, token.RunKey)).ConfigureAwait(false)
                    ?? throw Errors.NoWorkflow(asked.Execution?.WorkflowId ?? "", asked.Execution?.RunId ?? "");
                var ready = closeOnly ? CloseEvent(token, row) : Rest(token, row);
                if (ready is { } page) return Answer(await Page(engine, page, atMost).ConfigureAwait(false), asked.WaitNewEvent && row.IsOpen ? page : null);
                if (!row.IsOpen || !asked.WaitNewEvent) return new GetWorkflowExecutionHistoryResponse { History = new History() };
                await news.Task.WaitAsync(Left(engine, until, hold), engine.Time, end.Token).ConfigureAwait(false);
            }
            catch (Exception e) when (e is TimeoutException or OperationCanceledException)
            {
                // Nothing came: the caller asks again with the same token.
                return new GetWorkflowExecutionHistoryResponse { History = new History(), NextPageToken = token.ToBytes() };
            }
            finally
            {
                engine.Readers.Leave(token.RunKey, news);
            }
        }
    }

    static async Task<PageToken> Begin(EmbeddedEngine engine, GetWorkflowExecutionHistoryRequest asked)
    {
        var (workflowId, runId) = (asked.Execution?.WorkflowId ?? "", asked.Execution?.RunId ?? "");
        if (workflowId.Length == 0) throw Errors.Invalid("WorkflowId is not set on request");
        var row = await engine.Read(connection => Store.Find(connection, workflowId, runId)).ConfigureAwait(false) ?? throw Errors.NoWorkflow(workflowId, runId);
        return new PageToken(row.Key, 1, row.NextEventId, []);
    }

    /// <summary>What is there to read: the rest of what there was at first, then, when that was read, what has come since.</summary>
    static PageToken? Rest(PageToken token, RunRow row) =>
        token.NextEventId < token.ToEventId ? token : token.NextEventId < row.NextEventId ? token with { ToEventId = row.NextEventId } : null;

    static PageToken? CloseEvent(PageToken token, RunRow row) =>
        row.IsOpen ? null : token with { NextEventId = row.NextEventId - 1, ToEventId = row.NextEventId };

    static TimeSpan Left(EmbeddedEngine engine, long since, TimeSpan hold)
    {
        var left = hold - engine.Time.GetElapsedTime(since);
        return left > TimeSpan.Zero ? left : TimeSpan.Zero;
    }

    /// <param name="read">The page came from here, and more is to come after it.</param>
    static GetWorkflowExecutionHistoryResponse Answer((List<HistoryEvent> Events, PageToken? More) page, PageToken? read = null)
    {
        var more = page.More ?? (read is { } token ? token with { NextEventId = token.ToEventId } : null);
        return new GetWorkflowExecutionHistoryResponse
        {
            History = new History { Events = { page.Events } }, NextPageToken = more?.ToBytes() ?? ByteString.Empty,
        };
    }
}
