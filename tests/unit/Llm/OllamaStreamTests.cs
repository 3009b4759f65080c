using System.Net;
using System.Text;
using Stigmer.Agents.Llm;
using Stigmer.Agents.Tools;
using Stigmer.Config;
using Stigmer.Rpc.V1;

namespace Stigmer.Tests.Llm;

public class OllamaStreamTests
{
    const string Recorded = """
        {"model":"qwen3:8b","created_at":"2026-11-24T10:00:00Z","message":{"role":"assistant","content":"","thinking":"Hmm — größer?"},"done":false}
        {"model":"qwen3:8b","created_at":"2026-11-24T10:00:00Z","message":{"role":"assistant","content":"Größe: 1 MB, "},"done":false}
        {"model":"qwen3:8b","created_at":"2026-11-24T10:00:00Z","message":{"role":"assistant","content":"日本語 😀.\n"},"done":false}
        {"model":"qwen3:8b","created_at":"2026-11-24T10:00:00Z","message":{"role":"assistant","content":"","tool_calls":[{"id":"call_x","function":{"index":0,"name":"workspace_read","arguments":{"path":"größe 😀.txt"}}}]},"done":false}
        {"model":"qwen3:8b","created_at":"2026-11-24T10:00:00Z","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"workspace_list","arguments":{}}}]},"done":false}
        {"model":"qwen3:8b","created_at":"2026-11-24T10:00:00Z","message":{"role":"assistant","content":""},"done_reason":"stop","done":true,"total_duration":1,"prompt_eval_count":120,"eval_count":7}

        """;

    [Fact]
    public async Task A_recorded_stream_reads_the_same_split_at_every_byte()
    {
        var bytes = Encoding.UTF8.GetBytes(Recorded.ReplaceLineEndings("\n"));
        for (var at = 0; at <= bytes.Length; at++)
        {
            var answer = await Ask(new Pieces(bytes[..at], bytes[at..]));
            AssertRecorded(answer);
        }
    }

    [Fact]
    public async Task A_recorded_stream_reads_the_same_byte_by_byte_with_other_line_ends_and_without_the_last_one()
    {
        var bytes = Encoding.UTF8.GetBytes(Recorded.ReplaceLineEndings("\r\n\r\n").TrimEnd());
        AssertRecorded(await Ask(new Pieces([.. bytes.Select(one => new[] { one })])));
    }

    [Fact]
    public async Task Counts_may_be_missing()
    {
        var answer = await Ask("""{"message":{"content":"yes"},"done":false}""", """{"done":true}""");
        Assert.Equal("yes", answer.Text);
        Assert.Equal(FinishReason.Stop, answer.FinishReason);
        Assert.Equal(new Usage(), answer.Usage);
    }

    [Fact]
    public async Task An_answer_that_was_cut_says_so()
    {
        var answer = await Ask("""{"message":{"content":"ye"},"done":false}""", """{"done":true,"done_reason":"length"}""");
        Assert.Equal(FinishReason.Length, answer.FinishReason);
        Assert.Contains("cut off", Assert.Single(answer.Notes));
    }

