using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace Stigmer.Tests;

/// <summary>The folders are the architecture, so what a file may know follows from where it stands.</summary>
public partial class LayersTests
{
    // Each with those that it may know beside itself. Program.cs, which knows all, is in none.
    static readonly Dictionary<string, string[]> Layers = new()
    {
        ["Config"] = [],
        ["Processes"] = ["Config"],
        ["Rpc"] = ["Config", "Processes"],
        ["Agents"] = ["Config", "Processes", "Rpc"],
        ["Server"] = ["Config", "Processes", "Rpc"],
        ["Runtime"] = ["Config", "Processes", "Rpc"],
        ["Commands"] = ["Config", "Processes", "Rpc", "Agents", "Server", "Runtime"],
    };

    static readonly HashSet<string> Names = [.. typeof(Failure).Assembly.GetTypes().Select(type => type.FullName!), .. typeof(Failure).Assembly.GetTypes().Select(type => type.Namespace!)];

    public static TheoryData<string> Folders => [.. Layers.Keys];

    [Theory]
    [MemberData(nameof(Folders))]
    public void A_folder_knows_only_the_folders_below_it(string folder)
    {
        var sources = Sources(folder);
        Assert.NotEmpty(sources);
        Assert.Empty(sources.SelectMany(source => Forbidden(folder, File.ReadAllText(source)).Select(name => $"{source}: {name}")));
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public void A_namespace_is_its_folder(string folder)
    {
        var root = Root();
        foreach (var source in Sources(folder))
        {
            var expected = "Stigmer." + Path.GetRelativePath(root, Path.GetDirectoryName(source)!).Replace(Path.DirectorySeparatorChar, '.');
            Assert.Contains($"\nnamespace {expected};\n", "\n" + File.ReadAllText(source).ReplaceLineEndings("\n"), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void What_all_folders_know_knows_none_of_them()
    {
        foreach (var file in (string[])["Failure.cs", "Log.cs"]) Assert.Empty(Known(File.ReadAllText(Path.Combine(Root(), file))));
    }

    [Theory]
    [InlineData("Server", "using Stigmer.Agents.Llm;", "Agents.Llm")]
    [InlineData("Server", "using Stigmer.Agents;", "Agents")]
    [InlineData("Server", "var options = Agents.RunnerOptions.From(e, 1);", "Agents.RunnerOptions")]
    [InlineData("Rpc", "using Link = Stigmer.Commands.ServerLink;", "Commands.ServerLink")]
    [InlineData("Config", "using static Stigmer.Processes.Libc;", "Processes.Libc")]
    [InlineData("Server", "using Stigmer.Config;\nusing System.Runtime.InteropServices; // as Agents.RunnerOptions does", null)]
    [InlineData("Runtime", "int Server => settings.Server;", null)]
    [InlineData("Server", "var refusal = Commands.Check(run, answer.Commands);", null)]
    public void A_forbidden_name_is_found_however_it_is_written(string folder, string text, string? found)
    {
        Assert.Equal(found is null ? [] : [found], Forbidden(folder, text));
    }

    static IEnumerable<string> Forbidden(string folder, string text) =>
        Known(text).Where(name => name.Split('.')[0] is var layer && layer != folder && !Layers[folder].Contains(layer));

    // Whatever begins with a layer's name and is a type or a namespace of the product; so a property or a type of that name is not.
    static IEnumerable<string> Known(string text) => Qualified().Matches(Comments().Replace(text, ""))
        .Select(match => match.Groups["name"].Value).Where(name => Names.Contains("Stigmer." + name)).Distinct();

    static string[] Sources(string folder) => Directory.GetFiles(Path.Combine(Root(), folder), "*.cs", SearchOption.AllDirectories);

    static string Root([CallerFilePath] string here = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "..", ".."));

    [GeneratedRegex(@"(?<![\w.])(Stigmer\.(?<name>(Config|Processes|Rpc|Agents|Server|Runtime|Commands)\b(\.\w+)?)|(?<name>(Config|Processes|Rpc|Agents|Server|Runtime|Commands)\.\w+))")]
    private static partial Regex Qualified();

    [GeneratedRegex("//.*")]
    private static partial Regex Comments();
}
