using Stigmer.Server.Storage;

namespace Stigmer.Tests.Storage;

public sealed class DatabaseTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("stigmer-db-").FullName;
    readonly Log log = new("test", TextWriter.Null, TimeProvider.System);

    string File => Path.Combine(folder, "stigmer.db");

    public void Dispose() => Directory.Delete(folder, recursive: true);

    Database Open() => Database.Open(File, log);

    static async Task<Database> WithTable(Database database)
    {
        await database.Write(t => t.Execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, text TEXT)"));
        return database;
    }

    /// <summary>A write that keeps the writer busy until it is let go: what is written meanwhile is one group.</summary>
    static async Task<(Task, ManualResetEventSlim)> Busy(Database database)
    {
        var hold = new ManualResetEventSlim();
        var started = new TaskCompletionSource();
        var write = database.Write(_ =>
        {
            started.SetResult();
            return hold.Wait(TimeSpan.FromSeconds(30));
        });
        await started.Task;
        return (write, hold);
    }

    [Fact]
    public async Task A_read_sees_every_write_that_has_completed()
    {
        await using var database = await WithTable(Open());
        for (var i = 1; i <= 20; i++)
        {
            await database.Write(t => t.Execute("INSERT INTO t VALUES ($1, $2)", i, "x"));
            Assert.Equal(i, await database.Read(c => c.Number("SELECT count(*) FROM t")));
        }
    }

    [Fact]
    public async Task Writes_that_meet_run_in_order_and_each_gets_its_own_answer()
    {
        await using var database = await WithTable(Open());
        var order = new List<long>();
        var writes = Enumerable.Range(1, 500).Select(i => database.Write(t =>
        {
            t.Execute("INSERT INTO t VALUES ($1, NULL)", i);
            t.AfterCommit(() => order.Add(i));
            return t.Connection.Number("SELECT count(*) FROM t");
        })).ToList();
        Assert.Equal(Enumerable.Range(1, 500).Select(i => (long)i), await Task.WhenAll(writes));
        Assert.Equal(Enumerable.Range(1, 500).Select(i => (long)i), order);
    }

    [Fact]
    public async Task A_work_that_throws_is_undone_alone_in_a_group()
    {
        await using var database = await WithTable(Open());
        var undone = new List<int>();
        var (first, hold) = await Busy(database);
        var good = database.Write(t => t.Execute("INSERT INTO t VALUES (1, 'a')"));
        var bad = database.Write<int>(t =>
        {
            t.OnRollback(() => undone.Add(1));
            t.OnRollback(() => undone.Add(2));
            t.AfterCommit(() => undone.Add(3));
            t.Execute("INSERT INTO t VALUES (2, 'b')");
            throw new InvalidOperationException("no");
        });
        var last = database.Write(t => t.Execute("INSERT INTO t VALUES (3, 'c')"));
        hold.Set();
        await Task.WhenAll(first, good, last);
        Assert.Equal("no", (await Assert.ThrowsAsync<InvalidOperationException>(() => bad)).Message);
        Assert.Equal([2, 1], undone);
        Assert.Equal([1, 3], await database.Read(c => c.Query("SELECT n FROM t ORDER BY n", r => r.GetInt64(0))));
    }

    [Fact]
    public async Task A_commit_that_fails_fails_every_write_of_its_group_and_the_writer_goes_on()
    {
        await using var database = await WithTable(Open());
        var undone = false;
        await database.Write(t => t.Execute("CREATE TABLE child (p INTEGER REFERENCES t (n) DEFERRABLE INITIALLY DEFERRED)"));
        var (first, hold) = await Busy(database);
        var innocent = database.Write(t =>
        {
            t.OnRollback(() => undone = true);
            return t.Execute("INSERT INTO t VALUES (1, 'a')");
        });
        // A foreign key that is checked at the commit stands for a disk that is full.
        var culprit = database.Write(t => t.Execute("INSERT INTO child VALUES (7)"));
        hold.Set();
        await first;
        await Assert.ThrowsAnyAsync<Exception>(() => culprit);
        await Assert.ThrowsAnyAsync<Exception>(() => innocent);
        Assert.True(undone);
        Assert.Equal(0, await database.Read(c => c.Number("SELECT count(*) FROM t")));
        await database.Write(t => t.Execute("INSERT INTO t VALUES (2, 'b')"));
        Assert.Equal(0, await database.Read(c => c.Number("SELECT count(*) FROM child")));
    }

    [Fact]
    public async Task What_was_acknowledged_survives_a_kill()
    {
        var database = await WithTable(Open());
        for (var i = 0; i < 50; i++) await database.Write(t => t.Execute("INSERT INTO t VALUES ($1, 'x')", i));
        // The files of this moment are what a killed process leaves.
        var copy = Directory.CreateDirectory(Path.Combine(folder, "copy")).FullName;
        foreach (var file in Directory.GetFiles(folder, "stigmer.db*").Where(f => !f.EndsWith("-shm", StringComparison.Ordinal)))
        {
            System.IO.File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
        }
        await database.Abandon();
        await using (var again = Open()) Assert.Equal(50, await again.Read(c => c.Number("SELECT count(*) FROM t")));
        await using var copied = Database.Open(Path.Combine(copy, "stigmer.db"), log);
        Assert.Equal(50, await copied.Read(c => c.Number("SELECT count(*) FROM t")));
    }

    [Fact]
    public async Task A_closed_database_is_one_file_and_refuses_work()
    {
        var database = await WithTable(Open());
        await database.Read(c => c.Number("SELECT 1"));
        var last = database.Write(t => t.Execute("INSERT INTO t VALUES (1, 'x')"));
        await database.DisposeAsync();
        Assert.Equal(1, await last);
        Assert.Equal([File], Directory.GetFiles(folder));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => database.Write(t => t.Execute("DELETE FROM t")));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => database.Read(c => c.Number("SELECT 1")));
        if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, System.IO.File.GetUnixFileMode(File));
    }

    [Fact]
    public async Task A_reader_cannot_write()
    {
        await using var database = await WithTable(Open());
        await Assert.ThrowsAnyAsync<Exception>(() => database.Read(c => c.Execute("INSERT INTO t VALUES (1, 'x')")));
        Assert.Equal(0, await database.Read(c => c.Number("SELECT count(*) FROM t")));
    }

    [Fact]
    public async Task A_database_of_a_newer_version_is_refused_with_that_version()
    {
        await using (var database = Open())
        {
            await database.Write(t =>
            {
                t.Execute("PRAGMA user_version = 9999");
                t.Execute("UPDATE meta SET value = '7.8.9' WHERE key = 'version'");
            });
        }
        var failure = Assert.Throws<Failure>(Open);
        Assert.Contains("7.8.9", failure.What);
        Assert.Contains(Build.Version, failure.Why);
    }

    [Fact]
    public async Task An_older_database_gets_the_scripts_that_it_has_not_seen()
    {
        await Open().DisposeAsync();
        using (var connection = new Connection($"Data Source={File};Pooling=False"))
        {
            connection.Open();
            var seen = (int)connection.Number("PRAGMA user_version");
            var scripts = Enumerable.Repeat("SELECT 1/0 FROM no_such_table", seen).Append("CREATE TABLE later (n INTEGER)").ToList();
            Schema.Migrate(connection, File, scripts, "9.9.9");
            Assert.Equal(seen + 1, connection.Number("PRAGMA user_version"));
            Assert.Equal(0, connection.Number("SELECT count(*) FROM later"));
            Assert.Equal("9.9.9", connection.Text("SELECT value FROM meta WHERE key = 'version'"));
        }
        Assert.Contains("9.9.9", Assert.Throws<Failure>(Open).What);
    }

    [Fact]
    public void A_file_that_is_no_database_is_refused_and_left_alone()
    {
        System.IO.File.WriteAllText(File, new string('x', 5000));
        Assert.Contains("not an SQLite database", Assert.Throws<Failure>(Open).Why);
        Assert.Equal(new string('x', 5000), System.IO.File.ReadAllText(File));
    }

    [Fact]
    public void A_second_owner_of_the_folder_is_refused_with_the_first_ones_pid()
    {
        using (DataLock.Take(folder))
        {
            Assert.Contains($"{Environment.ProcessId}", Assert.Throws<Failure>(() => DataLock.Take(folder)).Why);
        }
        DataLock.Take(folder).Dispose();
    }
}
