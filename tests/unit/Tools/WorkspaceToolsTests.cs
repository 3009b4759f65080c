using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using Stigmer.Agents.Tools;

namespace Stigmer.Tests.Tools;

public sealed class WorkspaceToolsTests : IDisposable
{
    readonly string top = Directory.CreateTempSubdirectory("stigmer-tools-").FullName;
    readonly string workspace;

    public WorkspaceToolsTests()
    {
        workspace = Path.Combine(top, "workspace");
        Directory.CreateDirectory(workspace);
        File.WriteAllText(Path.Combine(top, "secret.txt"), "the secret");
        Directory.CreateDirectory(Path.Combine(top, "workspace-beside"));
        File.WriteAllText(Path.Combine(top, "workspace-beside", "secret.txt"), "the secret");
    }

    public void Dispose() => Directory.Delete(top, recursive: true);

    [Fact]
    public async Task A_folder_is_listed_with_sizes_in_the_order_of_names()
    {
        Write("b.txt", "12345");
        Write("a/c.txt", "1");
        Write("big.bin", new byte[2_097_152]);
        Assert.Equal("a/\nb.txt  5 bytes\nbig.bin  2097152 bytes (2.1 MB)", await List("{}"));
        Assert.Equal("a/\na/c.txt  1 bytes\nb.txt  5 bytes\nbig.bin  2097152 bytes (2.1 MB)", await List("""{"recursive":true}"""));
        Assert.Equal("a/c.txt  1 bytes", await List("""{"path":"a"}"""));
        Assert.Equal("a/c.txt  1 bytes\nb.txt  5 bytes", await List("""{"recursive":"true","files":"**/*.TXT"}"""));
        Assert.Equal("big.bin  2097152 bytes (2.1 MB)", await List("""{"recursive":true,"min_bytes":"1000000"}"""));
        Assert.Equal("(no such files)\n[The folders in it were not looked into: say recursive]", await List("""{"files":"*.cs"}"""));
    }

    [Fact]
    public async Task An_empty_folder_and_a_long_list_say_so()
    {
        Assert.Equal("(empty)", await List("""{"path":null}"""));
        for (var i = 0; i < 600; i++) Write($"{i:d4}", "");
        var text = await List("{}");
        Assert.EndsWith("[500 of 600 shown; the rest: list a folder of it, or say files or min_bytes]", text, StringComparison.Ordinal);
        Assert.Equal(501, text.Split('\n').Length);
    }

    [Fact]
    public async Task What_is_in_git_is_neither_listed_nor_searched()
    {
        Write(".git/config", "needle");
        Write("src/a.cs", "needle");
        Assert.Equal(".git/\nsrc/\nsrc/a.cs  6 bytes", await List("""{"recursive":true}"""));
        Assert.Equal("src/a.cs:1: needle", await Search("""{"text":"needle"}"""));
        Assert.Equal(".git/config  6 bytes", await List("""{"path":".git"}"""));
    }