    [Fact]
    public async Task Arguments_may_come_as_a_string_and_nothing_else_about_a_call_is_relied_on()
    {
        var answer = await Ask("""{"message":{"tool_calls":[{"id":7,"function":{"name":"workspace_list","arguments":"{\"path\":\".\"}"}},{"function":{"name":"workspace_list"}},{}]}}""", """{"done":true}""");
        Assert.Equal(["""{"path":"."}""", "{}"], answer.Calls.Select(call => call.Arguments));
        Assert.Equal(["call_3_1", "call_3_2"], answer.Calls.Select(call => call.Id));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    public async Task An_error_is_seen_on_any_line(int before)
    {
        var lines = Enumerable.Repeat("""{"message":{"content":"a"},"done":false}""", before).Append("""{"error":"llama runner process has terminated: exit status 2"}""");
        var failure = await Assert.ThrowsAsync<ModelFailure>(() => Ask([.. lines]));
        Assert.True(failure.Retryable);
        Assert.Contains("exit status 2", failure.Why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_end_without_done_is_a_broken_stream()
    {
        var failure = await Assert.ThrowsAsync<ModelFailure>(() => Ask("""{"message":{"content":"a"},"done":false}"""));
        Assert.True(failure.Retryable);
        Assert.Contains("ended before", failure.Why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_line_that_is_cut_in_the_middle_is_a_broken_stream()
    {
        var failure = await Assert.ThrowsAsync<ModelFailure>(() => Ask("""{"message":{"content":"a"},"done":false}""", """{"message":{"con"""));
        Assert.True(failure.Retryable);
    }

    [Fact]
    public async Task A_page_of_HTML_under_status_200_names_the_address()
    {
        var failure = await Assert.ThrowsAsync<ModelFailure>(() => Ask("<html><body>Welcome</body></html>"));
        Assert.False(failure.Retryable);
        Assert.Contains("http://127.0.0.1:9", failure.What, StringComparison.Ordinal);
        Assert.Contains("Welcome", failure.Why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_call_written_as_text_is_a_call_and_no_watcher_sees_it()
    {
        var shown = new StringBuilder();
        var answer = await Ask(
            new Pieces(Encoding.UTF8.GetBytes("""
                {"message":{"content":"I look.\n{\"na"}}
                {"message":{"content":"me\": \"workspace_list\", \"argu"}}
                {"message":{"content":"ments\": {\"path\": \".\"}}"}}
                {"done":true,"done_reason":"stop"}
                """)),
            shown);
        Assert.Equal("I look.\n", shown.ToString());
        Assert.Equal("I look.\n", answer.Text);
        var call = Assert.Single(answer.Calls);
        Assert.Equal(("workspace.list", """{"path": "."}""", 1), (call.Name, call.Arguments, call.Slot));
        Assert.Equal(FinishReason.ToolCalls, answer.FinishReason);
    }

    [Fact]
    public async Task Where_the_server_gives_calls_itself_JSON_in_the_text_is_text()
    {
        var answer = await Ask(
            """{"message":{"content":"{\"name\":\"workspace_list\",\"arguments\":{}}"}}""",
            """{"message":{"tool_calls":[{"function":{"name":"workspace_read","arguments":{}}}]}}""",
            """{"done":true}""");
        Assert.Equal("""{"name":"workspace_list","arguments":{}}""", answer.Text);
        Assert.Equal("workspace.read", Assert.Single(answer.Calls).Name);
    }

    static void AssertRecorded(ModelAnswer answer)
    {
        Assert.Equal("Größe: 1 MB, 日本語 😀.\n", answer.Text);
        Assert.Equal(["workspace.read", "workspace.list"], answer.Calls.Select(call => call.Name));
        Assert.Equal(["call_x", "call_3_2"], answer.Calls.Select(call => call.Id));
        Assert.Equal("""{"path":"größe 😀.txt"}""", answer.Calls[0].Arguments);
        Assert.Equal(FinishReason.ToolCalls, answer.FinishReason);
        Assert.Equal(new Usage { InputTokens = 120, OutputTokens = 7 }, answer.Usage);
        Assert.Equal("Hmm — größer?", OllamaRaw.ThinkingOf(answer.Raw.ToStringUtf8()));
    }

    static Task<ModelAnswer> Ask(params string[] lines) => Ask(new Pieces(Encoding.UTF8.GetBytes(string.Join('\n', lines))));

    static async Task<ModelAnswer> Ask(Pieces body, StringBuilder? shown = null)
    {
        var settings = new LlmSettings(LlmProvider.Ollama, "m", "http://127.0.0.1:9", 100, null, 4096, null);
        using var client = ChatClients.Create(settings, handler: new Handler(body));
        ToolDeclaration[] tools = [.. WorkspaceTools.All];
        return await new ModelCall(settings, "", [], tools, Step: 3).Ask(
            client,
            text =>
            {
                shown?.Append(text);
                return Task.CompletedTask;
            },
            TestContext.Current.CancellationToken);
    }

    sealed class Handler(Stream body) : HttpMessageHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
            Task.FromResult(new HttpResponseMessage(HttpStatusCode.OK) { Content = new StreamContent(body) });
    }

    /// <summary>A stream whose every read ends where a piece ends.</summary>
    sealed class Pieces(params byte[][] pieces) : Stream
    {
        readonly Queue<byte[]> left = new(pieces.Where(piece => piece.Length > 0));

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count)
        {
            if (!left.TryDequeue(out var piece)) return 0;
            if (piece.Length > count)
            {
                // The rest of a piece that does not fit comes first of all next time.
                var rest = left.ToArray();
                left.Clear();
                left.Enqueue(piece[count..]);
                foreach (var later in rest) left.Enqueue(later);
                piece = piece[..count];
            }
            piece.CopyTo(buffer.AsSpan(offset));
            return piece.Length;
        }

        public override void Flush() { }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
