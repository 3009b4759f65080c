using System.Threading.Channels;
using Stigmer.Rpc.V1;

namespace Stigmer.Server.Runs;

/// <summary>
/// Which runners live, by their beats: one that has not been heard of for 15 s is away, whatever TCP believes. In memory only:
/// after a start of the server everybody has 15 s anew.
/// </summary>
sealed class Runners : IDisposable
{
    /// <summary>How long a runner may be silent; it beats every 5 s.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    /// <summary>A registration waits so long for the decision whether runners are let in; the runner itself has 10 s of patience.</summary>
    static readonly TimeSpan Undecided = TimeSpan.FromSeconds(8);

    readonly Lock gate = new();
    readonly Dictionary<string, Runner> known = [];
    readonly TimeProvider time;
    readonly ITimer timer;
    readonly TaskCompletionSource decided = new(TaskCreationOptions.RunContinuationsAsynchronously);
    Error? refusal;

    public Runners(TimeProvider time)
    {
        this.time = time;
        timer = time.CreateTimer(_ => Check(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Called with the lives that have just gone away, on a timer's thread.</summary>
    public Action<IReadOnlyList<string>>? Away { get; set; }

    /// <summary>The runner was heard of. True where it was away or unknown before.</summary>
    public bool Heard(string life)
    {
        lock (gate)
        {
            if (!known.TryGetValue(life, out var runner)) known.Add(life, runner = new Runner());
            var back = !runner.Present;
            runner.Present = true;
            runner.LastHeard = time.GetTimestamp();
            if (back) Schedule();
            return back;
        }
    }

    /// <summary>Runners are let in from now on.</summary>
    public void Admit() => Decide(null);

    /// <summary>No runner is let in any more, and those that are there are told to end.</summary>
    /// <param name="why">For a person.</param>
    /// <returns>True where they were let in before, or it was not decided.</returns>
    public bool Refuse(Error why) => Decide(why);

    /// <summary>Why no runner is let in; null: they are.</summary>
    /// <param name="isNew">The runner has not been let in before: it waits until that is decided. Who has been goes on through every outage.</param>
    /// <exception cref="Grpc.Core.RpcException">Unavailable: it is not decided yet.</exception>
    public async Task<Error?> Refusal(bool isNew, CancellationToken cancel)
    {
        try
        {
            if (isNew) await decided.Task.WaitAsync(Undecided, time, cancel);
        }
        catch (TimeoutException)
        {
            throw Runs.Refusal.Later("The workflow engine has not answered stigmer-server yet");
        }
        lock (gate) return refusal;
    }

    /// <summary>The runner listens on the channel, and serves these queues.</summary>
    public ChannelReader<RegisterResponse> Register(string life, IReadOnlyList<string> queues)
    {
        Heard(life);
        var channel = Channel.CreateUnbounded<RegisterResponse>();
        lock (gate)
        {
            var runner = known[life];
            runner.Queues = queues;
            // A connection that it has given up may still look open from here.
            runner.Channel?.TryComplete();
            runner.Channel = channel.Writer;
            if (refusal is not null) channel.Writer.TryWrite(new RegisterResponse { Refused = refusal });
        }
        return channel.Reader;
    }

    /// <summary>The runner's process has ended: not heard of again.</summary>
    public void Gone(string life)
    {
        lock (gate)
        {
            if (known.Remove(life, out var runner)) runner.Channel?.TryComplete();
        }
    }

    /// <summary>It has been silent for too long, or was never heard of since the server's start.</summary>
    public bool IsAway(string life)
    {
        lock (gate) return !known.TryGetValue(life, out var runner) || !Lives(runner);
    }

    /// <summary>Some runner that lives polls the queue.</summary>
    public bool Serves(string queue)
    {
        lock (gate) return known.Values.Any(r => Lives(r) && r.Queues.Contains(queue));
    }

    /// <summary>Tells every runner that the turn has ended.</summary>
    /// <param name="life">Its life then.</param>
    public void TellEnded(string runId, int turn, int life)
    {
        lock (gate)
        {
            foreach (var runner in known.Values)
            {
                runner.Channel?.TryWrite(new RegisterResponse { TurnEnded = new TurnKey { RunId = runId, Turn = turn, Life = life } });
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => timer.Dispose();

    bool Decide(Error? why)
    {
        bool isNews;
        lock (gate)
        {
            isNews = refusal is null != why is null;
            refusal = why;
            if (isNews && why is not null) foreach (var runner in known.Values) runner.Channel?.TryWrite(new RegisterResponse { Refused = why });
        }
        decided.TrySetResult();
        return isNews;
    }

    bool Lives(Runner runner) => runner.Present && time.GetElapsedTime(runner.LastHeard) < Patience;

    void Check()
    {
        List<string> away;
        lock (gate)
        {
            away = [.. known.Where(k => k.Value.Present && !Lives(k.Value)).Select(k => k.Key)];
            foreach (var life in away) known[life].Present = false;
            Schedule();
        }
        if (away.Count > 0) Away?.Invoke(away);
    }

    void Schedule()
    {
        TimeSpan? next = null;
        foreach (var runner in known.Values)
        {
            if (!runner.Present) continue;
            var left = Patience - time.GetElapsedTime(runner.LastHeard);
            if (next is null || left < next) next = left;
        }
        // A millisecond more: a timer may fire a trifle early.
        timer.Change(next is { } wait ? (wait > TimeSpan.Zero ? wait : TimeSpan.Zero) + TimeSpan.FromMilliseconds(1) : Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    sealed class Runner
    {
        public bool Present { get; set; }

        public long LastHeard { get; set; }

        public IReadOnlyList<string> Queues { get; set; } = [];

        public ChannelWriter<RegisterResponse>? Channel { get; set; }
    }
}
