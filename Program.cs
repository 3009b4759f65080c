using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Serialization;
using Grpc.Core;
using Stigmer.Commands;
using Stigmer.Processes;
using Stigmer.Rpc;

namespace Stigmer;

/// <summary>
/// Builds the root command and runs it. The one place where a <see cref="Failure"/> becomes text, or the
/// <c>{"error":{…}}</c> document, and an exit code.
/// </summary>
static class Program
{
    /// <summary>Commands whose --json is a stream of documents, one a line: a failure is one of them.</summary>
    static readonly string[] Streaming = ["run", "runs watch", "runs resume", "runs send", "local logs"];

    /// <summary>Commands that have no --json: their output is no document.</summary>
    static readonly string[] WithoutJson = ["server", "agent-runner", "completion"];

    static async Task<int> Main(string[] args)
    {
        if (!OperatingSystem.IsWindows()) StandardStreams.Complete();
        using var output = Writer(Console.OpenStandardOutput(), Console.IsOutputRedirected);
        using var error = Writer(Console.OpenStandardError(), Console.IsErrorRedirected);
        TrustStore.Announce();
        return await Run(args, output, error);
    }

    /// <summary>What <c>stigmer ARGS</c> does; the exit code.</summary>
    public static async Task<int> Run(string[] args, TextWriter output, TextWriter error)
    {
        var parsed = Root().Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        parsed.InvocationConfiguration.Output = output;
        parsed.InvocationConfiguration.Error = error;
        parsed.InvocationConfiguration.EnableDefaultExceptionHandler = false;
        // Signals are ours: undoing a start takes longer than the parser's default leaves.
        parsed.InvocationConfiguration.ProcessTerminationTimeout = null;
        using var signals = new Signals();
        try
        {
            if (WantsHelp(parsed)) return Group.PrintHelp(parsed);
            if (WrongUsage.Check(parsed, args) is { } wrong) throw wrong;
            var path = WrongUsage.PathOf(parsed.CommandResult.Command);
            if (parsed.GetValue(Terminal.JsonOption) && WithoutJson.Contains(path)) throw WrongUsage.Error($"`stigmer {path}` has no --json", path);
            if (parsed.Action is AsynchronousCommandLineAction) signals.Listen();
            return await parsed.InvokeAsync(parsed.InvocationConfiguration, signals.Cancel);
        }
        catch (OperationCanceledException) when (signals.ExitCode is { } code)
        {
            return code;
        }
        // A connection that breaks because the person interrupted is no failure.
        catch (RpcException e) when (e.StatusCode == StatusCode.Cancelled && signals.ExitCode is not null)
        {
            return signals.ExitCode.Value;
        }
        catch (Exception e)
        {
            return Report(parsed, args, e, error);
        }
    }

    /// <summary>The whole command line.</summary>
    public static RootCommand Root()
    {
        var root = new RootCommand("Runs AI agents on this machine: a workflow engine, an API server and an agent-runner in one executable");
        root.Options.Clear();
        root.Options.Add(new HelpOption("--help", "-h") { Recursive = true });
        root.Options.Add(Commands.Version.CreateOption());
        root.Options.Add(Terminal.JsonOption);
        root.Options.Add(Terminal.QuietOption);
        root.Options.Add(Terminal.VerboseOption);
        root.Options.Add(Terminal.NoColorOption);
        root.SetAction(Group.PrintHelp);
        // One line a command, in the order in which a person meets them.
        root.Subcommands.Add(Local.Create());
        root.Subcommands.Add(RunCommand.Create());
        root.Subcommands.Add(Runs.Create());
        root.Subcommands.Add(Group.Create(
            "agent", "Define agents, and look at them", AgentApply.Create(), AgentList.Create(), AgentGet.Create(), AgentDelete.Create()));
        root.Subcommands.Add(Commands.Llm.Create());
        root.Subcommands.Add(Group.Create(
            "config", "What is configured, and by what", ConfigShow.Create(), ConfigGet.Create(), ConfigSet.Create(), ConfigInit.Create(), ConfigValidate.Create(),
            ConfigPath.Create()));
        root.Subcommands.Add(ConfigInit.Create());
        root.Subcommands.Add(Group.Create("temporal", "The managed Temporal's binary", TemporalInstall.Create(), TemporalVersion.Create(), TemporalUpgrade.Create()));
        root.Subcommands.Add(Commands.Server.Create());
        root.Subcommands.Add(AgentRunner.Create());
        root.Subcommands.Add(Completion.Create());
        root.Subcommands.Add(Commands.Version.Create());
        root.Subcommands.Add(Help.Create());
        var hidden = Group.Create("internal", "Not for people", InternalDaemon.Create(), InternalSpawn.Create(), InternalGuard.Create(), Completion.CreateInternal());
        hidden.Hidden = true;
        root.Subcommands.Add(hidden);
        return root;
    }

