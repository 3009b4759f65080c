using System.CommandLine;
using Stigmer.Config;

namespace Stigmer.Commands;

/// <summary>The options of whatever starts the stack: <c>local</c>, <c>local start</c>, <c>local restart</c>.</summary>
sealed class StartOptions
{
    /// <summary>How long to wait for readiness where nothing else is said.</summary>
    public static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(60);

    readonly Option<bool> embedded = Flag("--embedded", "The engine inside stigmer-server, for this start: nothing to download");
    readonly Option<bool> managed = Flag("--managed", "Temporal, downloaded and started, for this start");
    readonly Option<bool> foreground = Flag("--foreground", "Stay, and show the logs; Ctrl-C stops the stack");
    readonly Option<bool> pull = Flag("--pull", "Have Ollama fetch the model first, where it is missing");
    readonly Option<TimeSpan?> timeout = Duration.Option("--timeout", "How long to wait until everything is ready; downloads do not count (default: 60s)");

    /// <summary>Adds them to a command.</summary>
    public StartOptions(Command command)
    {
        command.Options.Add(embedded);
        command.Options.Add(managed);
        command.Options.Add(foreground);
        command.Options.Add(pull);
        command.Options.Add(timeout);
        command.Validators.Add(result =>
        {
            if (result.GetValue(embedded) && result.GetValue(managed)) result.AddError("--embedded and --managed name two engines: choose one");
        });
    }

    /// <summary>What was typed.</summary>
    public StartRequest Read(ParseResult parsed) => new(
        new Flags(Embedded: parsed.GetValue(embedded), Managed: parsed.GetValue(managed)),
        parsed.GetValue(foreground),
        parsed.GetValue(timeout) ?? DefaultTimeout,
        parsed.GetValue(pull));

    static Option<bool> Flag(string name, string description) => new(name) { Description = description, Arity = ArgumentArity.Zero };
}

/// <summary>A start as it was asked for.</summary>
/// <param name="Flags">The engine, where one was named.</param>
/// <param name="Foreground">Stay.</param>
/// <param name="Timeout">How long to wait for readiness.</param>
/// <param name="Pull">Fetch the model first, where it is missing.</param>
sealed record StartRequest(Flags Flags, bool Foreground, TimeSpan Timeout, bool Pull = false);
