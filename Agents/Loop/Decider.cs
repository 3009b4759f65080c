using Stigmer.Rpc;

namespace Stigmer.Agents.Loop;

/// <summary>
/// The agent loop, as a pure function: what a history asks for that is not in it yet. It calls the model, has the tools run
/// that the model asked for, and goes on until the model asks for none, a limit is reached, something fails or somebody
/// cancels; then the turn is closed in the database, and only after that the workflow. No clock, no I/O, no transcript.
/// </summary>
static class Decider
{
    /// <summary>The version of these rules. A workflow is decided by the version that it began with.</summary>
    public const int Version = 1;

    /// <summary>The most tools of one run that are under way.</summary>
    public const int MaxToolsUnderWay = 16;

    /// <summary>After so many steps the workflow continues as new, so that its history stays short.</summary>
    public const int StepsPerWorkflow = 50;

    /// <summary>What start_to_close grants beyond what is left of the run's time.</summary>
    static readonly TimeSpan Grace = TimeSpan.FromSeconds(60);

    /// <summary>start_to_close of a run without a time limit, and of EndTurn.</summary>
    static readonly TimeSpan Day = TimeSpan.FromHours(24);

    /// <summary>
    /// What is to be done after this history, or after any beginning of one. The same history gives the same commands;
    /// what stands in it already is not asked for again. Fails only for an input of a later version.
    /// </summary>
    public static IReadOnlyList<TurnCommand> Decide(TurnInput input, IEnumerable<TurnEvent> history)
    {
        if (input.Version > Version)
        {
            throw new NotSupportedException($"This workflow is decided by rules of version {input.Version}; this runner knows {Version}");
        }
        return new Walk(input, TurnState.Of(history)).Decide();
    }

    /// <summary>One walk through the turn from its first step to where the history stops.</summary>
    sealed class Walk(TurnInput input, TurnState state)
    {
        long tokens = input.TokensBefore;
        long workedMs = input.WorkedMsBefore;
        long readUpTo;
        int lastStep = input.FirstStep - 1;

        public IReadOnlyList<TurnCommand> Decide()
        {
            if (input.OpensTools && ToolsAreNotOpen() is { } opening) return opening;
            for (var step = input.FirstStep; ; step++)
            {
                if (state[ActivityId.Model(step)] is not { } model) return BeforeStep(step);
                lastStep = step;
                switch (model.End)
                {
                    case null:
                        return Wait(step);
                    case TurnEvent.ModelAnswered { Report.Outcome: Outcome.Stored } answered:
                        Count(answered.Report);
                        var following = answered.Report.Calls.Count == 0 ? End(step, new Ending(TurnEnd.Completed)) : Tools(step, answered.Report.Calls);
                        if (following is not null) return following;
                        break;
                    default:
                        return WindDown(step, EndingOf(model)!);
                }
            }
        }

        /// <summary>Null once the tools are open.</summary>
        IReadOnlyList<TurnCommand>? ToolsAreNotOpen()
        {
            var step = input.FirstStep;
            switch (state[ActivityId.OpenTools])
            {
                case null when state.CancelRequested:
                    return Wait(step);
                case null:
                    var task = new OpenToolsTask { Run = input.Run, Turn = input.Turn, LeftMs = LeftMs };
                    return [new TurnCommand.Schedule(ActivityId.OpenTools, input.HostQueue, task, StartToClose)];
                case { End: null }:
                    return Wait(step);
                case { End: TurnEvent.ToolsOpened { Report.Outcome: Outcome.Stored } opened }:
                    workedMs += opened.Report.WorkedMs;
                    return null;
                case { } ended:
                    return WindDown(step, EndingOf(ended)!);
            }
        }

        /// <summary>Between two steps: nothing is pending.</summary>
        IReadOnlyList<TurnCommand> BeforeStep(int step)
        {
            var steps = input.StepsBefore + (step - input.FirstStep);
            if (state.CancelRequested) return WindDown(step, new Ending(TurnEnd.Cancelled));
            if (input.MaxSteps > 0 && steps >= input.MaxSteps) return WindDown(step, new Ending(TurnEnd.LimitReached, Limit: "max_steps"));
            if (input.MaxTotalTokens > 0 && tokens >= input.MaxTotalTokens)
            {
                return WindDown(step, new Ending(TurnEnd.LimitReached, Limit: "max_total_tokens"));
            }
            if (TimeIsOver) return WindDown(step, new Ending(TurnEnd.TimedOut));
            if (step > input.FirstStep && (step - input.FirstStep >= StepsPerWorkflow || state.SuggestsContinueAsNew))
            {
                return
                [
                    new TurnCommand.ContinueAsNew(input with
                    {
                        FirstStep = step, StepsBefore = steps, TokensBefore = tokens, WorkedMsBefore = workedMs, OpensTools = false,
                    }),
                ];
            }
            var task = new ModelTask { Run = input.Run, Turn = input.Turn, Step = step, LeftMs = LeftMs };
            return [new TurnCommand.Schedule(ActivityId.Model(step), input.Queue, task, StartToClose)];
        }

