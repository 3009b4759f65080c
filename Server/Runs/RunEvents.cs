using System.Text;
using System.Threading.Channels;

namespace Stigmer.Server.Runs;

/// <summary>What happens to a run while somebody looks at it. What is stored is only announced (<see cref="Look"/>) and read from the database.</summary>
abstract record RunEvent
{
    RunEvent()
    {
    }

    /// <summary>Something of the run has changed in the database, or who serves it.</summary>
    public sealed record Look : RunEvent
    {
        /// <summary>It says nothing, so one is enough.</summary>
        public static Look Again { get; } = new();
    }

    /// <summary>A model wrote this.</summary>
    public sealed record Text(int Turn, int Step, string Delta) : RunEvent;

    /// <summary>What the step had shown is void.</summary>
    public sealed record Retry(int Turn, int Step, string Why) : RunEvent;
}

/// <summary>Hands what happens to runs to those who watch them, and keeps what the step that streams now has shown, and how often it began anew, for who comes late.</summary>
sealed class RunEvents
{
    /// <summary>A watcher that is this many events behind is let go; it comes back and reads from the database.</summary>
    const int MaxBehind = 8192;

    /// <summary>Of how many beginnings anew of a step one who comes late is told: more than a model call makes by itself.</summary>
    const int MaxRetries = 16;

    readonly Lock gate = new();
    readonly Dictionary<long, Topic> topics = [];

    /// <summary>Begins to watch; what happens from now on is in the subscription, and first what the present step has shown so far.</summary>
    public Subscription Subscribe(long run)
    {
        lock (gate)
        {
            var topic = Of(run);
            var subscription = new Subscription(this, run);
            // A first call fails faster than who started the run begins to watch.
            foreach (var why in topic.Retries) subscription.Offer(new RunEvent.Retry(topic.Turn, topic.Step, why));
            if (topic.Text.Length > 0) subscription.Offer(new RunEvent.Text(topic.Turn, topic.Step, topic.Text.ToString()));
            topic.Subscriptions.Add(subscription);
            return subscription;
        }
    }

    /// <summary>Something of the run has changed.</summary>
    public void Look(long run)
    {
        lock (gate)
        {
            if (topics.TryGetValue(run, out var topic)) topic.Offer(RunEvent.Look.Again);
        }
    }

    /// <summary>Who serves runs has changed: whoever watches looks again.</summary>
    public void LookAll()
    {
        lock (gate)
        {
            foreach (var topic in topics.Values) topic.Offer(RunEvent.Look.Again);
        }
    }

    /// <summary>A runner has claimed a step's model call; an earlier attempt's text is void.</summary>
    public void Claimed(long run, int turn, int step, string runner, bool begunBefore)
    {
        lock (gate)
        {
            var topic = Of(run);
            var again = begunBefore || (topic.Turn == turn && topic.Step == step && topic.Text.Length > 0);
            topic.Begin(turn, step, runner);
            if (again) topic.Retry("the model call was interrupted and is made again");
        }
    }

    /// <summary>A piece of what a model writes. Dropped where another runner has the step's claim.</summary>
    public void Text(long run, int turn, int step, string runner, string delta)
    {
        lock (gate)
        {
            if (Streaming(run, turn, step, runner) is not { } topic) return;
            topic.Text.Append(delta);
            topic.Offer(new RunEvent.Text(turn, step, delta));
        }
    }

    /// <summary>The stream broke and is tried again.</summary>
    public void Retry(long run, int turn, int step, string runner, string why)
    {
        lock (gate)
        {
            if (Streaming(run, turn, step, runner) is not { } topic) return;
            topic.Retry(why);
        }
    }

    /// <summary>A result was stored, or the turn has ended: the streamed text has its place in the database or nowhere.</summary>
    public void Settled(long run)
    {
        lock (gate)
        {
            if (!topics.TryGetValue(run, out var topic)) return;
            topic.Text.Clear();
            topic.Retries.Clear();
            topic.Runner = null;
            topic.Offer(RunEvent.Look.Again);
            Tidy(run, topic);
        }
    }

    // A step nobody claimed here: the server was restarted while a model streamed.
    Topic? Streaming(long run, int turn, int step, string runner)
    {
        var topic = Of(run);
        if (topic.Runner is null && (turn, step).CompareTo((topic.Turn, topic.Step)) > 0) topic.Begin(turn, step, runner);
        return topic.Turn == turn && topic.Step == step && topic.Runner is { } holder && (runner.Length == 0 || holder.Length == 0 || holder == runner) ? topic : null;
    }

    Topic Of(long run)
    {
        if (!topics.TryGetValue(run, out var topic)) topics.Add(run, topic = new Topic());
        return topic;
    }

    void Tidy(long run, Topic topic)
    {
        if (topic.Subscriptions.Count == 0 && topic.Runner is null) topics.Remove(run);
    }

    sealed class Topic
    {
        public List<Subscription> Subscriptions { get; } = [];

        public int Turn { get; private set; }

        public int Step { get; private set; }

        public string? Runner { get; set; }

        public StringBuilder Text { get; } = new();

        public List<string> Retries { get; } = [];

        public void Begin(int turn, int step, string runner)
        {
            // A claim of another attempt: the step has been begun anew as often as before, and once more.
            if ((Turn, Step) != (turn, step)) Retries.Clear();
            (Turn, Step, Runner) = (turn, step, runner);
            Text.Clear();
        }

        public void Retry(string why)
        {
            Text.Clear();
            if (Retries.Count == MaxRetries) Retries.RemoveAt(0);
            Retries.Add(why);
            Offer(new RunEvent.Retry(Turn, Step, why));
        }

        public void Offer(RunEvent happened)
        {
            foreach (var subscription in Subscriptions) subscription.Offer(happened);
        }
    }

    /// <summary>One who watches a run. Dispose ends it.</summary>
    public sealed class Subscription(RunEvents events, long run) : IDisposable
    {
        readonly Channel<RunEvent> channel = Channel.CreateBounded<RunEvent>(MaxBehind);

        /// <summary>What has happened. Ends where the reader is too far behind.</summary>
        public ChannelReader<RunEvent> Events => channel.Reader;

        internal void Offer(RunEvent happened)
        {
            if (!channel.Writer.TryWrite(happened)) channel.Writer.TryComplete();
        }

        /// <inheritdoc/>
        public void Dispose()
        {
            lock (events.gate)
            {
                if (!events.topics.TryGetValue(run, out var topic)) return;
                topic.Subscriptions.Remove(this);
                events.Tidy(run, topic);
            }
        }
    }
}
