using System.Text.Json;

namespace Stigmer.Agents.Tools;

/// <summary>The built-in read-only tools, confined to a run's workspace.</summary>
static class WorkspaceTools
{
    /// <summary>Lists a folder.</summary>
    public const string List = "workspace.list";

    /// <summary>Reads a file.</summary>
    public const string Read = "workspace.read";

    /// <summary>Searches files for a text.</summary>
    public const string Search = "workspace.search";

    /// <summary>What is offered to a model.</summary>
    public static IReadOnlyList<ToolDeclaration> All { get; } =
    [
        new ToolDeclaration(
            List,
            "Lists the files and folders of the workspace, with each file's size in bytes. Use it to find files by name or by size.",
            Schema("""
                {
                  "type": "object",
                  "properties": {
                    "path": { "type": "string", "description": "The folder, relative to the workspace; default: the workspace itself" },
                    "recursive": { "type": "boolean", "description": "Also what is in its folders; default: false" },
                    "files": { "type": "string", "description": "Only files whose name matches, such as *.cs" },
                    "min_bytes": { "type": "integer", "description": "Only files of at least this size in bytes; 1 MB is 1000000" }
                  }
                }
                """)),
        new ToolDeclaration(
            Read,
            "Reads a text file of the workspace. Of a long file it gives a part and says how to read on.",
            Schema("""
                {
                  "type": "object",
                  "properties": {
                    "path": { "type": "string", "description": "The file, relative to the workspace" },
                    "offset": { "type": "integer", "description": "The first line to read, counted from 1; default: 1" },
                    "limit": { "type": "integer", "description": "How many lines to read; default: as many as fit" }
                  },
                  "required": ["path"]
                }
                """)),
        new ToolDeclaration(
            Search,
            "Searches the workspace's text files for a text and gives the lines that contain it, as path:line: text.",
            Schema("""
                {
                  "type": "object",
                  "properties": {
                    "text": { "type": "string", "description": "What to look for, word for word (no pattern)" },
                    "path": { "type": "string", "description": "A folder or a file, relative to the workspace; default: the workspace itself" },
                    "files": { "type": "string", "description": "Only files whose name matches, such as *.cs" },
                    "ignore_case": { "type": "boolean", "description": "Upper and lower case are the same; default: true" }
                  },
                  "required": ["text"]
                }
                """)),
    ];

    /// <summary>Carries out a call; every error but cancellation is an outcome that the model reads.</summary>
    /// <param name="name">One of the three names.</param>
    /// <param name="arguments">JSON, as the model wrote it.</param>
    /// <param name="workspace">The run's workspace: an absolute path.</param>
    /// <param name="cancel">Ends the call at once.</param>
    public static Task<ToolOutcome> Call(string name, string arguments, string workspace, CancellationToken cancel) => Task.Run(
        () =>
        {
            try
            {
                var given = ToolArguments.Parse(arguments);
                var folder = WorkspaceFolder.Open(workspace);
                return name switch
                {
                    List => WorkspaceList.Run(folder, given, cancel),
                    Read => WorkspaceRead.Run(folder, given, cancel),
                    Search => WorkspaceSearch.Run(folder, given, cancel),
                    _ => throw new Refused($"There is no tool {name}"),
                };
            }
            catch (Refused e)
            {
                return new ToolOutcome(false, e.Message);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return new ToolOutcome(false, $"It failed: {e.Message}");
            }
        },
        cancel);

    static JsonElement Schema(string json) => JsonElement.Parse(json);
}
