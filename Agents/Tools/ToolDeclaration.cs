using System.Text.Json;

namespace Stigmer.Agents.Tools;

/// <summary>A tool as an agent knows it, and as a model is told about it.</summary>
/// <param name="Name">As the agent knows it: <c>workspace.read</c>. What a provider is told is made of it by <see cref="ToolNames"/>.</param>
/// <param name="Description">What it does, for the model.</param>
/// <param name="Schema">The JSON schema of its arguments: an object.</param>
record ToolDeclaration(string Name, string Description, JsonElement Schema);

/// <summary>What came of a call, for the model to read. A tool that fails is an outcome too, never an exception.</summary>
/// <param name="Ok">False: <paramref name="Text"/> says what went wrong.</param>
/// <param name="Text">What the model reads.</param>
sealed record ToolOutcome(bool Ok, string Text);
