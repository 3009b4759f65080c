using CsCheck;
using Stigmer.Config;

namespace Stigmer.Tests.Config;

public class ConfigFileTests
{
    static ConfigFile Read(string text) => ConfigFile.Parse(text, "/h/config.yaml");

    static string Only(string text) => Assert.Single(Read(text).Diagnostics).ToString();

    /// <summary>The schema as it is documented, every key with a value.</summary>
    const string Whole = """
        backend:
          type: local                      # local | cloud
          local:
            endpoint: localhost:50051
            data_dir: ~/.stigmer/data
            llm:
              provider: ollama
              model: qwen2.5-coder:7b
              base_url: http://localhost:11434
              max_tokens: 8192
              temperature: 0.0
              context_window: 32768
            temporal:
              managed: true
              embedded: false
              version: 1.8.2
              port: 7233
              ui: false
              ui_port: 8233
              address:
              namespace: default
              api_key_file:
              tls: { enabled: , ca_file: , cert_file: , key_file: , server_name: }
          cloud:
            endpoint: stigmer.example.com:443
            ca_file:
        """;

    [Fact]
    public void The_whole_schema_is_read_without_a_word()
    {
        var file = Read(Whole);
        Assert.Empty(file.Diagnostics);
        Assert.Equal(17, file.Values.Count);
        Assert.Equal(new Place(8, 14), file.Values["backend.local.llm.model"].At);
    }

    [Fact]
    public void Every_key_of_the_schema_can_be_set()
    {
        foreach (var key in Schema.Keys)
        {
            var name = key.Path.Split('.');
            var text = string.Join('\n', name.Select((part, depth) => new string(' ', depth * 2) + part + ":"));
            Assert.Empty(Read(text).Diagnostics);
        }
    }

    [Fact]
    public void A_value_knows_what_it_takes_of_the_text()
    {
        const string text = "\uFEFFbackend:\r\n  local:\r\n    data_dir: '/data/é 😀'   # here\r\n    endpoint: localhost:1\r\n";
        var file = Read(text);
        var (quoted, plain) = (file.Values["backend.local.data_dir"], file.Values["backend.local.endpoint"]);
        Assert.Equal("/data/é 😀", quoted.Text);
        Assert.Equal("'/data/é 😀'", text[quoted.Source.Start..quoted.Source.End]);
        Assert.Equal("localhost:1", text[plain.Source.Start..plain.Source.End]);
    }

    [Theory]
    [InlineData("")]
    [InlineData("\n\n")]
    [InlineData("# nothing but a comment\n")]
    [InlineData("---\n")]
    [InlineData("---\n...\n")]
    [InlineData("{}\n")]
    [InlineData("backend:\n")]
    [InlineData("backend:\n  local: ~\n")]
    [InlineData("backend:\n  local:\n    llm: null\n    temporal:\n      port:\n")]
    [InlineData("%YAML 1.2\n---\nbackend: {type: local}\n")]
    public void A_file_that_says_nothing_is_fine(string text) => Assert.Empty(Read(text).Diagnostics);

    [Theory]
    [InlineData("backend:\n  type: local\n  local:\n    endpoint: localhost:50051\n    data_dir: ~/.stigmer/data\n")]
    [InlineData("backend:\n  type: local\n  local:\n    llm:\n      provider: ollama\n      model: qwen2.5-coder:7b\n      base_url: http://localhost:11434\n"
        + "    temporal:\n      managed: true\n      version: 1.25.1\n      port: 7233\n")]
    [InlineData("backend:\n  type: local\n  local:\n    llm:\n      provider: anthropic\n      model: claude-sonnet-4.5\n    temporal:\n      managed: false\n      address: localhost:7233\n")]
    public void Older_files_are_read_without_a_word(string text) => Assert.Empty(Read(text).Diagnostics);