    [Theory]
    [InlineData("../secret.txt")]
    [InlineData("..")]
    [InlineData("a/../../secret.txt")]
    [InlineData("../workspace-beside/secret.txt")]
    [InlineData("./.././secret.txt")]
    [InlineData("/etc/passwd")]
    [InlineData("/")]
    [InlineData("~/x")]
    [InlineData("//etc/passwd")]
    [InlineData("a\0b")]
    [InlineData("nothing-here")]
    [InlineData("out")]
    [InlineData("out-folder/secret.txt")]
    [InlineData("out-folder")]
    [InlineData("beside/secret.txt")]
    [InlineData("chain")]
    [InlineData("broken")]
    [InlineData("loop")]
    [InlineData("/proc/self/root/etc/passwd")]
    public async Task No_path_leads_out_of_the_workspace(string path)
    {
        Write("a/x", "1");
        Link("out", "../secret.txt");
        Link("out-folder", top);
        Link("beside", "../workspace-beside");
        Link("chain", "out");
        Link("broken", "nowhere");
        Link("loop", "loop");
        var arguments = $$"""{"path":{{System.Text.Json.JsonSerializer.Serialize(path, TestJson.Default.String)}},"text":"secret"}""";
        foreach (var tool in (string[])[WorkspaceTools.List, WorkspaceTools.Read, WorkspaceTools.Search])
        {
            var outcome = await Call(tool, arguments);
            Assert.False(outcome.Ok, outcome.Text);
            Assert.DoesNotContain("the secret", outcome.Text, StringComparison.Ordinal);
            Assert.DoesNotContain("root:", outcome.Text, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Links_within_the_workspace_are_followed_when_named_and_not_when_found()
    {
        Write("a/x.txt", "inside");
        Link("to-file", "a/x.txt");
        Link("to-folder", Path.Combine(workspace, "a"));
        Link("out", "../secret.txt");
        Assert.Equal("inside", await Read("""{"path":"to-file"}"""));
        Assert.Equal("inside", await Read("""{"path":"to-folder/x.txt"}"""));
        Assert.Equal("inside", await Read("""{"path":"a/../a/./x.txt"}"""));
        Assert.Equal("a/\nout  (a link, not followed)\nto-file  (a link, not followed)\nto-folder  (a link, not followed)", await List("{}"));
        Assert.Equal("a/x.txt:1: inside", await Search("""{"text":"INSIDE"}"""));
        Assert.Equal("(nothing found)", await Search("""{"text":"the secret"}"""));
    }

    [Fact]
    public void A_folder_that_is_exchanged_for_a_link_after_the_check_leads_nowhere()
    {
        Write("a/secret.txt", "inside");
        var folder = WorkspaceFolder.Open(workspace);
        var real = folder.Resolve("a/secret.txt");
        folder.OpenFile(real).Dispose();
        Directory.Delete(Path.Combine(workspace, "a"), recursive: true);
        Link("a", "../workspace-beside");
        Assert.Throws<Refused>(() => folder.OpenFile(real));
    }

    [Fact]
    public async Task A_workspace_that_is_itself_a_link_is_a_workspace()
    {
        Write("x.txt", "inside");
        var link = Path.Combine(top, "link");
        Directory.CreateSymbolicLink(link, workspace);
        Assert.Equal("inside", (await Call(WorkspaceTools.Read, """{"path":"x.txt"}""", link, TestContext.Current.CancellationToken)).Text);
    }

    [Fact]
    public async Task A_workspace_that_is_gone_is_said()
    {
        var outcome = await Call(WorkspaceTools.List, "{}", Path.Combine(top, "gone"), TestContext.Current.CancellationToken);
        Assert.Equal((false, $"The workspace {top}/gone is not a folder on this machine"), (outcome.Ok, outcome.Text));
    }

    [Fact]
    public async Task Pipes_sockets_and_devices_are_not_opened()
    {
        if (OperatingSystem.IsWindows()) return;
        using (var mkfifo = Process.Start("mkfifo", [Path.Combine(workspace, "pipe")])) await mkfifo.WaitForExitAsync(TestContext.Current.CancellationToken);
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(Path.Combine(workspace, "socket")));
        Link("device", "/dev/zero");

        Assert.Equal((false, "pipe is not an ordinary file, and is not opened"), Of(await Call(WorkspaceTools.Read, """{"path":"pipe"}""")));
        Assert.Equal((false, "socket is not an ordinary file, and is not opened"), Of(await Call(WorkspaceTools.Read, """{"path":"socket"}""")));
        Assert.False((await Call(WorkspaceTools.Read, """{"path":"device"}""")).Ok);
        Assert.Equal("(nothing found)", await Search("""{"text":"x"}"""));
        Assert.Equal("device  (a link, not followed)\npipe  (not an ordinary file)\nsocket  (not an ordinary file)", await List("{}"));
    }

    [Fact]
    public async Task A_long_file_is_read_in_parts()
    {
        var lines = Enumerable.Range(1, 50_000).Select(i => $"line {i} ü").ToList();
        Write("long.txt", string.Join('\n', lines));
        var text = new StringBuilder();
        var next = 1;
        for (var rounds = 0; next > 0; rounds++)
        {
            Assert.True(rounds < 100);
            var part = await Read($$"""{"path":"long.txt","offset":{{next}}}""");
            var note = part.LastIndexOf('[');
            text.Append(part.AsSpan(0, note));
            Assert.True(part.Length < 17_000);
            Assert.Contains("of 50000; the file has", part[note..], StringComparison.Ordinal);
            var more = part.IndexOf("read on with offset ", StringComparison.Ordinal);
            next = more < 0 ? 0 : int.Parse(part[(more + 20)..].TrimEnd(']'), System.Globalization.CultureInfo.InvariantCulture);
        }
        Assert.Equal(string.Join('\n', lines) + "\n", text.ToString());
    }

    [Fact]
    public async Task Lines_are_chosen_by_offset_and_limit()
    {
        Write("a.txt", "1\r\n2\r\n3\r\n");
        Assert.Equal("1\n2\n3\n", await Read("""{"path":"a.txt"}"""));
        Assert.Equal("2\n[Lines 2 to 2 of 3; the file has 9 bytes; read on with offset 3]", await Read("""{"path":"a.txt","offset":2,"limit":1}"""));
        Assert.Equal("3\n[Lines 3 to 3 of 3; the file has 9 bytes]", await Read("""{"path":"a.txt","offset":"3"}"""));
        Assert.Equal("(a.txt has only 3 lines)", await Read("""{"path":"a.txt","offset":4}"""));
    }

    [Fact]
    public async Task A_line_of_a_megabyte_is_cut_and_said_to_be()
    {
        Write("one.json", string.Concat(Enumerable.Repeat("😀", 300_000)));
        var text = await Read("""{"path":"one.json"}""");
        Assert.True(text.Length < 17_000);
        Assert.Contains("[Line 1 was cut: it is too long. Lines 1 to 1 of 1", text, StringComparison.Ordinal);
        Assert.DoesNotContain("\uFFFD", Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Text_is_read_in_the_encoding_that_it_has()
    {
        Write("utf8-bom", [0xEF, 0xBB, 0xBF, .. "grün"u8]);
        Write("utf16", [0xFF, 0xFE, .. Encoding.Unicode.GetBytes("grün 日本")]);
        Write("utf16be", [0xFE, 0xFF, .. Encoding.BigEndianUnicode.GetBytes("grün")]);
        Write("utf32", [0xFF, 0xFE, 0, 0, .. Encoding.UTF32.GetBytes("grün")]);
        Write("latin1", Encoding.Latin1.GetBytes("grün"));
        Write("split", [.. Encoding.UTF8.GetBytes(new string('a', TextFile.HeadLength - 1)), .. "ü und mehr"u8]);
        Assert.Equal("grün", await Read("""{"path":"utf8-bom"}"""));
        Assert.Equal("grün 日本", await Read("""{"path":"utf16"}"""));
        Assert.Equal("grün", await Read("""{"path":"utf16be"}"""));
        Assert.Equal("grün", await Read("""{"path":"utf32"}"""));
        Assert.Equal("grün\n[It is not UTF-8; it was read as Latin-1]", await Read("""{"path":"latin1"}"""));
        Assert.EndsWith("ü und mehr", await Read("""{"path":"split"}"""), StringComparison.Ordinal);
        Assert.Equal(6, (await Search("""{"text":"GRÜN"}""")).Split('\n').Length + 1);
    }

    [Fact]
    public async Task What_is_no_text_is_described()
    {
        Write("empty", "");
        Write("image.png", [0x89, (byte)'P', (byte)'N', (byte)'G', 0, 1, 2]);
        Write("data", [1, 0, 255]);
        Assert.Equal("(empty is empty)", await Read("""{"path":"empty"}"""));
        Assert.Equal("(image.png is not a text: a PNG image; 7 bytes)", await Read("""{"path":"image.png"}"""));
        Assert.Equal("(data is not a text: it begins with the bytes 0100ff; 3 bytes)", await Read("""{"path":"data"}"""));
    }

    [Fact]
    public async Task Searching_is_bounded_and_says_so()
    {
        Write("many.txt", string.Join('\n', Enumerable.Repeat("needle", 500)));
        Write("wide.txt", new string('x', 5000) + "Needle" + new string('y', 5000));
        Assert.EndsWith("[Ended after 100 lines: look in a folder, in fewer files, or for a longer text]", await Search("""{"text":"needle"}"""), StringComparison.Ordinal);
        var line = await Search("""{"text":"Needle","files":"wide.*","ignore_case":false}""");
        Assert.StartsWith("wide.txt:1: …", line, StringComparison.Ordinal);
        Assert.Contains("Needle", line, StringComparison.Ordinal);
        Assert.True(line.Length < 250);
        Assert.Equal("many.txt:1: needle", (await Search("""{"text":"needle","path":"many.txt"}""")).Split('\n')[0]);
    }

    [Theory]
    [InlineData(WorkspaceTools.Read, "{}", "path is missing: the file to read")]
    [InlineData(WorkspaceTools.Read, "[]", "The arguments are not a JSON object: []")]
    [InlineData(WorkspaceTools.Read, "{\"path\":", "The arguments are not a JSON object: {\"path\":")]
    [InlineData(WorkspaceTools.Read, """{"path":5}""", "path must be a text")]
    [InlineData(WorkspaceTools.Read, """{"path":"."}""", ". is a folder: workspace.list shows what is in it")]
    [InlineData(WorkspaceTools.Read, """{"path":"a","offset":-1}""", "offset must be 0 or more")]
    [InlineData(WorkspaceTools.Read, """{"path":"a","limit":"many"}""", "limit must be a whole number")]
    [InlineData(WorkspaceTools.List, """{"path":"a"}""", "a is not a folder")]
    [InlineData(WorkspaceTools.List, """{"recursive":"perhaps"}""", "recursive must be true or false")]
    [InlineData(WorkspaceTools.Search, """{"text":""}""", "text is missing: what to look for")]
    [InlineData("workspace.fly", "{}", "There is no tool workspace.fly")]
    public async Task What_a_model_got_wrong_it_is_told(string tool, string arguments, string said)
    {
        Write("a", "1");
        Assert.Equal((false, said), Of(await Call(tool, arguments)));
    }

    [Fact]
    public async Task A_cancelled_call_ends() =>
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Call(WorkspaceTools.List, "{}", workspace, new CancellationToken(true)));

    void Write(string name, string text) => Write(name, Encoding.UTF8.GetBytes(text));

    void Write(string name, byte[] bytes)
    {
        var path = Path.Combine(workspace, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, bytes);
    }

    void Link(string name, string target) => File.CreateSymbolicLink(Path.Combine(workspace, name), target);

    Task<ToolOutcome> Call(string tool, string arguments) => Call(tool, arguments, workspace, TestContext.Current.CancellationToken);

    static Task<ToolOutcome> Call(string tool, string arguments, string workspace, CancellationToken cancel) =>
        WorkspaceTools.Call(tool, arguments, workspace, _ => throw new InvalidOperationException("these start nothing"), TimeProvider.System, cancel);

    async Task<string> List(string arguments) => Good(await Call(WorkspaceTools.List, arguments));

    async Task<string> Read(string arguments) => Good(await Call(WorkspaceTools.Read, arguments));

    async Task<string> Search(string arguments) => Good(await Call(WorkspaceTools.Search, arguments));

    static string Good(ToolOutcome outcome)
    {
        Assert.True(outcome.Ok, outcome.Text);
        return outcome.Text;
    }

    static (bool, string) Of(ToolOutcome outcome) => (outcome.Ok, outcome.Text);
}

[System.Text.Json.Serialization.JsonSerializable(typeof(string))]
sealed partial class TestJson : System.Text.Json.Serialization.JsonSerializerContext;
