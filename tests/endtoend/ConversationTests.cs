using Stigmer.EndToEnd.Harness;
using Stigmer.Standins;

namespace Stigmer.EndToEnd;

public class ConversationTests
{
    const string Leave = "\x04", CtrlC = "\x03", Left = "\e[D";

    [Fact]
    public async Task A_conversation_is_one_run_with_a_line_edited_a_paste_kept_together_and_an_answer_stopped()
    {
        Assert.SkipUnless(Pty.IsThere, "there is no script");
        await using var ollama = await Ollama.Start(
            new OllamaAnswer { To = "grüße", Text = "The first." }, new OllamaAnswer { To = "line one", Text = "The second." },
            new OllamaAnswer { To = "slow", Text = "The thi", Hold = "slow", HoldAfterText = true }, new OllamaAnswer { To = "last", Text = "The fourth." });
        await using var stack = await Stack.Start(ollama);
        await using var pty = Pty.Start(stack, "stigmer run; echo ended with $?; stty -a");
        await pty.Shows("> ");
        await pty.Type($"grßxe{Left}\x7f{Left}ü\x05\r");
        await pty.Shows("The first.");
        await pty.Shows("> ");
        await pty.Type("\e[200~line one\r\nline two\e[201~\r");
        await pty.Shows("The second.");
        await pty.Shows("> ");
        await pty.Type("slow\r");
        await ollama.Held("slow");
        await pty.Type(CtrlC);
        await pty.Shows("was cancelled");
        await pty.Shows("> ");
        await pty.Type("last\r");
        await pty.Shows("The fourth.");
        await pty.Shows("> ");
        await pty.Type(Leave);
        await pty.Shows("ended with 0");
        await pty.End();
        Assert.Matches(@"[^-]icanon.*[^-]echo ", pty.Text[pty.Text.LastIndexOf("ended with", StringComparison.Ordinal)..].ReplaceLineEndings(" "));

        var run = (await stack.Run("runs", "get", "last", "--json")).Exits(0).Json;
        Assert.Single((await stack.Run("runs", "list", "--json")).Exits(0).Json.GetProperty("runs").EnumerateArray());
        var said = run.GetProperty("transcript").EnumerateArray().Where(entry => entry.GetProperty("role").GetString() == "user").Select(entry => entry.GetProperty("text").GetString());
        Assert.Equal(["grüße", "line one\nline two", "slow", "last"], said);
        Assert.Equal("grüße", File.ReadLines(Path.Combine(stack.Home, "history")).First());
    }

    [Fact]
    public async Task On_a_dumb_terminal_a_conversation_is_plain_lines()
    {
        Assert.SkipUnless(Pty.IsThere, "there is no script");
        await using var ollama = await Ollama.Start(new OllamaAnswer { Text = "An answer." });
        await using var stack = await Stack.Start(ollama);
        await using var pty = Pty.Start(stack, "stigmer run", term: "dumb");
        await pty.Shows("> ");
        await pty.Type("hello\n");
        await pty.Shows("An answer.");
        await pty.Shows("> ");
        await pty.Type(Leave);
        Assert.Equal(0, await pty.End());
        Assert.DoesNotContain("\e", pty.Text);
    }

    [Fact]
    public async Task Without_a_terminal_there_is_no_conversation()
    {
        await using var stack = Stack.Create();
        Assert.Contains("nothing to say", (await stack.Run("run")).Exits(2).Error, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task A_call_is_asked_about_on_a_terminal_and_an_answer_elsewhere_ends_the_question()
    {
        Assert.SkipUnless(Pty.IsThere, "there is no script");
        await using var ollama = await Ollama.Start(
            new OllamaAnswer { Step = 1, Calls = [OllamaToolCall.Of("workspace_write", """{"path":"a.txt","content":"one\u001b[2Jtwo"}""")] },
            new OllamaAnswer { Step = 2, Text = "Written." });
        await using var stack = await Stack.Start(ollama);
        await using (var pty = Pty.Start(stack, "stigmer run write it"))
        {
            await pty.Shows("content: one^[[2Jtwo");
            await pty.Shows("[y/N] ");
            await pty.Type("y\r");
            await pty.Shows("Written.");
            Assert.Equal(0, await pty.End());
            Assert.True(File.Exists(Path.Combine(stack.Workspace, "a.txt")));
        }
        await using (var pty = Pty.Start(stack, "stigmer run write it"))
        {
            await pty.Shows("[y/N] ");
            (await stack.Run("runs", "deny", "last", "--reason", "not so")).Exits(0);
            await pty.Shows("answered elsewhere");
            await pty.Shows("not so");
            await pty.Shows("Written.");
            Assert.Equal(0, await pty.End());
        }
    }
}
