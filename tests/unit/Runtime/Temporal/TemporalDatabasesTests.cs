using Stigmer.Config;
using Stigmer.Runtime.Temporal;

namespace Stigmer.Tests.Runtime.Temporal;

public sealed class TemporalDatabasesTests : IDisposable
{
    static readonly DateTimeOffset Now = new(2026, 11, 24, 8, 0, 0, TimeSpan.Zero);

    readonly string folder = Directory.CreateTempSubdirectory("stigmer-databases-").FullName;

    StigmerHome Home => new(folder);

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void A_server_finds_the_database_that_it_made_whatever_CLI_brought_it()
    {
        var first = Used(Of("1.8.2", "1.31.1"));
        var second = Choose(Of("1.8.3", "1.31.1"));
        Assert.Equal((first, false), (second.File, second.IsNew));
        Assert.Null(second.News);
        Assert.Null(second.Detail);
    }

    [Fact]
    public void Another_server_gets_another_file_says_so_and_the_old_one_is_what_it_was_when_the_old_server_comes_back()
    {
        var old = Used(Of("1.8.2", "1.31.1"));
        var before = File.ReadAllText(old);
        var changed = Choose(Of("1.8.3", "1.31.2"));
        Assert.True(changed.IsNew);
        Assert.NotEqual(old, changed.File);
        Assert.Equal("Temporal is now server 1.31.2 and begins a database of its own: that of server 1.31.1 is kept, and open runs go on from their transcripts", changed.News);
        Assert.StartsWith("now server 1.31.2, with a new database, on which open runs go on from their transcripts; that of server 1.31.1 is kept in ", changed.Detail, StringComparison.Ordinal);

        Make(changed.File);
        var later = Choose(Of("1.8.3", "1.31.2"));
        Assert.Equal((changed.File, false), (later.File, later.IsNew));
        Assert.Null(later.News);
        Assert.StartsWith("that of server 1.31.1 is kept in ", later.Detail, StringComparison.Ordinal);

        var back = Choose(Of("1.8.2", "1.31.1"));
        Assert.Equal((old, false), (back.File, back.IsNew));
        Assert.Equal(before, File.ReadAllText(old));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("{")]
    [InlineData("""{"server":"server 1.31.1"}""")]
    [InlineData("""{"server":"server 1.30.0","created":"2026-01-01T00:00:00Z","complete":true}""")]
    public void A_file_of_which_nobody_knows_that_this_server_made_it_is_left_alone(string? record)
    {
        var file = Path.Combine(Directory.CreateDirectory(Home.TemporalData).FullName, "temporal-1.31.1.db");
        File.WriteAllText(file, "somebody's");
        if (record is not null) File.WriteAllText(TemporalDatabases.RecordOf(file), record);
        var mine = Choose(Of("1.8.2", "1.31.1"));
        Assert.True(mine.IsNew);
        Assert.NotEqual(file, mine.File);
        Assert.NotNull(mine.News);
        Assert.Equal("somebody's", File.ReadAllText(file));
        Make(mine.File);
        Assert.Equal(mine.File, Choose(Of("1.8.2", "1.31.1")).File);
    }

    [Fact]
    public void What_was_left_before_the_server_was_ready_is_made_anew()
    {
        var half = Choose(Of("1.8.2", "1.31.1")).File;
        foreach (var file in (string[])[half, half + "-wal", half + "-shm"]) File.WriteAllText(file, "half a schema");
        var again = Choose(Of("1.8.2", "1.31.1"));
        Assert.Equal((half, true), (again.File, again.IsNew));
        Assert.Null(again.News);
        Assert.Equal([TemporalDatabases.RecordOf(half)], Directory.GetFiles(Home.TemporalData));
    }

    [Fact]
    public void A_database_that_was_removed_by_hand_is_made_anew()
    {
        var file = Used(Of("1.8.2", "1.31.1"));
        File.Delete(file);
        Assert.True(Choose(Of("1.8.2", "1.31.1")).IsNew);
    }

