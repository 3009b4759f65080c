namespace Stigmer.Config;

/// <summary>
/// A key or a token. It does not show itself: not in text, in a log, in a debugger's view of a record, or in an error. Who
/// needs it for a header asks for it by name.
/// </summary>
sealed class Secret(string value) : IEquatable<Secret>
{
    readonly string value = value;

    /// <summary>The secret itself: for a header or a child's environment, and for nothing else.</summary>
    public string Reveal() => value;

    /// <summary>Always <c>***</c>.</summary>
    public override string ToString() => "***";

    /// <inheritdoc/>
    public bool Equals(Secret? other) => other is not null && value == other.value;

    /// <inheritdoc/>
    public override bool Equals(object? other) => Equals(other as Secret);

    /// <inheritdoc/>
    public override int GetHashCode() => value.GetHashCode(StringComparison.Ordinal);
}
