namespace Stigmer.Server.Storage;

/// <summary>What one <see cref="Database.Write{T}"/> may do. Valid only while its work runs, on the writer's thread.</summary>
sealed class Transaction(Connection connection)
{
    readonly List<Action> afterCommit = [];
    readonly List<Action> onRollback = [];

    /// <summary>The writer's connection, inside the transaction.</summary>
    public Connection Connection { get; } = connection;

    /// <summary>
    /// Runs on the writer's thread once the transaction is on disk, in the order of the writes, before the writer's caller goes
    /// on. It must not block. What it throws is logged and nothing else.
    /// </summary>
    public void AfterCommit(Action action) => afterCommit.Add(action);

    /// <summary>Runs on the writer's thread, last registered first, where the work threw or its transaction could not be committed.</summary>
    public void OnRollback(Action action) => onRollback.Add(action);

    /// <inheritdoc cref="Connection.Execute"/>
    public int Execute(string sql, params ReadOnlySpan<object?> arguments) => Connection.Execute(sql, arguments);

    internal IReadOnlyList<Action> CommitActions => afterCommit;

    internal IEnumerable<Action> RollbackActions => Enumerable.Reverse(onRollback);
}
