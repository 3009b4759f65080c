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
    public static IReadOnlyList<ToolDeclaration> All { get; } = [];

    /// <summary>Carries out a call; every error but cancellation is an outcome that the model reads.</summary>
    /// <param name="name">One of the three names.</param>
    /// <param name="arguments">JSON, as the model wrote it.</param>
    /// <param name="workspace">The run's workspace: an absolute path.</param>
    /// <param name="cancel">Ends the call at once.</param>
    public static Task<ToolOutcome> Call(string name, string arguments, string workspace, CancellationToken cancel) =>
        throw new NotImplementedException($"{name}{arguments}{workspace}{cancel}");
}