    [Theory]
    [InlineData("backend:\n\ttype: local\n", "2:1: a tab indents this line: YAML allows spaces only")]
    [InlineData("backend:\n  local:\n  \tendpoint: localhost:1\n", "3:3: a tab indents this line: YAML allows spaces only")]
    [InlineData("backend:\n  type: local\n\tlocal:\n", "3:1: a tab indents this line: YAML allows spaces only")]
    [InlineData("backend:\n  type: local\n    local:\n", "3:10: a key cannot stand here: it is indented more than its neighbours, or a \": \" is missing on the line above, or a value with \": \" in it lacks quotes")]
    [InlineData("backend:\n  type: @x\n", "2:9: a value cannot begin with this character: put it in quotes")]
    [InlineData("backend: [local\n", "2:1: this is not YAML: while parsing a flow sequence, did not find expected ',' or ']'")]
    [InlineData("backend:\n  type: \"local\n", "2:9: this is not YAML: while scanning a quoted scalar, find unexpected end of stream")]
    public void Broken_syntax_is_named_with_its_place(string text, string expected) => Assert.Equal("/h/config.yaml:" + expected, Only(text));

    [Theory]
    [InlineData("just text\n", "1:1: the document must be a mapping with the keys backend")]
    [InlineData("- backend\n", "1:1: the document must be a mapping with the keys backend")]
    [InlineData("backend: local\n", "1:10: backend must be a mapping with the keys type, local, cloud")]
    [InlineData("backend:\n  local:\n    llm: ollama\n", "3:10: llm must be a mapping with the keys provider, model, base_url, max_tokens, temperature, context_window")]
    [InlineData("backend:\n  local:\n    llm: [ollama]\n", "3:10: llm must be a mapping with the keys provider, model, base_url, max_tokens, temperature, context_window")]
    [InlineData("backend:\n  local:\n    endpoint: [a]\n", "3:15: endpoint is a list: it must be HOST:PORT of this machine alone: localhost, 127.0.0.1 or [::1] (`stigmer server --listen` serves others)")]
    [InlineData("backend:\n  type: local\n  type: cloud\n", "3:3: \"type\" stands twice: the first is on line 2")]
    [InlineData("backend:\n  type: *kind\n", "2:9: *kind is an alias, which is not understood: write the value itself")]
    [InlineData("backend:\n  type: !secret local\n", "2:9: the tag \"!secret\" is not understood: write the value alone")]
    [InlineData("backend:\n  type: local\n---\nbackend:\n", "3:1: a second document begins here: there must be one")]
    public void Another_structure_is_named_with_its_place(string text, string expected) => Assert.Equal("/h/config.yaml:" + expected, Only(text));

