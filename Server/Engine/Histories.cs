using Google.Protobuf.WellKnownTypes;
using Stigmer.Rpc.Temporal;

namespace Stigmer.Server.Engine;

/// <summary>Writing a run's history: at once, or, while a workflow task is worked on, after it.</summary>
static class Histories
{
    /// <summary>A new event without its id.</summary>
    public static HistoryEvent Event(EventType type, long now) => new() { EventType = type, EventTime = ToTimestamp(now) };

    /// <summary>Writes an event now and gives it the next id.</summary>
    public static HistoryEvent Append(this RunState run, HistoryEvent happened)
    {
        happened.EventId = run.NextEventId++;
        run.HistoryBytes += happened.CalculateSize();
        run.Changes.Events.Add(happened);
        return happened;
    }

    /// <summary>Writes an event now, or, while a worker has a workflow task (which must not see it any more), keeps it until that ends.</summary>
    public static void Record(this RunState run, HistoryEvent happened)
    {
        if (run.Task is { IsStarted: true }) run.Buffered.Add(happened);
        else run.Append(happened);
    }

    /// <summary>Writes what was kept; whether there was anything.</summary>
    public static bool FlushBuffer(this RunState run)
    {
        if (run.Buffered.Count == 0) return false;
        // An activity's end was kept without the id of its Started event, which it gets only now.
        var started = new Dictionary<long, long>();
        foreach (var happened in run.Buffered)
        {
            happened.EventId = run.NextEventId;
            switch (happened.AttributesCase)
            {
                case HistoryEvent.AttributesOneofCase.ActivityTaskStartedEventAttributes:
                    started[happened.ActivityTaskStartedEventAttributes.ScheduledEventId] = happened.EventId;
                    break;
                case HistoryEvent.AttributesOneofCase.ActivityTaskCompletedEventAttributes:
                    var completed = happened.ActivityTaskCompletedEventAttributes;
                    completed.StartedEventId = started.GetValueOrDefault(completed.ScheduledEventId);
                    break;
                case HistoryEvent.AttributesOneofCase.ActivityTaskFailedEventAttributes:
                    var failed = happened.ActivityTaskFailedEventAttributes;
                    failed.StartedEventId = started.GetValueOrDefault(failed.ScheduledEventId);
                    break;
                case HistoryEvent.AttributesOneofCase.ActivityTaskTimedOutEventAttributes:
                    var timedOut = happened.ActivityTaskTimedOutEventAttributes;
                    timedOut.StartedEventId = started.GetValueOrDefault(timedOut.ScheduledEventId);
                    break;
                case HistoryEvent.AttributesOneofCase.ActivityTaskCanceledEventAttributes:
                    var canceled = happened.ActivityTaskCanceledEventAttributes;
                    canceled.StartedEventId = started.GetValueOrDefault(canceled.ScheduledEventId);
                    break;
            }
            run.Append(happened);
        }
        run.Buffered.Clear();
        run.Changes.BufferRewritten = true;
        return true;
    }

    /// <summary>Milliseconds since 1970 as Temporal writes a time; null for none.</summary>
    public static Timestamp? ToTimestamp(long milliseconds) => milliseconds == 0 ? null
        : new Timestamp { Seconds = milliseconds / 1000, Nanos = (int)(milliseconds % 1000) * 1_000_000 };

    /// <summary>Milliseconds as Temporal writes a duration; null for none.</summary>
    public static Duration? ToDuration(long milliseconds) => milliseconds == 0 ? null
        : new Duration { Seconds = milliseconds / 1000, Nanos = (int)(milliseconds % 1000) * 1_000_000 };

    /// <summary>A duration in milliseconds, rounded up; 0 where it is unset or not positive.</summary>
    public static long ToMilliseconds(this Duration? duration)
    {
        if (duration is null) return 0;
        // A hundred years are for ever, and leave room for sums.
        var seconds = Math.Clamp(duration.Seconds, 0, 100L * 365 * 24 * 3600);
        return Math.Max(0, seconds * 1000 + (duration.Nanos + 999_999) / 1_000_000);
    }
}
