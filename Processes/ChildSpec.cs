using Microsoft.Win32.SafeHandles;

namespace Stigmer.Processes;

/// <summary>A process to start.</summary>
sealed record ChildSpec
{
    /// <summary>The executable, absolute.</summary>
    public required string Path { get; init; }

    /// <summary>What follows the executable's name. Never a secret: other users see it.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];

    /// <summary>The whole environment of the child.</summary>
    public required IReadOnlyDictionary<string, string> Environment { get; init; }

    /// <summary>Where it works; null: where we do.</summary>
    public string? WorkingDirectory { get; init; }

    /// <summary>A session of its own, without a terminal, rather than only a process group: for what outlives its starter.</summary>
    public bool OwnSession { get; init; }

    /// <summary>It joins our own process group rather than leading one. Not on Windows.</summary>
    public bool SharesGroup { get; init; }

    /// <summary>Standard input: a pipe (<see cref="Child.Input"/>) rather than nothing.</summary>
    public bool PipeInput { get; init; }

    /// <summary>Where standard output and standard error go: null, one pipe for both in the order of writing (<see cref="Child.Output"/>).</summary>
    public SafeFileHandle? OutputFile { get; init; }

    /// <summary>Standard error gets a pipe of its own (<see cref="Child.Error"/>); not together with <see cref="OutputFile"/>.</summary>
    public bool SeparateError { get; init; }

    /// <summary>A pipe on which the child reports (<see cref="Child.Notifications"/>, <see cref="Notify"/>).</summary>
    public bool Notifies { get; init; }

    /// <summary>
    /// It is killed when we end, whatever ends us. On Linux by the kernel: a foreign executable is started through
    /// <c>stigmer internal spawn</c>, which asks for it. Our own roles ask themselves (<see cref="Notify"/>) and do not need this.
    /// </summary>
    public bool DiesWithUs { get; init; }
}
