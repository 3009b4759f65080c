using System.CommandLine;
using System.Diagnostics;
using Stigmer.Agents.Llm;
using Stigmer.Config;

namespace Stigmer.Commands;

/// <summary><c>stigmer llm pull MODEL</c>: has Ollama fetch a model, with progress; again after a break, it goes on where it was.</summary>
static class LlmPull
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var model = new Argument<string>("MODEL") { Description = "A name of Ollama's library, such as qwen2.5-coder:7b" };
        var command = new Command("pull", "Have Ollama fetch a model") { model };
        command.SetAction((parsed, cancel) => Run(parsed.GetRequiredValue(model).Trim(), Terminal.From(parsed), cancel));
        return command;
    }

    /// <summary>Before a start with <c>--pull</c>: fetches the model of Ollama where it is missing.</summary>
    public static async Task IfMissing(LlmSettings llm, Terminal terminal, CancellationToken cancel)
    {
        if (llm.Provider != LlmProvider.Ollama) return;
        var status = await OllamaStatus.Check(llm.BaseUrl, llm.Model, cancel);
        if (!status.Reachable) throw status.Problem!;
        if (!status.ModelAvailable) await Pull(llm.BaseUrl, llm.Model, terminal, toError: terminal.Json, cancel);
    }

    /// <summary>After a start on a terminal: offers to fetch the model, where Ollama answers and lacks it. A no, or a pull that fails, changes nothing.</summary>
    public static async Task Offer(string baseUrl, string model, Terminal terminal, CancellationToken cancel)
    {
        if (!terminal.CanPrompt || terminal.Quiet || !await terminal.AskYesOrNo($"Pull {model} now? [y/N] ", cancel)) return;
        try
        {
            await Pull(baseUrl, model, terminal, toError: false, cancel);
        }
        catch (ModelFailure e)
        {
            terminal.Warn($"{e.Message}\n  {e.Remedy}");
        }
    }

    static async Task<int> Run(string model, Terminal terminal, CancellationToken cancel)
    {
        if (model.Length == 0) throw new Failure("There is no model of this name", "it is empty", "For example: stigmer llm pull qwen2.5-coder:7b", ExitCode.Usage);
        var (settings, _) = Llm.Resolve(terminal);
        // Ollama's own address, also where the models of runs are another provider's.
        var size = await Pull(settings.OllamaBaseUrl, model, terminal, toError: false, cancel);
        if (terminal.Json) terminal.Document(new LlmPulledDocument(model, true, size), LlmJson.Default.LlmPulledDocument);
        return ExitCode.Done;
    }

    /// <summary>Pulls, with a bar on a terminal; elsewhere with a line for each thing that Ollama does.</summary>
    /// <returns>Its size in bytes, as far as Ollama told; null: nothing had to be fetched.</returns>
    static async Task<long?> Pull(string baseUrl, string model, Terminal terminal, bool toError, CancellationToken cancel)
    {
        var began = Stopwatch.GetTimestamp();
        var view = new Bar(terminal);
        PullProgress? last = null;
        var bytesBefore = -1L;
        terminal.Note($"Pulling {model}...");
        try
        {
            await OllamaModels.Pull(
                baseUrl,
                model,
                step =>
                {
                    if (bytesBefore < 0 && step.Total > 0) bytesBefore = step.Done;
                    if (step.Total > 0) last = step;
                    view.Show(step, bytesBefore, Stopwatch.GetElapsedTime(began));
                },
                TimeProvider.System,
                cancel);
        }
        finally
        {
            view.End();
        }
        if (!toError) terminal.Ok($"{model} is there");
        return last?.Total;
    }

    /// <summary>Shows how far it is.</summary>
    sealed class Bar(Terminal terminal)
    {
        const string ClearLine = "\r\e[K";

        readonly bool shows = terminal.ErrorIsTerminal && !terminal.Quiet && !terminal.Json;
        string status = "";

        public void Show(PullProgress step, long before, TimeSpan elapsed)
        {
            if (shows)
            {
                // One or the other: both are longer than a line.
                var layers = step.Total > 0 && step.Done < step.Total;
                terminal.Error.Write(ClearLine + (layers
                    ? StartView.Bar(step.Done, step.Total, Math.Max(0, before), elapsed, terminal.Unicode)
                    : $"  {Terminal.Harmless(step.Status).ReplaceLineEndings(" ")}"));
                return;
            }
            // Of a layer Ollama speaks again and again.
            if (step.Status == status || step.Status.Length == 0) return;
            status = step.Status;
            terminal.Note($"  {status}");
        }

        public void End()
        {
            if (shows) terminal.Error.Write(ClearLine);
        }
    }
}
