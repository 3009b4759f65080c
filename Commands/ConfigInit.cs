using System.CommandLine;
using Stigmer.Config;

namespace Stigmer.Commands;

/// <summary><c>stigmer config init</c>, <c>stigmer init</c>: writes a config.yaml that shows what can be said. No stack needs one.</summary>
static class ConfigInit
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var interactive = new Option<bool>("--interactive") { Description = "Ask for the provider, the model and the workflow engine", Arity = ArgumentArity.Zero };
        var command = new Command("init", "Write a config.yaml that shows every key; a file that is there is left alone") { interactive };
        command.SetAction((parsed, cancel) => Run(parsed.GetValue(interactive), Environment.GetEnvironmentVariable, Terminal.From(parsed), cancel));
        return command;
    }

    /// <summary>Writes it. Fails with exit code 1 where a file is there, and with 2 where questions cannot be asked.</summary>
    public static async Task<int> Run(bool interactive, Func<string, string?> environment, Terminal terminal, CancellationToken cancel)
    {
        var file = StigmerHome.From(environment).ConfigFile;
        if (Path.Exists(file) || new FileInfo(file).LinkTarget is not null) throw new Failure($"{file} is there already", null, "`stigmer config set KEY VALUE` changes it");
        var text = ConfigTemplate.Text;
        if (interactive)
        {
            if (!terminal.CanPrompt) throw new Failure("--interactive asks on a terminal", "there is none here", "Leave it out, and use `stigmer config set`", ExitCode.Usage);
            text = await Ask(text, file, terminal, cancel);
        }
        ConfigSet.Write(file, text);
        if (terminal.Json) terminal.Document(new ConfigPathDocument(file, true), ConfigJson.Default.ConfigPathDocument);
        else terminal.Ok($"Wrote {file}");
        return ExitCode.Done;
    }

    static async Task<string> Ask(string text, string file, Terminal terminal, CancellationToken cancel)
    {
        var provider = await One(Schema.Provider, $"Provider ({string.Join(", ", Providers.Names)})", LlmProvider.Ollama.Name());
        text = ConfigEdit.Set(text, file, Schema.Provider, provider);
        var model = Providers.Find(provider)!.Value.DefaultModel();
        text = ConfigEdit.Set(text, file, Schema.Model, await One(Schema.Model, "Model", model));
        return await One(Schema.Embedded, "Use the embedded engine, without a download (true, false)", "false") is "true" ? ConfigEdit.Set(text, file, Schema.Embedded, "true") : text;

        async Task<string> One(SchemaKey key, string question, string otherwise)
        {
            while (true)
            {
                terminal.Error.Write($"{question} [{otherwise}]: ");
                var line = await Task.Run(Console.In.ReadLine, CancellationToken.None).WaitAsync(cancel);
                if (line is null) throw new Failure("Nothing was written", "the input ended", null, ExitCode.Usage);
                var said = line.Trim().Length == 0 ? otherwise : line.Trim();
                if (key.Kind.Problem(said) is not { } problem) return said;
                terminal.Note($"{Schema.Short(key.Path)} {problem}");
            }
        }
    }
}
