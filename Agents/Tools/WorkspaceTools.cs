using System.Text.Json;
using Stigmer.Processes;

namespace Stigmer.Agents.Tools;

/// <summary>The built-in tools. Those that take paths are confined to a run's workspace.</summary>
static class WorkspaceTools
{
    /// <summary>Lists a folder.</summary>
    public const string List = "workspace.list";

    /// <summary>Reads a file.</summary>
    public const string Read = "workspace.read";

    /// <summary>Searches files for a text.</summary>
    public const string Search = "workspace.search";

    /// <summary>Writes a file.</summary>
    public const string Write = "workspace.write";

    /// <summary>Runs a command line.</summary>
    public const string Run = "workspace.run";

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
        new ToolDeclaration(
            Write,
            "Writes a text file of the workspace: with content the whole file, which is made where there is none; with old_text and new_text only that part of it.",
            Schema("""
                {
                  "type": "object",
                  "properties": {
                    "path": { "type": "string", "description": "The file, relative to the workspace" },
                    "content": { "type": "string", "description": "The whole new content" },
                    "old_text": { "type": "string", "description": "Instead of content: a text that stands in the file once, copied exactly" },
                    "new_text": { "type": "string", "description": "What to put in the place of old_text" }
                  },
                  "required": ["path"]
                }
                """)),
        new ToolDeclaration(
            Run,
            "Runs a command line by the system's shell in the workspace and gives what it prints and its exit code. It gets no input, and all that it starts ends with it.",
            Schema("""
                {
                  "type": "object",
                  "properties": {
                    "command": { "type": "string", "description": "The command line" },
                    "path": { "type": "string", "description": "The folder to run it in, relative to the workspace; default: the workspace itself" },
                    "timeout_seconds": { "type": "integer", "description": "How long it may take; default: 120, at most 600" }
                  },
                  "required": ["command"]
                }
                """)),
    ];

    /// <summary>Carries out a call; every error but cancellation is an outcome that the model reads.</summary>
    /// <param name="name">One of the names.</param>
    /// <param name="arguments">JSON, as the model wrote it.</param>
    /// <param name="workspace">The run's workspace: an absolute path.</param>
    /// <param name="note">Is told each process that is started; what it gives is disposed of when that has ended.</param>
    /// <param name="time">Measures how long a command takes.</param>
    /// <param name="cancel">Ends the call at once.</param>
    public static async Task<ToolOutcome> Call(
        string name, string arguments, string workspace, Func<GuardedProcess, IDisposable> note, TimeProvider time, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        try
        {
            var given = ToolArguments.Parse(arguments);
            var folder = WorkspaceFolder.Open(workspace);
            return name switch
            {
                List => WorkspaceList.Run(folder, given, cancel),
                Read => WorkspaceRead.Run(folder, given, cancel),
                Search => WorkspaceSearch.Run(folder, given, cancel),
                Write => WorkspaceWrite.Run(folder, given),
                Run => await WorkspaceRun.Run(folder, given, note, time, cancel),
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
    }

    static JsonElement Schema(string json) => JsonElement.Parse(json);
}