    [Fact]
    public void A_binary_that_does_not_say_its_server_is_known_by_its_CLI_or_by_itself()
    {
        Assert.Equal("CLI 1.8.2", TemporalDatabases.Maker(Of("1.8.2", null)));
        var (one, other) = (Path.Combine(folder, "one"), Path.Combine(folder, "other"));
        File.WriteAllText(one, "1");
        File.WriteAllText(other, "2");
        var maker = TemporalDatabases.Maker(new TemporalBinary(one, null, []));
        Assert.Equal(maker, TemporalDatabases.Maker(new TemporalBinary(one, null, [])));
        Assert.NotEqual(maker, TemporalDatabases.Maker(new TemporalBinary(other, null, [])));
        Assert.Equal(Used(new TemporalBinary(one, null, [])), Choose(new TemporalBinary(one, null, [])).File);
    }

    [Fact]
    public void An_installation_says_what_the_next_start_will_do_with_the_database()
    {
        Assert.Null(TemporalDatabases.AfterInstalling(Home, Of("1.8.2", "1.31.1")));
        Used(Of("1.8.2", "1.31.1"));
        Assert.Null(TemporalDatabases.AfterInstalling(Home, Of("1.8.3", "1.31.1")));
        Assert.Equal(
            "The next start of Temporal, now server 1.31.2, begins a database of its own: that of server 1.31.1 is kept, and open runs go on from their transcripts",
            TemporalDatabases.AfterInstalling(Home, Of("1.8.3", "1.31.2")));
        Used(Of("1.8.3", "1.31.2"));
        Assert.Null(TemporalDatabases.AfterInstalling(Home, Of("1.8.2", "1.31.1")));
    }

    [Fact]
    public void A_server_that_died_before_it_was_ready_is_started_again_without_what_it_left()
    {
        var server = DevServer();
        Assert.Empty(server.Use(Of("1.8.2", "1.31.1")));
        var file = DatabaseOf(server);
        File.WriteAllText(file, "half a schema");
        Assert.Equal(file, DatabaseOf(server));
        Assert.False(File.Exists(file));
    }

    [Fact]
    public void A_binary_that_was_installed_meanwhile_comes_with_the_next_start_of_the_process_and_finds_a_database_of_its_own()
    {
        Directory.CreateDirectory(Home.Bin);
        Recorded("1.8.2", "1.31.1");
        var server = DevServer();
        server.Use(new TemporalBinary(Home.TemporalBinary, "1.8.2", []) { Server = "1.31.1" });
        var old = DatabaseOf(server);
        Make(old);
        Assert.Equal(old, DatabaseOf(server));
        Recorded("1.8.3", "1.31.2");
        Assert.Equal("temporal-1.31.2.db", Path.GetFileName(DatabaseOf(server)));
        Assert.Equal("1.8.3", server.Version);
        Assert.Contains("that of server 1.31.1 is kept", server.Detail, StringComparison.Ordinal);
        Assert.True(File.Exists(old));

        void Recorded(string cli, string version) => new TemporalRecord(cli, "", "", "", Now, version).Write(Home.TemporalRecord);
    }

    TemporalDevServer DevServer()
    {
        Func<string, string?> environment = name => name == "STIGMER_HOME" ? folder : null;
        File.WriteAllText(Home.ConfigFile, "backend: { local: { temporal: { port: 0 } } }");
        return new TemporalDevServer(Configuration.Resolve(environment, new Flags()), new Log("test", TextWriter.Null, TimeProvider.System), TimeProvider.System);
    }

    static string DatabaseOf(TemporalDevServer server) => server.Child(new Dictionary<string, string>()).Arguments[5];

    static TemporalBinary Of(string cli, string? server) => new("/bin/temporal", cli, []) { Server = server };

    DatabaseChoice Choose(TemporalBinary binary) => TemporalDatabases.Choose(Home, TemporalDatabases.Maker(binary), Now);

    /// <summary>The database of a server that was ready with it.</summary>
    string Used(TemporalBinary binary)
    {
        var file = Choose(binary).File;
        Make(file);
        return file;
    }

    static void Make(string file)
    {
        File.WriteAllText(file, $"made for {file}");
        TemporalDatabases.Completed(file);
    }
}
