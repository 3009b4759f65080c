namespace Stigmer.Commands;

/// <summary>What the words of <c>stigmer run PROMPT…</c> mean.</summary>
/// <param name="Text">The words, joined by spaces.</param>
/// <param name="ReadsStdin">Standard input takes the place of the last word, which was -.</param>
sealed record Prompt(string Text, bool ReadsStdin)
{
    // What a person types who thinks of `stigmer runs`.
    static readonly (string Typed, string Meant)[] Verbs =
        [("list", "list"), ("get", "get"), ("view", "get"), ("watch", "watch"), ("cancel", "cancel"), ("send", "send"), ("approve", "approve"), ("deny", "deny"), ("resume", "resume")];

    /// <summary>
    /// Reads the words. Fails with exit code 2 where there are none, where one before <c>--</c> looks like an option, and
    /// where they are exactly a verb of <c>stigmer runs</c>.
    /// </summary>
    /// <param name="words">All of them, in order.</param>
    /// <param name="literal">How many of them, at the end, follow <c>--</c>: they are taken as they are.</param>
    /// <param name="unknownOption">The failure for a word that looks like an option.</param>
    public static Prompt Parse(IReadOnlyList<string> words, int literal, Func<string, Failure> unknownOption)
    {
        var free = words.Count - literal;
        if (words.Count == 1 && free == 1)
        {
            foreach (var (typed, meant) in Verbs)
            {
                if (words[0] != typed) continue;
                throw new Failure(
                    $"`stigmer run {typed}` would send the word \"{typed}\" to a model", null,
                    $"Did you mean `stigmer runs {meant}`? As a prompt: `stigmer run -- {typed}`", ExitCode.Usage);
            }
        }
        return Message(words, literal, unknownOption, "For example: stigmer run \"Which files here are larger than 1 MB?\"");
    }

    /// <summary>Reads the words of a message, among which no verb is looked for.</summary>
    /// <param name="remedy">What to type where there are none.</param>
    public static Prompt Message(IReadOnlyList<string> words, int literal, Func<string, Failure> unknownOption, string remedy)
    {
        var free = words.Count - literal;
        foreach (var word in words.Take(free))
        {
            if (word.StartsWith('-') && word.Length > 1) throw unknownOption(word);
        }
        var readsStdin = literal == 0 && free > 0 && words[^1] == "-";
        var text = string.Join(' ', readsStdin ? words.Take(free - 1) : words);
        return readsStdin || !string.IsNullOrWhiteSpace(text) ? new Prompt(text, readsStdin) : throw Missing("no words were given", remedy);
    }

    /// <summary>The whole text, with what standard input held. Fails with exit code 2 where nothing is in it either.</summary>
    public string Complete(string stdin)
    {
        var read = stdin.TrimEnd('\r', '\n');
        var whole = Text.Length == 0 ? read : $"{Text} {read}";
        return string.IsNullOrWhiteSpace(whole) ? throw Missing("standard input is empty", null) : whole;
    }

    static Failure Missing(string why, string? remedy) => new("There is nothing to say", why, remedy, ExitCode.Usage);
}
