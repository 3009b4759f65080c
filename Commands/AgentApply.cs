using System.CommandLine;
using Stigmer.Config;
using Stigmer.Rpc.V1;

namespace Stigmer.Commands;

/// <summary><c>stigmer agent apply</c>: agents become what their files say. All of them or none.</summary>
static class AgentApply
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var files = new Option<string[]>("--file", "-f")
        {
            Description = "Files, one agent in each; - reads standard input", HelpName = "FILE", Required = true, AllowMultipleArgumentsPerToken = true,
            Arity = ArgumentArity.OneOrMore,
        };
        var noStart = Stack.NoStartOption();
        var command = new Command("apply", "Define agents by files, or change them; nothing is applied where one file is not valid") { files, noStart };
        command.SetAction(async (parsed, cancel) =>
        {
            var terminal = Terminal.From(parsed);
            // A misspelt option would be taken for a file.
            var paths = parsed.GetRequiredValue(files);
            if (Array.Find(paths, path => path.StartsWith('-') && path.Length > 1) is { } option) throw WrongUsage.UnknownOption(command, option);
            var agents = await Read(paths, Console.OpenStandardInput, terminal, cancel);
            using var link = await Stack.Connect(terminal, start: !parsed.GetValue(noStart), cancel);
            return await Apply(link, agents, terminal, cancel);
        });
        return command;
    }

    /// <summary>Reads the files and says their warnings. Fails with exit code 2 and all that is wrong in any of them.</summary>
    public static async Task<IReadOnlyList<AgentDefinition>> Read(IReadOnlyList<string> paths, Func<Stream> input, Terminal terminal, CancellationToken cancel)
    {
        if (paths.Count(path => path == "-") > 1) throw new Failure("- stands twice: standard input is read once", null, null, ExitCode.Usage);
        var files = new List<AgentFile>();
        foreach (var path in paths) files.Add(path == "-" ? await ReadInput(input, cancel) : AgentFile.Read(path));
        var warnings = files.SelectMany(file => file.Diagnostics).Where(diagnostic => !diagnostic.IsError);
        foreach (var warning in warnings) terminal.Warn(warning.ToString());
        var errors = files.SelectMany(file => file.Diagnostics).Where(diagnostic => diagnostic.IsError).Select(diagnostic => diagnostic.ToString()).ToList();
        foreach (var same in files.Where(file => file.Agent is not null).GroupBy(file => file.Agent!.Name).Where(group => group.Count() > 1))
        {
            errors.AddRange(same.Skip(1).Select(file => $"{file.Path}:{file.Name}: name is \"{same.Key}\", as in {same.First().Path}: an agent has one file"));
        }
        const string Remedy = "Correct it; nothing was applied";
        return errors.Count switch
        {
            0 => [.. files.Select(file => file.Agent!)],
            1 => throw new Failure(errors[0], null, Remedy, ExitCode.Usage),
            _ => throw new Failure($"The agent files have {errors.Count} errors", string.Join('\n', errors), Remedy, ExitCode.Usage),
        };
    }

    /// <summary>Applies them and says what became of each.</summary>
    public static async Task<int> Apply(ServerLink link, IReadOnlyList<AgentDefinition> agents, Terminal terminal, CancellationToken cancel)
    {
        var request = new ApplyAgentsRequest { Agents = { agents.Select(AgentDocuments.ToWire) } };
        var response = await link.CallAgents((client, options) => client.ApplyAgentsAsync(request, options).ResponseAsync, cancel);
        if (terminal.Json)
        {
            var applied = response.Applied.Select(a => new AppliedAgentDocument(
                a.Agent.Name, RunDocuments.OrNull(a.Agent.Description), a.Agent.Version, RunDocuments.Time(a.Agent.UpdatedAt), Change(a.Change)));
            terminal.Document(new AppliedAgentsDocument([.. applied]), AgentJson.Default.AppliedAgentsDocument);
            return ExitCode.Done;
        }
        foreach (var applied in response.Applied) terminal.Ok($"Agent {applied.Agent.Name} {Change(applied.Change)} (version {applied.Agent.Version})");
        return ExitCode.Done;
    }

    static string Change(AgentChange change) => change switch
    {
        AgentChange.Created => "created",
        AgentChange.Updated => "updated",
        _ => "unchanged",
    };

    // A read of a terminal or a pipe cannot be cancelled: it is left behind on its thread when a person gives up.
    static async Task<AgentFile> ReadInput(Func<Stream> input, CancellationToken cancel)
    {
        const string Name = "standard input";
        var (text, problem) = await Task.Run(() => SourceText.Read(input(), "agent file"), CancellationToken.None).WaitAsync(cancel);
        return text is not null ? AgentFile.Parse(text, Name) : new AgentFile(Name, null, null, [new Diagnostic(true, Name, null, problem!)]);
    }
}
