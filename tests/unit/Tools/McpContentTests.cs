using System.Text.Json;
using Stigmer.Agents.Tools;
using Stigmer.Agents.Tools.Mcp;

namespace Stigmer.Tests.Tools;

public sealed class McpContentTests
{
    [Theory]
    [InlineData("""{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}""", true, "a\nb")]
    [InlineData("""{"content":[{"type":"text","text":"no"}],"isError":true}""", false, "no")]
    [InlineData("""{}""", true, "(it answered without any content)")]
    [InlineData("""{"content":"nonsense","isError":null}""", true, "(it answered without any content)")]
    [InlineData("""{"content":[{"type":"audio","data":"AAAA","mimeType":"audio/wav"},{"type":"hologram"},7]}""", true, "[a sound: audio/wav, 3 bytes; it cannot be shown]\n[content of the type hologram; it cannot be shown]\n[content of the type ?; it cannot be shown]")]
    [InlineData("""{"content":[{"type":"resource_link","uri":"file:///x","name":"x","mimeType":"text/plain"}]}""", true, "[a resource: file:///x, x, text/plain]")]
    [InlineData("""{"content":[{"type":"resource","resource":{"uri":"u:1","text":"inside"}}]}""", true, "[resource u:1]\ninside")]
    [InlineData("""{"content":[{"type":"resource","resource":{"uri":"u:1","mimeType":"image/png","blob":"AAAAAAAA"}}]}""", true, "[a resource: u:1, image/png, 6 bytes; it cannot be shown]")]
    public void Content_becomes_a_text_and_what_is_none_is_described(string result, bool ok, string text) =>
        Assert.Equal(new ToolOutcome(ok, text), McpContent.ToOutcome(JsonElement.Parse(result)));

    [Theory]
    [InlineData("""{"content":[],"structuredContent":{"n":1}}""", """{"n":1}""")]
    [InlineData("""{"content":[{"type":"text","text":"{ \"n\": 1 }"}],"structuredContent":{"n":1}}""", """{ "n": 1 }""")]
    [InlineData("""{"content":[{"type":"text","text":"all\n"}],"structuredContent":{"content":"all"}}""", "all\n")]
    [InlineData("""{"content":[{"type":"text","text":"[1]"}],"structuredContent":{"items":[1]}}""", "[1]")]
    [InlineData("""{"content":[{"type":"text","text":"one"}],"structuredContent":{"n":1}}""", "one\n{\"n\":1}")]
    public void What_stands_in_the_text_already_is_not_said_twice(string result, string text) => Assert.Equal(text, McpContent.ToOutcome(JsonElement.Parse(result)).Text);
}