    [Theory]
    [InlineData("type", "remote", "is \"remote\": it must be local or cloud")]
    [InlineData("local.llm.provider", "gemini", "is \"gemini\": it must be ollama, anthropic, openai or demo")]
    [InlineData("local.llm.provider", "true", "is true or false: it must be ollama, anthropic, openai or demo (in quotes if that is its name)")]
    [InlineData("local.llm.model", "two words", "is \"two words\": it must be a name without spaces")]
    [InlineData("local.llm.base_url", "localhost:11434", "must be an http:// or https:// address without a user name, a ? or a #")]
    [InlineData("local.llm.base_url", "ftp://host", "must be an http:// or https:// address without a user name, a ? or a #")]
    [InlineData("local.llm.base_url", "http://me:secret@host", "must be an http:// or https:// address without a user name, a ? or a #")]
    [InlineData("local.llm.max_tokens", "0", "is \"0\": it must be a whole number from 1 to 1000000")]
    [InlineData("local.llm.max_tokens", "8k", "is \"8k\": it must be a whole number from 1 to 1000000")]
    [InlineData("local.llm.max_tokens", "8192.5", "is \"8192.5\": it must be a whole number from 1 to 1000000")]
    [InlineData("local.llm.max_tokens", "\"8192\"", "is text, being in quotes: it must be a whole number from 1 to 1000000")]
    [InlineData("local.llm.temperature", "hot", "is \"hot\": it must be a number from 0 to 2")]
    [InlineData("local.llm.temperature", "-0.1", "is \"-0.1\": it must be a number from 0 to 2")]
    [InlineData("local.llm.temperature", ".nan", "is \".nan\": it must be a number from 0 to 2")]
    [InlineData("local.llm.context_window", "16", "is \"16\": it must be a whole number from 256 to 10000000")]
    [InlineData("local.temporal.managed", "yes", "is \"yes\": it must be true or false")]
    [InlineData("local.temporal.managed", "'true'", "is text, being in quotes: it must be true or false")]
    [InlineData("local.temporal.port", "65536", "is \"65536\": it must be a whole number from 0 to 65535")]
    [InlineData("local.temporal.port", "-1", "is \"-1\": it must be a whole number from 0 to 65535")]
    [InlineData("local.temporal.version", "latest", "is \"latest\": it must be a release of Temporal's CLI, such as 1.8.2")]
    [InlineData("local.temporal.version", "1.8", "is \"1.8\": it must be a release of Temporal's CLI, such as 1.8.2")]
    [InlineData("local.temporal.version", "../../evil", "is \"../../evil\": it must be a release of Temporal's CLI, such as 1.8.2")]
    [InlineData("local.temporal.address", "temporal.example.com", "is \"temporal.example.com\": it must be HOST:PORT, such as localhost:7233")]
    [InlineData("local.temporal.address", "localhost:0", "is \"localhost:0\": it must be HOST:PORT, such as localhost:7233")]
    [InlineData("local.endpoint", "0.0.0.0:50051", "is \"0.0.0.0:50051\": it must be HOST:PORT of this machine alone: localhost, 127.0.0.1 or [::1] (`stigmer server --listen` serves others)")]
    [InlineData("local.endpoint", "''", "is empty: it must be HOST:PORT of this machine alone: localhost, 127.0.0.1 or [::1] (`stigmer server --listen` serves others)")]
    [InlineData("local.data_dir", "~other/data", "is \"~other/data\": it must be a path, absolute or beginning with ~/")]
    public void A_value_that_is_not_allowed_is_named_with_what_is(string key, string value, string expected)
    {
        var parts = ("backend." + key).Split('.');
        var text = string.Join('\n', parts.Select((part, depth) => new string(' ', depth * 2) + part + ":")) + " " + value + "\n";
        var place = $"{parts.Length}:{(parts.Length - 1) * 2 + parts[^1].Length + 3}";
        Assert.Equal($"/h/config.yaml:{place}: {Schema.Short("backend." + key)} {expected}", Only(text));
        Assert.Empty(Read(text).Values);
    }

    [Theory]
    [InlineData("backend:\n  local:\n    llm:\n      modle: x\n", "4:7: \"modle\" is not a known key and does nothing: did you mean model?")]
    [InlineData("backend:\n  local:\n    llm:\n      baseUrl: x\n", "4:7: \"baseUrl\" is not a known key and does nothing: did you mean base_url?")]
    [InlineData("backend:\n  local:\n    llm:\n      max-tokens: 1\n", "4:7: \"max-tokens\" is not a known key and does nothing: did you mean max_tokens?")]
    [InlineData("backend:\n  local:\n    temporl:\n      port: 1\n", "3:5: \"temporl\" is not a known key and does nothing: did you mean temporal?")]
    [InlineData("backend:\n  local:\n    model: x\n", "3:5: \"model\" is not a known key and does nothing: did you mean backend.local.llm.model?")]
    [InlineData("llm:\n  provider: demo\n", "1:1: \"llm\" is not a known key and does nothing: did you mean backend.local.llm?")]
    [InlineData("telemetry: on\n", "1:1: \"telemetry\" is not a known key and does nothing: known here is backend")]
    [InlineData("backend:\n  cloud:\n    organisation: x\n", "3:5: \"organisation\" is not a known key and does nothing: known here are endpoint, ca_file")]
    [InlineData("backend:\n  cloud:\n    token: hunter2\n", "3:5: \"token\" is not a known key and does nothing: secrets do not stand in this file, set STIGMER_TOKEN")]
    [InlineData("backend:\n  local:\n    llm:\n      api_key: hunter2\n",
        "4:7: \"api_key\" is not a known key and does nothing: secrets do not stand in this file, set ANTHROPIC_API_KEY, OPENAI_API_KEY or STIGMER_LLM_API_KEY")]
    public void An_unknown_key_is_a_warning_with_the_nearest_known_one(string text, string expected)
    {
        var said = Assert.Single(Read(text).Diagnostics);
        Assert.False(said.IsError);
        Assert.Equal("/h/config.yaml:" + expected, said.ToString());
    }

