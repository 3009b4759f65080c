using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text;
using Stigmer.Config;
using Stigmer.Processes;
using Stigmer.Runtime;

namespace Stigmer.Commands;

/// <summary>
/// <c>stigmer internal daemon</c>: the supervisor. Not for people: its order comes over standard input, and it reports over an
/// inherited pipe.
/// </summary>
static class InternalDaemon
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("daemon", "The supervisor of a stack");
        command.SetAction((_, cancel) => Run(cancel));
        return command;
    }

    static async Task<int> Run(CancellationToken cancel)
    {
        // The end of a terminal is nothing to it, whoever passes that on.
        using var hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, context => context.Cancel = true);
        var listens = false;
        var notify = Notify.ToStarter(Environment.GetEnvironmentVariable, TimeProvider.System);
        try
        {
            var input = new StreamReader(Console.OpenStandardInput(), Encoding.UTF8);
            var order = StartOrder.FromJson(input.ReadLine())
                ?? throw new Failure("There is no order to start by", "`stigmer internal daemon` reads it from its standard input", "`stigmer local` starts the stack", ExitCode.Usage);
            var starterGone = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            new Thread(() => WaitForEnd(input, starterGone), 256 * 1024) { IsBackground = true, Name = "starter" }.Start();
            var ended = await Daemon.Run(order, TimeProvider.System, Listening, starterGone.Task, watcher: null, echo: null, cancel);
            if (ended is null) notify.Status("another daemon holds the lock");
            return ended ?? ExitCode.Done;
        }
        catch (Failure failure)
        {
            // Where the socket listens already, that has told more, and the log too; this one is for who waits for the socket.
            notify.Failed(failure);
            // Our standard error is the daemon's log, in which every line has a time.
            if (!listens) Log().Error(failure.What, ("why", failure.Why));
            return failure.ExitCode;
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // The log has the whole story where there was one already.
            Log().Error("the daemon ends", ("why", e.Message));
            return ExitCode.Failed;
        }
        finally
        {
            notify.Close();
        }

        static Log Log() => new(ComponentName.Daemon, Console.Error, TimeProvider.System);

        void Listening()
        {
            listens = true;
            notify.Ready();
            notify.Close();
        }
    }

    static void WaitForEnd(StreamReader input, TaskCompletionSource gone)
    {
        try
        {
            while (input.Read() >= 0)
            {
            }
        }
        catch (IOException)
        {
            // As good as its end.
        }
        gone.SetResult();
    }
}
