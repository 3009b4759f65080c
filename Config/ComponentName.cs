namespace Stigmer.Config;

/// <summary>What the parts of a stack are called: in the status, in logs and their files' names, and wherever a person names one.</summary>
static class ComponentName
{
    /// <summary>The supervisor.</summary>
    public const string Daemon = "daemon";

    /// <summary>The managed workflow engine.</summary>
    public const string Temporal = "temporal";

    /// <summary>The API and the record of runs.</summary>
    public const string Server = "stigmer-server";

    /// <summary>The worker.</summary>
    public const string Runner = "agent-runner";
}