    [Fact]
    public void Everything_that_is_wrong_is_said_at_once_in_the_order_of_the_text()
    {
        var file = Read("backend:\n  typ: local\n  local:\n    endpoint: here\n    temporal:\n      port: abc\n      ui: 1\n");
        Assert.Equal([2, 4, 6, 7], file.Diagnostics.Select(diagnostic => diagnostic.At!.Value.Line));
        Assert.Equal([false, true, true, true], file.Diagnostics.Select(diagnostic => diagnostic.IsError));
    }

    [Fact]
    public void Deep_nesting_is_refused_rather_than_followed() =>
        Assert.Contains("maximum nesting depth", Only("backend: " + new string('[', 5000)), StringComparison.Ordinal);

    static readonly string[] Pieces =
    [
        "backend", "local", "llm", "port", "type", ":", ": ", " ", "  ", "\n", "\n  ", "\n    ", "\t", "\r\n", "- ", "[", "]", "{", "}", ",", "'", "\"", "*x", "&x ", "!t ",
        "|", ">-", "#", "---", "...", "%YAML 9.9", "? ", "<<", "@", "`", "~", "\0", "é", "😀", "\ud800", "\u2028", "\\", "0x1", "\uFEFF",
    ];

    // Lines of a file in which anything may have gone wrong.
    static readonly Gen<string> Text = Gen.Int[0, Pieces.Length - 1].Select(piece => Pieces[piece]).Array[0, 24].Select(pieces => string.Concat(pieces));

    [Fact]
    public void Whatever_stands_in_it_is_read_or_refused_with_a_place_in_it() => Text.Sample(text =>
    {
        foreach (var diagnostic in Read(text).Diagnostics)
        {
            Assert.InRange(diagnostic.At!.Value.Line, 1, text.Length + 2);
            Assert.InRange(diagnostic.At.Value.Column, 1, text.Length + 2);
            Assert.DoesNotContain('\n', diagnostic.Message);
        }
    }, iter: 5000);

    [Fact]
    public void A_file_that_is_not_there_sets_nothing()
    {
        var file = ConfigFile.Read(Path.Combine(Path.GetTempPath(), Guid.NewGuid().ToString("N"), "config.yaml"));
        Assert.Empty(file.Values);
        Assert.Empty(file.Diagnostics);
    }

    [Fact]
    public void What_is_no_text_file_is_an_error()
    {
        var folder = Directory.CreateTempSubdirectory();
        try
        {
            var path = Path.Combine(folder.FullName, "config.yaml");
            Assert.Contains("this is a folder", Assert.Single(ConfigFile.Read(folder.FullName).Diagnostics).Message, StringComparison.Ordinal);
            File.WriteAllBytes(path, [0x62, 0xFF, 0xFE, 0x0A]);
            Assert.Contains("not UTF-8", Assert.Single(ConfigFile.Read(path).Diagnostics).Message, StringComparison.Ordinal);
            File.WriteAllBytes(path, new byte[2 * 1024 * 1024]);
            Assert.Contains("2097152 bytes", Assert.Single(ConfigFile.Read(path).Diagnostics).Message, StringComparison.Ordinal);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
