using System.Text;
using System.Text.Json;
using Stigmer.Agents.Tools;

namespace Stigmer.Tests.Tools;

public sealed class WorkspaceWriteTests : IDisposable
{
    readonly string top = Directory.CreateTempSubdirectory("stigmer-write-").FullName;
    readonly string workspace;

    public WorkspaceWriteTests()
    {
        workspace = Path.Combine(top, "workspace");
        Directory.CreateDirectory(workspace);
    }

    public void Dispose() => Directory.Delete(top, recursive: true);

    string In(string path) => Path.Combine(workspace, path);

    async Task<ToolOutcome> Write(string path, string? content = null, string? oldText = null, string? newText = null)
    {
        static string Json(string? text) => text is null ? "null" : $"\"{JsonEncodedText.Encode(text)}\"";
        return await WorkspaceTools.Call(
            WorkspaceTools.Write, $$"""{"path":{{Json(path)}},"content":{{Json(content)}},"old_text":{{Json(oldText)}},"new_text":{{Json(newText)}}}""",
            workspace, _ => throw new InvalidOperationException(), TimeProvider.System, TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task A_file_is_made_with_its_folders_and_nothing_is_left_beside_it()
    {
        Assert.Equal(new ToolOutcome(true, "Made a/b/c.txt: 6 bytes"), await Write("a/b/c.txt", "häl\nx"));
        Assert.Equal("häl\nx"u8.ToArray(), File.ReadAllBytes(In("a/b/c.txt")));
        Assert.Equal(["c.txt"], Directory.EnumerateFileSystemEntries(In("a/b")).Select(Path.GetFileName));
    }

    [Fact]
    public async Task A_file_that_is_written_again_keeps_its_mode()
    {
        if (OperatingSystem.IsWindows()) return;
        File.WriteAllText(In("x.sh"), "old");
        File.SetUnixFileMode(In("x.sh"), (UnixFileMode)0b111_101_000);
        Assert.True((await Write("x.sh", "new")).Ok);
        Assert.Equal(((UnixFileMode)0b111_101_000, "new"), (File.GetUnixFileMode(In("x.sh")), File.ReadAllText(In("x.sh"))));
    }

    [Fact]
    public async Task A_text_that_stands_in_the_file_once_is_exchanged()
    {
        File.WriteAllText(In("x"), "one\ntwo\nthree\n");
        Assert.Equal(new ToolOutcome(true, "Changed x, from line 2 on"), await Write("x", oldText: "two\n", newText: ""));
        Assert.Equal("one\nthree\n", File.ReadAllText(In("x")));
    }

    [Theory]
    [InlineData("aXa", "old_text 2 times", "a")]
    [InlineData("aaa", "old_text 2 times", "aa")]
    [InlineData("abc", "does not hold old_text", "d")]
    public async Task A_text_that_does_not_stand_there_once_changes_nothing(string content, string why, string old)
    {
        File.WriteAllText(In("x"), content);
        var outcome = await Write("x", oldText: old, newText: "new");
        Assert.False(outcome.Ok);
        Assert.Contains(why, outcome.Text, StringComparison.Ordinal);
        Assert.Equal(content, File.ReadAllText(In("x")));
    }

    [Fact]
    public async Task The_ends_of_lines_and_the_encoding_stay_as_they_are()
    {
        File.WriteAllBytes(In("x"), [.. Encoding.Unicode.GetPreamble(), .. Encoding.Unicode.GetBytes("a\r\nb\r\nc")]);
        Assert.True((await Write("x", oldText: "a\nb", newText: "ü\nb")).Ok);
        Assert.Equal([.. Encoding.Unicode.GetPreamble(), .. Encoding.Unicode.GetBytes("ü\r\nb\r\nc")], File.ReadAllBytes(In("x")));
    }

    [Theory]
    [InlineData("../x")]
    [InlineData("/tmp/stigmer-x")]
    [InlineData("~/x")]
    [InlineData("out/x")]
    [InlineData("out")]
    [InlineData("dangling")]
    [InlineData("a/../../x")]
    [InlineData(".")]
    [InlineData("new/")]
    public async Task Nothing_is_written_outside_of_the_workspace_or_over_a_folder(string path)
    {
        Directory.CreateDirectory(Path.Combine(top, "outside"));
        File.CreateSymbolicLink(In("out"), Path.Combine(top, "outside"));
        File.CreateSymbolicLink(In("dangling"), Path.Combine(top, "made"));
        Assert.False((await Write(path, "x")).Ok);
        Assert.Equal(["outside", "workspace"], Directory.EnumerateFileSystemEntries(top).Select(Path.GetFileName).Order());
        Assert.Empty(Directory.EnumerateFileSystemEntries(Path.Combine(top, "outside")));
    }

    [Fact]
    public async Task A_link_inside_is_followed_and_stays_a_link()
    {
        Directory.CreateDirectory(In("real"));
        File.WriteAllText(In("real/x"), "old");
        File.CreateSymbolicLink(In("link"), "real/x");
        Assert.True((await Write("link", "new")).Ok);
        Assert.Equal(("new", "real/x"), (File.ReadAllText(In("real/x")), new FileInfo(In("link")).LinkTarget));
    }

    [Fact]
    public async Task Half_a_request_is_refused()
    {
        Assert.Contains("Give content", (await Write("x")).Text, StringComparison.Ordinal);
        Assert.Contains("Give either", (await Write("x", "a", "b", "c")).Text, StringComparison.Ordinal);
        Assert.Contains("There is no x", (await Write("x", oldText: "a", newText: "b")).Text, StringComparison.Ordinal);
    }
}
