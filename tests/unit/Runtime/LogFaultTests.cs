using System.Globalization;
using System.Text;
using Microsoft.Extensions.Time.Testing;
using Stigmer.Runtime.Logs;

namespace Stigmer.Tests.Runtime;

/// <summary>What children write and what becomes of the disk: neither costs a line that could be kept.</summary>
public sealed class LogFaultTests : IDisposable
{
    readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("stigmer-logs-");
    readonly FakeTimeProvider time = new(new DateTimeOffset(2026, 1, 19, 8, 0, 0, TimeSpan.Zero));

    string Logs => Path.Combine(folder.FullName, "logs");

    string File => Path.Combine(Logs, "agent-runner.log");

    public LogFaultTests() => Directory.CreateDirectory(Logs);

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public void A_log_whose_folder_was_removed_goes_on_in_a_new_one()
    {
        using var log = new LogFile(File);
        log.Write("one\n"u8);
        Directory.Delete(Logs, recursive: true);
        log.Write("two\n"u8);
        Assert.Equal(["two"], LogReader.Lines(File));
        if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, System.IO.File.GetUnixFileMode(Logs));
    }

    [Fact]
    public void A_log_that_somebody_renamed_or_emptied_goes_on_under_its_name()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "only there a file that is open cannot be renamed");
        using var log = new LogFile(File);
        log.Write("one\n"u8);
        System.IO.File.Move(File, File + ".old");
        log.Write("two\nthree\n"u8);
        using (var other = new FileStream(File, FileMode.Open, FileAccess.Write, FileShare.ReadWrite)) other.SetLength(0);
        log.Write("four\n"u8);
        Assert.Equal("four\n", System.IO.File.ReadAllText(File));
        Assert.Equal("one\n", System.IO.File.ReadAllText(File + ".old"));
    }

    [Fact]
    public void Lines_that_find_no_room_are_counted_and_the_log_says_so_once_when_there_is_room_again()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs /dev/full");
        System.IO.File.CreateSymbolicLink(File, "/dev/full");
        using var log = new LogFile(File, time: time);
        log.Write("one\ntwo\nthr"u8);
        log.Write("ee\n"u8);
        System.IO.File.Delete(File);
        // It is not tried again with each of a million lines.
        log.Write("four\nfi"u8);
        time.Advance(TimeSpan.FromSeconds(2));
        log.Write("ve\nsix\n"u8);
        log.Write("seven\n"u8);
        Assert.Equal(["2026-01-19T08:00:02.000Z WARN  agent-runner  5 lines are lost here: No space left on device", "six", "seven"],
            LogReader.Lines(File).Select(line => line.Split(" : '")[0]));
    }

    [Fact]
    public void Where_files_cannot_be_renamed_the_present_one_holds_at_most_what_all_of_them_would()
    {
        // What stands in the way of every renaming, whoever this runs as.
        Directory.CreateDirectory(File + ".4");
        System.IO.File.WriteAllText(File + ".3", "");
        using var log = new LogFile(File, limit: 100);
        for (var i = 0; i < 200; i++) log.Write(Encoding.UTF8.GetBytes($"line {i:000}\n"));
        Assert.InRange(new FileInfo(File).Length, 1, 5 * 100 + 9);
        Assert.Equal("line 199", LogReader.Tail(File, 1).Single());
    }

    [Fact]
    public void A_file_that_ends_within_a_line_gets_its_end_before_the_next_daemon_writes()
    {
        System.IO.File.WriteAllText(File, "killed in the midd");
        using var log = new LogFile(File);
        log.Write("next\n"u8);
        Assert.Equal(["killed in the midd", "next"], LogReader.Lines(File));
    }

    [Fact]
    public void Lines_of_two_writers_do_not_run_into_each_other_however_they_come()
    {
        using var log = new LogFile(File);
        log.CopyFrom(new Pieces("one half", () => log.Write("another's\n"u8), " and the other\nmore", () => log.Write("again\n"u8)));
        Assert.Equal(["another's", "one half and the other", "again", "more"], LogReader.Lines(File));
    }

    [Fact]
    public void A_line_of_many_megabytes_is_kept_to_the_last_byte_in_files_that_stay_small()
    {
        var text = new byte[5_000_000];
        new Random(7).NextBytes(text);
        text.AsSpan().Replace((byte)'\n', (byte)0);
        using (var log = new LogFile(File, limit: 1_000_000))
        {
            log.Write("before\n"u8);
            log.CopyFrom(new MemoryStream([.. text, .. "\nafter\n"u8]));
        }
        var all = LogFile.Generations(File).Where(System.IO.File.Exists).SelectMany(System.IO.File.ReadAllBytes).ToArray();
        Assert.Equal([.. "before\n"u8, .. text, .. "\nafter\n"u8], all);
        Assert.All(new DirectoryInfo(Logs).GetFiles(), file => Assert.InRange(file.Length, 1, 1_400_000));
        // Garbage is shown in pieces, and does not hide what comes after it.
        Assert.Equal("after", LogReader.Lines(File).Last());
        Assert.Equal("after", LogReader.Tail(File, 1).Single());
    }

    [Fact]
    public void A_line_of_half_a_megabyte_is_not_cut_where_a_file_turns_over()
    {
        var line = new string('x', 300_000);
        using (var log = new LogFile(File, limit: 1_000_000))
        {
            for (var i = 0; i < 8; i++) log.CopyFrom(new MemoryStream(Encoding.UTF8.GetBytes($"{i}{line}\n")));
        }
        Assert.All(LogFile.Generations(File).Where(System.IO.File.Exists), file => Assert.EndsWith("\n", System.IO.File.ReadAllText(file)));
        Assert.Equal(Enumerable.Range(0, 8).Select(i => i + line), LogReader.Lines(File));
    }

    [Fact]
    public void What_one_of_our_own_says_without_a_time_gets_one()
    {
        const string Proper = "2026-01-19T07:59:00.000Z INFO  agent-runner  ";
        using (var log = new LogFile(File, time: time, ours: true))
        {
            log.CopyFrom(new Pieces(Proper + "a", "\nUnhandled exception.\n  at B\n", Proper + "c\nhalf"));
        }
        const string Stamped = "2026-01-19T08:00:00.000Z ERROR agent-runner  ";
        Assert.Equal([Proper + "a", Stamped + "Unhandled exception.", Stamped + "  at B", Proper + "c", Stamped + "half"], LogReader.Lines(File));
    }

    [Fact]
    public void Who_looks_on_gets_a_line_without_an_end_in_pieces()
    {
        var seen = new List<string>();
        using var log = new LogFile(File, echo: seen.Add);
        for (var i = 0; i < 20; i++) log.Write(Encoding.UTF8.GetBytes(new string('x', 10_000)));
        log.Write("\n"u8);
        Assert.Equal(200_000, seen.Sum(line => line.Length));
        Assert.All(seen, line => Assert.InRange(line.Length, 1, 64 * 1024));
    }

    [Fact]
    public void What_a_program_says_before_its_first_time_is_as_old_as_that()
    {
        System.IO.File.WriteAllText(File, "Temporal CLI 1.8.2\n\ntime=2026-01-19T08:00:01Z level=INFO msg=a\npanic\ntime=2026-01-19T08:00:03Z msg=b\n");
        using var log = LogSnapshot.Take(File);
        foreach (var lines in (IEnumerable<(string, DateTimeOffset)>[])[log.Lines(), log.Tail(10)])
        {
            Assert.Equal([1, 1, 1, 1, 3], LogReader.Parse("temporal", lines).Select(line => line.Time.Second));
        }
    }

    [Fact]
    public void Lines_that_never_say_a_time_are_as_old_as_their_file()
    {
        System.IO.File.WriteAllText(File, "hello\nhello\n");
        System.IO.File.SetLastWriteTimeUtc(File, new DateTime(2026, 1, 19, 8, 0, 5, DateTimeKind.Utc));
        using var log = LogSnapshot.Take(File);
        Assert.Equal([5, 5], LogReader.Parse("temporal", log.Lines()).Select(line => line.Time.Second));
        Assert.Empty(log.Lines(since: new DateTimeOffset(2026, 1, 19, 8, 0, 6, TimeSpan.Zero)));
    }

    [Fact]
    public void Following_begins_where_what_was_there_ended_though_the_log_turned_over_meanwhile()
    {
        using var log = new LogFile(File, limit: 100);
        for (var i = 0; i < 25; i++) log.Write(Encoding.UTF8.GetBytes($"line {i:000}\n"));
        log.Write("line "u8);
        using var before = LogSnapshot.Take(File);
        log.Write("025\n"u8);
        for (var i = 26; i < 50; i++) log.Write(Encoding.UTF8.GetBytes($"line {i:000}\n"));
        using var followed = new FollowedLog("temporal", File, before);
        Assert.Equal(Enumerable.Range(0, 50).Select(i => $"line {i:000}"),
            before.Lines(whole: true).Select(line => line.Raw).Concat(followed.ReadNew().Select(line => line.Raw)));
        Assert.False(followed.TakeGap());
    }

    [Fact]
    public void Following_says_when_the_log_turned_over_faster_than_it_was_read()
    {
        using var log = new LogFile(File, limit: 100);
        log.Write("line 000\n"u8);
        using var followed = new FollowedLog("temporal", File);
        for (var i = 1; i < 200; i++) log.Write(Encoding.UTF8.GetBytes($"line {i:000}\n"));
        var seen = followed.ReadNew().Select(line => line.Raw).ToList();
        Assert.Equal("line 199", seen[^1]);
        Assert.True(followed.TakeGap());
        Assert.Equal("line 010", seen.First(line => string.CompareOrdinal(line, "line 009") > 0));
    }

    [Fact]
    public void Following_goes_on_after_the_log_was_emptied_or_removed()
    {
        using var log = new LogFile(File);
        using var followed = new FollowedLog("temporal", File);
        log.Write("a long first line\n"u8);
        Assert.Equal("a long first line", Assert.Single(followed.ReadNew()).Raw);
        using (var other = new FileStream(File, FileMode.Open, FileAccess.Write, FileShare.ReadWrite)) other.SetLength(0);
        log.Write("two\n"u8);
        Assert.Equal("two", Assert.Single(followed.ReadNew()).Raw);
        Directory.Delete(Logs, recursive: true);
        log.Write("three\n"u8);
        Assert.Equal("three", Assert.Single(followed.ReadNew()).Raw);
    }

    [Fact]
    public void Following_takes_much_at_a_time_but_not_all()
    {
        using var log = new LogFile(File);
        using var followed = new FollowedLog("temporal", File);
        log.Write(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 300_000).Select(i => string.Create(CultureInfo.InvariantCulture, $"line {i:000000}\n")))));
        var (seen, looks) = (0, 0);
        do (seen, looks) = (seen + followed.ReadNew().Count, looks + 1);
        while (followed.HasMore);
        Assert.Equal(300_000, seen);
        Assert.InRange(looks, 3, 5);
    }

    /// <summary>A stream of given pieces; between them things happen.</summary>
    sealed class Pieces(params object[] pieces) : MemoryStream
    {
        int next;

        public override int Read(Span<byte> buffer)
        {
            while (next < pieces.Length)
            {
                if (pieces[next++] is Action happens) happens();
                else return Encoding.UTF8.GetBytes((string)pieces[next - 1], buffer);
            }
            return 0;
        }
    }
}