        /// <summary>The calls of a step; null once every one of them has its result.</summary>
        IReadOnlyList<TurnCommand>? Tools(int step, IReadOnlyList<CallReport> calls)
        {
            var known = calls.Select(call => state[ActivityId.Tool(step, call.Slot)]).OfType<TurnState.Activity>().ToList();
            foreach (var tool in known) workedMs += tool.End is TurnEvent.ToolAnswered { Report: var report } ? report.WorkedMs : 0;
            // Of those that ended badly the first one counts: the others may have ended only because of it.
            var ending = known.Where(tool => !tool.CancelAsked).OrderBy(tool => tool.EndPlace).Select(EndingOf).FirstOrDefault(bad => bad is not null);
            if (ending is not null) return WindDown(step, ending);

            var open = calls.Where(call => call.State != CallState.Done && !state.IsDenied(step, call.Slot)
                && state[ActivityId.Tool(step, call.Slot)] is null or { End: null }).OrderBy(call => call.Slot).ToList();
            if (open.Count == 0 && !known.Any(tool => EndingOf(tool) is not null)) return null;
            if (state.CancelRequested) return WindDown(step, new Ending(TurnEnd.Cancelled));
            if (TimeIsOver) return WindDown(step, new Ending(TurnEnd.TimedOut));
            if (known.Select(EndingOf).FirstOrDefault(bad => bad is not null) is { } other) return WindDown(step, other);

            var free = MaxToolsUnderWay - known.Count(tool => tool.End is null);
            return open
                .Where(call => state[ActivityId.Tool(step, call.Slot)] is null)
                .Where(call => call.State == CallState.Approved || state.IsApproved(step, call.Slot))
                .Take(Math.Max(0, free))
                .Select(call => Run(step, call))
                .ToList();
        }

        TurnCommand Run(int step, CallReport call)
        {
            var task = new ToolTask { Run = input.Run, Turn = input.Turn, Step = step, Slot = call.Slot, Name = call.Name, LeftMs = LeftMs };
            return new TurnCommand.Schedule(ActivityId.Tool(step, call.Slot), input.HostQueue, task, StartToClose);
        }

        IReadOnlyList<TurnCommand> Wait(int step) => state.CancelRequested ? WindDown(step, new Ending(TurnEnd.Cancelled)) : [];

        /// <summary>Cancels what is pending, waits for it, then ends the turn.</summary>
        IReadOnlyList<TurnCommand> WindDown(int step, Ending ending)
        {
            var end = ActivityId.End(step);
            var pending = state.Pending.Where(activity => activity.Id != end).ToList();
            if (pending.Count > 0)
            {
                return pending.Where(activity => !activity.CancelAsked)
                    .Select(activity => (TurnCommand)new TurnCommand.RequestCancel(activity.Id, activity.EventId)).ToList();
            }
            if (ending.Quiet) return [Close];
            // A message that came in keeps a turn open only where it would have been completed.
            return End(step, ending) ?? [Close];
        }

        /// <summary>Closes the turn in the database, then the workflow; null where a message is unread: the turn goes on.</summary>
        IReadOnlyList<TurnCommand>? End(int step, Ending ending)
        {
            switch (state[ActivityId.End(step)])
            {
                case null:
                    if (state.CancelRequested) ending = new Ending(TurnEnd.Cancelled);
                    var task = new EndTask
                    {
                        Run = input.Run, Turn = input.Turn, Step = lastStep, End = ending.End, Error = ending.Error, Limit = ending.Limit, ReadUpTo = readUpTo,
                    };
                    return [new TurnCommand.Schedule(ActivityId.End(step), input.EndQueue, task, Day)];
                case { End: null }:
                    return [];
                case { End: TurnEvent.EndAnswered { Report.Answer: EndAnswer.Unread } }:
                    return null;
                case { End: TurnEvent.EndAnswered }:
                    return [Close];
                case { End: TurnEvent.Failed failed } when !state.CancelRequested:
                    return [new TurnCommand.Fail(failed.Error)];
                default:
                    return [Close];
            }
        }

        TurnCommand Close => state.CancelRequested ? new TurnCommand.Cancel() : new TurnCommand.Complete();

        /// <summary>How an activity that ended without its result ends the turn; null where it has one, or has not ended.</summary>
        static Ending? EndingOf(TurnState.Activity activity) => activity.End switch
        {
            null => null,
            TurnEvent.ModelAnswered { Report.Outcome: var outcome } => Of(outcome),
            TurnEvent.ToolAnswered { Report.Outcome: var outcome } => Of(outcome),
            TurnEvent.ToolsOpened { Report.Outcome: var outcome } => Of(outcome),
            TurnEvent.Failed { Error: var error } => new Ending(TurnEnd.Failed, error),
            _ => new Ending(TurnEnd.Failed, new TurnError(
                "The workflow engine ended a step of this run", $"the activity {activity.Id} was cancelled or timed out there", "Continue it with: stigmer runs resume")),
        };

        static Ending? Of(Outcome outcome) => outcome switch
        {
            Outcome.TimedOut => new Ending(TurnEnd.TimedOut),
            Outcome.Refused => new Ending(TurnEnd.Cancelled, Quiet: true),
            _ => null,
        };

        void Count(ModelReport report)
        {
            tokens += report.Tokens;
            workedMs += report.WorkedMs;
            readUpTo = report.ReadUpTo;
        }

        bool TimeIsOver => input.TimeoutMs > 0 && workedMs >= input.TimeoutMs;

        long LeftMs => input.TimeoutMs > 0 ? Math.Max(1, input.TimeoutMs - workedMs) : 0;

        TimeSpan StartToClose => input.TimeoutMs > 0 ? TimeSpan.FromMilliseconds(LeftMs) + Grace : Day;
    }

    /// <summary>How a turn is to end.</summary>
    /// <param name="Quiet">The server has refused: only the workflow is left to close.</param>
    sealed record Ending(TurnEnd End, TurnError? Error = null, string? Limit = null, bool Quiet = false);
}
