using Microsoft.Data.Sqlite;

namespace Stigmer.Server.Storage;

/// <summary>
/// A connection that keeps its statements prepared. SQL names its parameters $1, $2, … in the order of the arguments, which
/// are long, int, bool, double, string, byte[], enums as their number, or null. Used by one thread at a time.
/// </summary>
sealed class Connection(string connectionString) : SqliteConnection(connectionString)
{
    readonly Dictionary<string, SqliteCommand> prepared = [];

    /// <summary>Runs a statement; the number of rows it changed.</summary>
    public int Execute(string sql, params ReadOnlySpan<object?> arguments)
    {
        var command = Rent(sql, arguments);
        try
        {
            return command.ExecuteNonQuery();
        }
        finally
        {
            Return(sql, command);
        }
    }

    /// <summary>Every row of a query, read to its end before it returns.</summary>
    public List<T> Query<T>(string sql, Func<SqliteDataReader, T> row, params ReadOnlySpan<object?> arguments)
    {
        var command = Rent(sql, arguments);
        try
        {
            using var reader = command.ExecuteReader();
            var rows = new List<T>();
            while (reader.Read()) rows.Add(row(reader));
            return rows;
        }
        finally
        {
            Return(sql, command);
        }
    }

    /// <summary>The rows of a query one by one, as long as <paramref name="row"/> wants more; whether it has seen all.</summary>
    public bool Each(string sql, Func<SqliteDataReader, bool> row, params ReadOnlySpan<object?> arguments)
    {
        var command = Rent(sql, arguments);
        try
        {
            using var reader = command.ExecuteReader();
            while (reader.Read())
            {
                if (!row(reader)) return false;
            }
            return true;
        }
        finally
        {
            Return(sql, command);
        }
    }

    /// <summary>The first row of a query; default where there is none.</summary>
    public T? First<T>(string sql, Func<SqliteDataReader, T> row, params ReadOnlySpan<object?> arguments)
    {
        var command = Rent(sql, arguments);
        try
        {
            using var reader = command.ExecuteReader();
            return reader.Read() ? row(reader) : default;
        }
        finally
        {
            Return(sql, command);
        }
    }

    /// <summary>The first column of the first row as a number; 0 where there is no row or it is null.</summary>
    public long Number(string sql, params ReadOnlySpan<object?> arguments) => First(sql, r => r.IsDBNull(0) ? 0 : r.GetInt64(0), arguments);

    /// <summary>The first column of the first row as text; null where there is no row or it is null.</summary>
    public string? Text(string sql, params ReadOnlySpan<object?> arguments) => First(sql, r => r.IsDBNull(0) ? null : r.GetString(0), arguments);

    SqliteCommand Rent(string sql, ReadOnlySpan<object?> arguments)
    {
        // A row function may run the same SQL again: then the kept one is in use and a second is made.
        if (!prepared.Remove(sql, out var command))
        {
            command = CreateCommand();
            command.CommandText = sql;
            for (var i = 0; i < arguments.Length; i++) command.Parameters.Add(new SqliteParameter { ParameterName = $"${i + 1}" });
        }
        for (var i = 0; i < arguments.Length; i++)
        {
            var value = arguments[i];
            command.Parameters[i].Value = value switch { null => DBNull.Value, Enum e => Convert.ToInt64(e, null), _ => value };
        }
        return command;
    }

    void Return(string sql, SqliteCommand command)
    {
        if (!prepared.TryAdd(sql, command)) command.Dispose();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            foreach (var command in prepared.Values) command.Dispose();
            prepared.Clear();
        }
        base.Dispose(disposing);
    }
}
