using System.Text;
using CsCheck;
using Stigmer.Agents.Llm;

namespace Stigmer.Tests.Llm;

public class TextCallsTests
{
    const string List = """{"name": "workspace_list", "arguments": {"path": "."}}""";
    const string Read = """{"name": "workspace_read", "arguments": {"path": "ä😀.cs"}}""";

    static readonly string[] Parts =
        ["{", "}", "[", "```", "json", "\n", " ", "<tool_call>", "</tool_call>", "\"name\"", ":", "\"workspace_list\"", "a", "\"arguments\"", ","];

    public static TheoryData<string, string, string[]> Texts => new()
    {
        // The text, what is shown of it, the calls.
        { List, "", ["workspace_list"] },
        { "\n  " + List + "\n", "", ["workspace_list"] },
        { $"```json\n{List}\n```", "", ["workspace_list"] },
        { $"```\n{List}\n```\n", "", ["workspace_list"] },
        { $"```json\n{List}", "", ["workspace_list"] },
        { $"<tool_call>\n{List}\n</tool_call>", "", ["workspace_list"] },
        { $"<tool_call>{List}</tool_call>\n<tool_call>{Read}</tool_call>", "", ["workspace_list", "workspace_read"] },
        { $"<tools>\n{List}\n{Read}\n</tools>", "", ["workspace_list", "workspace_read"] },
        { $"{List}\n</tool_call>", "", ["workspace_list"] },
        { $"```xml\n<tool_call>\n{List}\n</tool_call>\n```", "", ["workspace_list"] },
        { $"{List}\n{Read}", "", ["workspace_list", "workspace_read"] },
        { $"{List}, {Read}", "", ["workspace_list", "workspace_read"] },
        { $"[{List},{Read}]", "", ["workspace_list", "workspace_read"] },
        { $"```json\n{List}\n```\n\n```json\n{Read}\n```", "", ["workspace_list", "workspace_read"] },
        { $"I look first.\n\n```json\n{List}\n```", "I look first.\n", ["workspace_list"] },
        { $"I look: ```json\n{List}\n```", "I look: ", ["workspace_list"] },
        { $"I look.<tool_call>{List}</tool_call>", "I look.", ["workspace_list"] },
        { $"I look first.\n{List}", "I look first.\n", ["workspace_list"] },
        { $"Some code:\n```python\nx = 1\n```\n{List}", "Some code:\n```python\nx = 1\n```\n", ["workspace_list"] },
        { """{"type":"function","function":{"name":"workspace_list","arguments":{}}}""", "", ["workspace_list"] },
        { """{"tool_calls":[{"id":"1","type":"function","function":{"name":"workspace_list","arguments":"{}"}}]}""", "", ["workspace_list"] },
        { """{"arguments":{"path":"."},"name":"workspace_list"}""", "", ["workspace_list"] },
        { """{"name":"workspace_list","parameters":{}}""", "", ["workspace_list"] },
        { """{"name":"workspace.list","arguments":{}}""", "", ["workspace_list"] },
        { """<tool_call>{"name":"workspace_list"}</tool_call>""", "", ["workspace_list"] },
        { $"<tool_call>{List}</tool_call>\nNow I wait.", "Now I wait.", ["workspace_list"] },

        // Whatever is none stays an answer, word for word.
        { "", "", [] },
        { "Hello.", "Hello.", [] },
        { "  \n", "  \n", [] },
        { """{"name":"delete_everything","arguments":{}}""", """{"name":"delete_everything","arguments":{}}""", [] },
        { $"{List}\n{"""{"name":"delete_everything","arguments":{}}"""}", $"{List}\n{"""{"name":"delete_everything","arguments":{}}"""}", [] },
        { """{"files": ["a", "b"]}""", """{"files": ["a", "b"]}""", [] },
        { """{"name": "workspace_list"}""", """{"name": "workspace_list"}""", [] },
        { """[{"name":"workspace_list","description":"x"}]""", """[{"name":"workspace_list","description":"x"}]""", [] },
        { """{"name": "workspace_list", "arguments": [1]}""", """{"name": "workspace_list", "arguments": [1]}""", [] },
        { """{"name": "workspace_list", "arguments": {"path":""", """{"name": "workspace_list", "arguments": {"path":""", [] },
        { "{'name': 'workspace_list'}", "{'name': 'workspace_list'}", [] },
        { "[1, 2]", "[1, 2]", [] },
        { "[see](http://x)", "[see](http://x)", [] },
        { $"Use `a` and ``b``, or ```c``` if 1 < 2 and <b>.\nSo.", $"Use `a` and ``b``, or ```c``` if 1 < 2 and <b>.\nSo.", [] },
        { "`x` is a name", "`x` is a name", [] },
        { "<b>bold</b>", "<b>bold</b>", [] },
        { "<tool", "<tool", [] },
        { "```csharp\nvar x = 1;\n```", "```csharp\nvar x = 1;\n```", [] },
        { $"```python\n{List}\n```", $"```python\n{List}\n```", [] },
        { $"{List} is what I would call.", $"{List} is what I would call.", [] },
        { $"Such as {List}", $"Such as {List}", [] },
        { "```json\n{\"a\": 1}\n```\nDone.", "```json\n{\"a\": 1}\n```\nDone.", [] },
    };

    [Theory]
    [MemberData(nameof(Texts))]
    public void Calls_are_told_from_answers_however_the_text_is_split(string text, string shown, string[] calls)
    {
        for (var size = 1; size <= Math.Max(1, text.Length); size++)
        {
            var found = Run(text, size);
            Assert.Equal(shown, found.Text);
            Assert.Equal(calls, found.Calls.Select(call => call.Name));
        }
    }

    [Fact]
    public void Arguments_are_kept_as_they_were_written()
    {
        Assert.Equal("""{"path": "ä😀.cs"}""", Assert.Single(Run(Read, 3).Calls).Arguments);
        Assert.Equal("""{"a":1}""", Assert.Single(Run("""{"name":"workspace_read","arguments":"{\"a\":1}"}""", 5).Calls).Arguments);
    }

    [Fact]
    public void Ordinary_text_is_shown_at_once()
    {
        var calls = new TextCalls(["workspace_list"]);
        Assert.Equal("The ", calls.Push("The "));
        Assert.Equal("answer.\n", calls.Push("answer.\n"));
        Assert.Equal("", calls.Push("{"));
        Assert.Equal("{\"size\":", calls.Push("\"size\":"));
    }

    [Fact]
    public void Long_arguments_do_not_make_it_slow_and_are_one_call()
    {
        var content = new string('x', 200_000);
        var found = Run($$"""{"arguments":{"content":"{{content}}"},"name":"workspace_read"}""", 7);
        Assert.Equal("", found.Text);
        Assert.Contains(content, Assert.Single(found.Calls).Arguments, StringComparison.Ordinal);
    }

    [Fact]
    public void No_text_is_lost_or_invented_where_there_is_no_call() =>
        Gen.Int[0, Parts.Length - 1].Select(index => Parts[index])
            .Array[0, 20].SelectMany(parts => Gen.Int[1, 5].Select(size => (parts, size))).Sample(given =>
            {
                var text = string.Concat(given.parts);
                var found = Run(text, given.size);
                return found.Calls.Count > 0 || found.Text == text;
            });

    static (string Text, IReadOnlyList<(string Name, string Arguments)> Calls) Run(string text, int size)
    {
        var calls = new TextCalls(["workspace_list", "workspace_read"]);
        var shown = new StringBuilder();
        for (var at = 0; at < text.Length; at += size) shown.Append(calls.Push(text.Substring(at, Math.Min(size, text.Length - at))));
        var (rest, found) = calls.Finish(hasCalls: false);
        return (shown.Append(rest).ToString(), found);
    }
}
