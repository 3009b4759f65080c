namespace Stigmer.Config;

/// <summary>What the kinds of workflow engine are called: in the status, in STIGMER_ENGINE, in the server's database.</summary>
static class EngineName
{
    /// <summary>Downloaded, and a child of the daemon.</summary>
    public const string Managed = "managed";

    /// <summary>Somebody else's.</summary>
    public const string External = "external";

    /// <summary>Inside stigmer-server.</summary>
    public const string Embedded = "embedded";

    /// <summary>The name of a configured one.</summary>
    public static string Of(TemporalMode mode) => mode switch { TemporalMode.Managed => Managed, TemporalMode.External => External, _ => Embedded };
}
