using System.Collections.Concurrent;
using Microsoft.Data.Sqlite;
using Stigmer.Config;

namespace Stigmer.Server.Storage;

/// <summary>
/// The server's one SQLite file. Every change runs on one writer thread; what arrives while the disk is busy is committed
/// together (group commit), and a write completes only when it is on disk. Readers see everything whose write has completed.
/// </summary>
sealed class Database : IAsyncDisposable
{
    /// <summary>Bounds how long the first write of a group waits for its commit.</summary>
    const int MaxGroup = 256;

    const int Readers = 4;

    readonly string file;
    readonly Log log;
    readonly Connection writer;
    readonly BlockingCollection<Job> queue = [];
    readonly ConcurrentBag<Connection> idleReaders = [];
    readonly SemaphoreSlim readSlots = new(Readers);
    readonly TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    volatile bool abandoned;

    Database(string file, Connection writer, Log log)
    {
        this.file = file;
        this.writer = writer;
        this.log = log;
        new Thread(WriteLoop) { Name = "database writer", IsBackground = true }.Start();
    }

    /// <summary>
    /// Opens or creates the file (its folder must exist) and brings its schema up to date. A <see cref="Failure"/> where it was
    /// written by a newer version, is no database, or cannot be opened. Who calls this holds the folder's <see cref="DataLock"/>.
    /// </summary>
    public static Database Open(string file, Log log)
    {
        Sqlite.Use();
        Connection? connection = null;
        try
        {
            if (!OperatingSystem.IsWindows() && !File.Exists(file))
            {
                // SQLite gives the -wal and -shm files the mode of the database.
                using var created = new FileStream(file, PrivateFile.Options(FileMode.CreateNew, FileAccess.Write));
            }
            connection = OpenConnection(file, SqliteOpenMode.ReadWriteCreate);
            connection.Execute("PRAGMA journal_mode = WAL");
            connection.Execute("PRAGMA synchronous = FULL");
            connection.Execute("PRAGMA journal_size_limit = 16777216");
            Schema.Migrate(connection, file);
            return new Database(file, connection, log);
        }
        catch (Exception e) when (e is SqliteException or IOException or UnauthorizedAccessException)
        {
            connection?.Dispose();
            throw new Failure($"The database {file} cannot be opened", Sentence(e), "Move the file aside to begin with an empty one", inner: e);
        }
        catch
        {
            connection?.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Runs <paramref name="work"/> on the writer's thread and completes after the commit. What the work throws undoes the work
    /// alone and is thrown here. The work is never skipped or broken off: it takes no cancellation.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The database is closed.</exception>
    public Task<T> Write<T>(Func<Transaction, T> work)
    {
        var job = new Job<T>(work);
        try
        {
            queue.Add(job);
        }
        catch (InvalidOperationException)
        {
            return Task.FromException<T>(new ObjectDisposedException(nameof(Database)));
        }
        return job.Task;
    }

    /// <inheritdoc cref="Write{T}"/>
    public Task Write(Action<Transaction> work) => Write(transaction =>
    {
        work(transaction);
        return true;
    });

    /// <summary>Runs <paramref name="work"/> on the caller's thread over one snapshot, on a connection that cannot write.</summary>
    /// <exception cref="ObjectDisposedException">The database is closed.</exception>
    public async Task<T> Read<T>(Func<Connection, T> work)
    {
        await readSlots.WaitAsync().ConfigureAwait(false);
        try
        {
            ObjectDisposedException.ThrowIf(queue.IsAddingCompleted, this);
            if (!idleReaders.TryTake(out var connection)) connection = OpenConnection(file, SqliteOpenMode.ReadOnly);
            try
            {
                connection.Execute("BEGIN");
                try
                {
                    return work(connection);
                }
                finally
                {
                    connection.Execute("COMMIT");
                }
            }
            finally
            {
                idleReaders.Add(connection);
            }
        }
        finally
        {
            readSlots.Release();
        }
    }

    /// <summary>Takes no more writes, finishes those that wait, moves the write-ahead log into the file and closes it.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!queue.IsAddingCompleted) queue.CompleteAdding();
        await ended.Task.ConfigureAwait(false);
    }

    /// <summary>For tests: ends as a killed process does. Nothing that waits is written, nothing is tidied up.</summary>
    internal async Task Abandon()
    {
        abandoned = true;
        await DisposeAsync().ConfigureAwait(false);
    }

    static Connection OpenConnection(string file, SqliteOpenMode mode)
    {
        var text = new SqliteConnectionStringBuilder { DataSource = file, Mode = mode, Pooling = false }.ToString();
        var connection = new Connection(text);
        try
        {
            connection.Open();
            // Somebody may look at the file with another program.
            connection.Execute("PRAGMA busy_timeout = 5000");
            connection.Execute("PRAGMA foreign_keys = ON");
            connection.Execute("PRAGMA temp_store = MEMORY");
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    void WriteLoop()
    {
        var group = new List<Job>();
        while (queue.TryTake(out var job, Timeout.Infinite))
        {
            group.Clear();
            do group.Add(job);
            while (group.Count < MaxGroup && queue.TryTake(out job));
            if (abandoned) group.ForEach(j => j.Fail(new ObjectDisposedException(nameof(Database))));
            else WriteGroup(group);
        }
        Close();
    }

    void WriteGroup(List<Job> group)
    {
        try
        {
            writer.Execute("BEGIN IMMEDIATE");
            foreach (var job in group) job.RunInSavepoint(writer, log);
            writer.Execute("COMMIT");
        }
        catch (Exception e)
        {
            // Nothing of the group is on disk: the disk is full or broken. Whoever waits is told, and the writer goes on.
            log.Error("A transaction could not be committed", ("why", Sentence(e)));
            for (var i = group.Count - 1; i >= 0; i--) group[i].Undo(log);
            try
            {
                writer.Execute("ROLLBACK");
            }
            catch (SqliteException)
            {
                // SQLite has rolled it back by itself.
            }
            foreach (var job in group) job.Fail(e);
            return;
        }
        foreach (var job in group) job.Committed(log);
    }

    void Close()
    {
        // Every reader gives its connection back before the file is closed: the last connection to close removes the -wal file.
        for (var i = 0; i < Readers; i++) readSlots.Wait();
        while (idleReaders.TryTake(out var reader)) reader.Dispose();
        readSlots.Release(Readers);
        try
        {
            // A checkpoint on close would tidy up what a killed process leaves behind.
            if (abandoned) SQLitePCL.raw.sqlite3_db_config(writer.Handle!, SQLitePCL.raw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, out _);
            else writer.Execute("PRAGMA wal_checkpoint(TRUNCATE)");
            writer.Dispose();
        }
        catch (SqliteException e)
        {
            // What is committed stands in the write-ahead log, which the next start reads.
            log.Warn("The database could not be closed in order", ("why", Sentence(e)));
        }
        ended.TrySetResult();
    }

    static string Sentence(Exception e) => e is SqliteException { SqliteErrorCode: 26 } ? "it is not an SQLite database" : e.Message;

    abstract class Job
    {
        protected Transaction? Transaction { get; set; }

        public abstract void RunInSavepoint(Connection connection, Log log);

        public abstract void Committed(Log log);

        public abstract void Fail(Exception e);

        public void Undo(Log log)
        {
            if (Transaction is { } transaction) foreach (var action in transaction.RollbackActions) Guarded(action, log);
            Transaction = null;
        }

        protected static void Guarded(Action action, Log log)
        {
            try
            {
                action();
            }
            catch (Exception e)
            {
                // The row is committed: what follows from it must not take the writer down.
                log.Error("What follows a write failed", ("error", e));
            }
        }
    }

    sealed class Job<T>(Func<Transaction, T> work) : Job
    {
        readonly TaskCompletionSource<T> done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        T? result;
        Exception? failed;

        public Task<T> Task => done.Task;

        public override void RunInSavepoint(Connection connection, Log log)
        {
            connection.Execute("SAVEPOINT job");
            Transaction = new Transaction(connection);
            try
            {
                result = work(Transaction);
            }
            catch (Exception e)
            {
                failed = e;
                Undo(log);
                connection.Execute("ROLLBACK TO job");
            }
            connection.Execute("RELEASE job");
        }

        public override void Committed(Log log)
        {
            if (failed is not null)
            {
                done.TrySetException(failed);
                return;
            }
            foreach (var action in Transaction!.CommitActions) Guarded(action, log);
            done.TrySetResult(result!);
        }

        public override void Fail(Exception e) => done.TrySetException(failed ?? e);
    }
}
