using System.CommandLine;
using Stigmer.Agents;

namespace Stigmer.Commands;

/// <summary><c>stigmer agent-runner</c>: only the worker, in the foreground, until SIGTERM or Ctrl-C.</summary>
static class AgentRunner
{
    static readonly Option<int?> Concurrency = new("--concurrency")
    {
        Description = "Model calls at the same time (default: one for each core)", HelpName = "N",
    };

    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("agent-runner", "Run only the worker, in the foreground, against a stigmer-server and a Temporal elsewhere") { Concurrency };
        Concurrency.Validators.Add(result =>
        {
            if (result.GetValue(Concurrency) is < 1) result.AddError("--concurrency takes a number from 1");
        });
        command.SetAction((parsed, cancel) => RunnerRole.Run(parsed.GetValue(Concurrency), cancel));
        return command;
    }
}
