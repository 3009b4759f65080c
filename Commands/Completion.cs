using System.CommandLine;
using System.CommandLine.Completions;

namespace Stigmer.Commands;

/// <summary><c>stigmer completion SHELL</c>: a script by which a shell completes what is typed; it asks the executable, so that it never is out of date.</summary>
static class Completion
{
    // The word that is being typed comes last, after a dot: some shells drop words that are empty.
    static readonly (string Shell, string Script)[] Scripts =
    [
        ("bash", """
            # In ~/.bashrc: source <(stigmer completion bash)
            _stigmer() {
                local IFS=$'\n'
                COMPREPLY=($(stigmer internal complete -- "${COMP_WORDS[@]:1:COMP_CWORD-1}" ".${COMP_WORDS[COMP_CWORD]}" 2>/dev/null))
            }
            complete -o default -F _stigmer stigmer
            """),
        ("zsh", """
            #compdef stigmer
            # In ~/.zshrc, after compinit: source <(stigmer completion zsh)
            _stigmer() {
                local -a found
                found=(${(f)"$(stigmer internal complete -- "${(@)words[2,CURRENT-1]}" ".${words[CURRENT]}" 2>/dev/null)"})
                if (( $#found )); then compadd -a found; else _files; fi
            }
            compdef _stigmer stigmer
            """),
        ("fish", """
            # In ~/.config/fish/config.fish: stigmer completion fish | source
            function __stigmer_complete
                set -l words (commandline -opc)
                set -l current (commandline -ct)
                set -l found (stigmer internal complete -- $words[2..-1] ".$current" 2>/dev/null)
                if test (count $found) -gt 0
                    printf '%s\n' $found
                else
                    __fish_complete_path $current
                end
            end
            complete -c stigmer -f -a '(__stigmer_complete)'
            """),
        ("powershell", """
            # In $PROFILE: stigmer completion powershell | Out-String | Invoke-Expression
            Register-ArgumentCompleter -Native -CommandName stigmer -ScriptBlock {
                param($wordToComplete, $commandAst, $cursorPosition)
                $words = @($commandAst.CommandElements | Select-Object -Skip 1 | Where-Object { $_.Extent.EndOffset -lt $cursorPosition } | ForEach-Object { $_.ToString() })
                stigmer internal complete -- @words ".$wordToComplete" | ForEach-Object {
                    [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
                }
            }
            """),
    ];

    /// <summary>The command.</summary>
    public static Command Create()
    {
        var shell = new Argument<string>("SHELL") { Description = string.Join(", ", Scripts.Select(script => script.Shell)) };
        shell.CompletionSources.Add(_ => Scripts.Select(script => new CompletionItem(script.Shell)));
        var command = new Command("completion", "Print a script that completes what is typed, for a shell") { shell };
        command.SetAction(parsed =>
        {
            var name = parsed.GetRequiredValue(shell);
            var (known, script) = Array.Find(Scripts, each => each.Shell == name);
            if (known is null) throw new Failure($"There is no script for {Config.ValueKind.Quote(name)}", null, $"One of: {string.Join(", ", Scripts.Select(each => each.Shell))}", ExitCode.Usage);
            parsed.InvocationConfiguration.Output.Write(script + "\n");
        });
        return command;
    }

    /// <summary><c>stigmer internal complete -- WORD… .CURRENT</c>: what may stand in the place of the last word, one a line.</summary>
    public static Command CreateInternal()
    {
        var words = new Argument<string[]>("WORD") { Arity = ArgumentArity.ZeroOrMore };
        var command = new Command("complete", "Complete a word for a shell") { words };
        command.SetAction(parsed =>
        {
            foreach (var candidate in Candidates(parsed.RootCommandResult.Command, parsed.GetValue(words) ?? [])) parsed.InvocationConfiguration.Output.Write(candidate + "\n");
        });
        return command;
    }

    /// <summary>What may stand in the place of the last word, which begins with a dot.</summary>
    public static IEnumerable<string> Candidates(Command root, IReadOnlyList<string> words)
    {
        if (words.Count == 0) return [];
        var current = words[^1].Length > 0 ? words[^1][1..] : "";
        var command = root;
        Option? open = null;
        foreach (var word in words.Take(words.Count - 1))
        {
            // After -- everything is taken as it is.
            if (word == "--") return [];
            if (open is not null) open = null;
            else if (word.StartsWith('-')) open = Options(command).FirstOrDefault(option => (option.Name == word || option.Aliases.Contains(word)) && option.Arity.MaximumNumberOfValues > 0);
            else command = command.Subcommands.FirstOrDefault(each => each.Name == word && !each.Hidden) ?? command;
        }
        var candidates = open is not null ? Values(open)
            : current.StartsWith('-') ? Options(command).SelectMany(option => option.Aliases.Append(option.Name)).Where(name => name.StartsWith("--", StringComparison.Ordinal))
            : command.Name == "help" ? root.Subcommands.Where(each => !each.Hidden).Select(each => each.Name)
            : command.Subcommands.Where(each => !each.Hidden).Select(each => each.Name).Concat(command.Arguments.SelectMany(Values));
        return candidates.Where(candidate => candidate.StartsWith(current, StringComparison.Ordinal)).Distinct().Order(StringComparer.Ordinal);
    }

    static IEnumerable<string> Values(Option option) => option.CompletionSources.SelectMany(source => source(CompletionContext.Empty)).Select(item => item.Label);

    static IEnumerable<string> Values(Argument argument) => argument.CompletionSources.SelectMany(source => source(CompletionContext.Empty)).Select(item => item.Label);

    static IEnumerable<Option> Options(Command command)
    {
        foreach (var option in command.Options.Where(option => !option.Hidden)) yield return option;
        for (var at = command.Parents.OfType<Command>().FirstOrDefault(); at is not null; at = at.Parents.OfType<Command>().FirstOrDefault())
        {
            foreach (var option in at.Options.Where(option => option.Recursive && !option.Hidden)) yield return option;
        }
    }
}
