using Stigmer.Config;

namespace Stigmer.Tests.Config;

public class ConfigEditTests
{
    [Theory]
    [InlineData("", "temporal.port", "5", "backend:\n  local:\n    temporal:\n      port: 5\n")]
    [InlineData("# mine", "temporal.port", "5", "# mine\nbackend:\n  local:\n    temporal:\n      port: 5\n")]
    [InlineData("backend:\n  local:\n    temporal:\n      port: 7233   # why\n      ui: true\n", "temporal.port", "5", "backend:\n  local:\n    temporal:\n      port: 5   # why\n      ui: true\n")]
    [InlineData("backend:\n  local:\n    llm:\n      model: \"a b\"\n", "llm.model", "qwen2.5-coder:7b", "backend:\n  local:\n    llm:\n      model: \"qwen2.5-coder:7b\"\n")]
    [InlineData("backend:\n  local:\n    llm:\n      model:   # none\n", "llm.model", "x", "backend:\n  local:\n    llm:\n      model: x   # none\n")]
    [InlineData("backend:\n  local:\n    llm:\n      model: a\n    # about Temporal\n    temporal:\n      ui: true\n", "llm.max_tokens", "9", "backend:\n  local:\n    llm:\n      model: a\n      max_tokens: 9\n    # about Temporal\n    temporal:\n      ui: true\n")]
    [InlineData("backend:\n    local:\n        llm:\n            model: a", "temporal.ui", "true", "backend:\n    local:\n        llm:\n            model: a\n        temporal:\n          ui: true\n")]
    [InlineData("backend:\n  local:\n    llm:\n      # model: a\n    temporal:\n", "llm.model", "b", "backend:\n  local:\n    llm:\n      model: b\n      # model: a\n    temporal:\n")]
    [InlineData("backend: { local: { llm: { model: a } } }  # all", "llm.model", "b", "backend: { local: { llm: { model: b } } }  # all")]
    [InlineData("backend: { local: { llm: { model: a } } }", "temporal.port", "5", "backend: { local: { llm: { model: a }, temporal: { port: 5 } } }")]
    [InlineData("backend: { local: { llm: { model: a, } } }", "llm.max_tokens", "5", "backend: { local: { llm: { model: a, max_tokens: 5, } } }")]
    [InlineData("backend:\n  local:\n    llm: { model: a } # the model\n", "temporal.port", "5", "backend:\n  local:\n    llm: { model: a } # the model\n    temporal:\n      port: 5\n")]
    [InlineData("backend: { local: { llm: {} } }", "llm.model", "b", "backend: { local: { llm: { model: b } } }")]
    [InlineData("backend:\r\n  type: local\r\n", "temporal.port", "5", "backend:\r\n  type: local\r\n  local:\r\n    temporal:\r\n      port: 5\r\n")]
    [InlineData("\uFEFFbackend:\n  type: local\n", "endpoint", "localhost:0", "\uFEFFbackend:\n  type: local\n  local:\n    endpoint: \"localhost:0\"\n")]
    [InlineData("backend:\n  local: null\n", "temporal.port", "5", "backend:\n  local: \n    temporal:\n      port: 5\n")]
    public void A_value_is_put_where_it_belongs_and_the_rest_stays(string text, string name, string value, string expected)
    {
        var key = Schema.Find(Schema.Local + name)!;
        var after = ConfigEdit.Set(text, "c", key, value);
        Assert.Equal(expected, after);
        Assert.Equal(value, ConfigFile.Parse(after, "c").Values[key.Path].Text);
    }

    [Theory]
    [InlineData("backend: [ a ]", "c:1:10: backend is a list")]
    [InlineData("backend:\n  local:\n    temporal: { port: { a: b } }", "c:3:23: temporal.port is a mapping")]
    [InlineData("backend: {", "c:2:1: this is not YAML")]
    public void A_file_that_cannot_be_understood_is_left_alone(string text, string said) =>
        Assert.StartsWith(said, Assert.Throws<Failure>(() => ConfigEdit.Set(text, "c", Schema.Port, "5")).What);

    [Fact]
    public void The_template_shows_every_key_and_every_line_of_it_is_allowed()
    {
        Assert.Empty(ConfigFile.Parse(ConfigTemplate.Text, "c").Diagnostics);
        Assert.Empty(ConfigFile.Parse(ConfigTemplate.Text, "c").Values);
        var uncommented = string.Join('\n', ConfigTemplate.Text.Split('\n').Select(line => line.TrimStart().StartsWith("# ", StringComparison.Ordinal) && line[0] == ' '
            ? line.Remove(line.IndexOf('#', StringComparison.Ordinal), 2) : line));
        var file = ConfigFile.Parse(uncommented, "c");
        Assert.Empty(file.Diagnostics);
        Assert.Equal(Schema.Keys.Select(key => key.Path).Order(), file.Values.Keys.Order());
        // And each of them can be set in the template.
        foreach (var (path, value) in file.Values)
        {
            var set = ConfigFile.Parse(ConfigEdit.Set(ConfigTemplate.Text, "c", Schema.Find(path)!, value.Text), "c");
            Assert.Empty(set.Diagnostics);
            Assert.Equal((path, value.Text), (set.Values.Single().Key, set.Values.Single().Value.Text));
        }
    }
}