    // Help is given also where the rest is wrong: it is what a person asks for then.
    static bool WantsHelp(ParseResult parsed) => parsed.Action is HelpAction;

    static int Report(ParseResult parsed, string[] args, Exception e, TextWriter error)
    {
        var failure = e as Failure ?? Failures.From(e);
        // A parse that went wrong may not have got as far as --json.
        var json = args.TakeWhile(a => a != "--").Contains("--json");
        var terminal = Terminal.From(parsed);
        try
        {
            Tell(json, terminal, failure, parsed);
        }
        catch (Exception broken) when (broken is IOException or UnauthorizedAccessException)
        {
            // Where nothing can be written (a full disk behind `>`), the exit code alone tells.
        }
        if (terminal.Verbose && e is not Failure { InnerException: null }) error.WriteLine(e.ToString());
        return failure.ExitCode;
    }

    static void Tell(bool json, Terminal terminal, Failure failure, ParseResult parsed)
    {
        if (json)
        {
            var document = new ErrorDocument(
                Streaming.Contains(WrongUsage.PathOf(parsed.CommandResult.Command)) ? "error" : null,
                new ErrorParts(failure.What, failure.Why, failure.Remedy));
            terminal.Document(document, ErrorJson.Default.ErrorDocument);
        }
        else
        {
            terminal.Fail(failure);
        }
    }

    // UTF-8 whatever the locale; .NET would follow LANG. A reader that has gone away (`| head`) is no error: the console's
    // stream drops what it cannot write.
    static TextWriter Writer(Stream stream, bool redirected)
    {
        if (OperatingSystem.IsWindows() && !redirected) return stream is null ? TextWriter.Null : new StreamWriter(stream, Console.OutputEncoding) { AutoFlush = true, NewLine = "\n" };
        return new StreamWriter(stream, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false)) { AutoFlush = true, NewLine = "\n" };
    }

    /// <summary>Ctrl-C and SIGTERM cancel the command; a second Ctrl-C ends it where it stands.</summary>
    sealed class Signals : IDisposable
    {
        readonly CancellationTokenSource source = new();
        readonly List<PosixSignalRegistration> registrations = [];

        public CancellationToken Cancel => source.Token;

        /// <summary>What to exit with, once a signal came.</summary>
        public int? ExitCode { get; private set; }

        public void Listen()
        {
            On(PosixSignal.SIGINT, Stigmer.ExitCode.Interrupted);
            On(PosixSignal.SIGTERM, Stigmer.ExitCode.Terminated);
            // Ctrl-Break, and the console's window being closed.
            if (OperatingSystem.IsWindows())
            {
                On(PosixSignal.SIGQUIT, Stigmer.ExitCode.Interrupted);
                On(PosixSignal.SIGHUP, Stigmer.ExitCode.Terminated);
            }
        }

        public void Dispose()
        {
            foreach (var registration in registrations) registration.Dispose();
            source.Dispose();
        }

        void On(PosixSignal signal, int code) =>
            registrations.Add(PosixSignalRegistration.Create(signal, context =>
            {
                if (signal == PosixSignal.SIGINT && ExitCode is null && Interrupt.Taker is { } taker)
                {
                    context.Cancel = true;
                    taker();
                    return;
                }
                var again = ExitCode is not null;
                context.Cancel = !(again && signal == PosixSignal.SIGINT);
                if (again) return;
                ExitCode = code;
                source.Cancel();
            }));
    }
}

/// <summary>How a failure looks in JSON; with a type where the command streams.</summary>
sealed record ErrorDocument([property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Type, ErrorParts Error);

/// <summary>The three parts of a failure.</summary>
sealed record ErrorParts(string What, string? Why, string? Remedy);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, GenerationMode = JsonSourceGenerationMode.Serialization)]
[JsonSerializable(typeof(ErrorDocument))]
sealed partial class ErrorJson : JsonSerializerContext;
