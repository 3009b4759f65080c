using System.Globalization;
using System.Text;
using Stigmer.Runtime.Logs;

namespace Stigmer.Tests.Runtime;

public sealed class LogTests : IDisposable
{
    readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("stigmer-logs-");

    string File(string name = "agent-runner") => Path.Combine(folder.FullName, name + ".log");

    public void Dispose() => folder.Delete(recursive: true);

    static string Line(int second, string component, string message) =>
        string.Create(CultureInfo.InvariantCulture, $"2026-01-19T08:00:{second:00}.000Z INFO  {component}  {message}");

    static IEnumerable<(string, DateTimeOffset)> Untimed(IEnumerable<string> lines) => lines.Select(line => (line, DateTimeOffset.MinValue));

    [Fact]
    public void A_log_turns_over_between_lines_and_loses_none()
    {
        using (var log = new LogFile(File(), limit: 100))
        {
            // In pieces that do not end where lines end.
            var all = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 40).Select(i => $"line {i:000}\n")));
            for (var from = 0; from < all.Length; from += 7) log.Write(all.AsSpan(from, Math.Min(7, all.Length - from)));
        }
        Assert.Equal(Enumerable.Range(0, 40).Select(i => $"line {i:000}"), LogReader.Lines(File()));
        Assert.True(System.IO.File.Exists(File() + ".1"));
        Assert.All(folder.GetFiles(), file => Assert.True(file.Length <= 120, $"{file.Name} has {file.Length} bytes"));
    }

    [Fact]
    public void There_are_never_more_than_five_files_and_the_oldest_lines_go()
    {
        using (var log = new LogFile(File(), limit: 100))
        {
            for (var i = 0; i < 200; i++) log.Write(Encoding.UTF8.GetBytes($"line {i:000}\n"));
        }
        Assert.Equal(5, folder.GetFiles().Length);
        var lines = LogReader.Lines(File()).ToList();
        Assert.Equal("line 199", lines[^1]);
        Assert.Equal(Enumerable.Range(200 - lines.Count, lines.Count).Select(i => $"line {i:000}"), lines);
    }

    [Fact]
    public void A_log_is_for_its_user_alone_and_goes_on_where_it_ended()
    {
        using (var log = new LogFile(File())) log.Write("one\n"u8);
        using (var log = new LogFile(File())) log.Write("two\n"u8);
        Assert.Equal("one\ntwo\n", System.IO.File.ReadAllText(File()));
        if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, System.IO.File.GetUnixFileMode(File()));
    }

    [Fact]
    public void Two_who_append_do_not_overwrite_each_other()
    {
        using (var log = new LogFile(File()))
        using (var other = LogFile.OpenForAppending(File()))
        {
            log.Write("one\n"u8);
            other.Write("crash\n"u8);
            log.Write("two\n"u8);
        }
        Assert.Equal(["one", "crash", "two"], LogReader.Lines(File()));
    }

    [Fact]
    public void What_a_child_left_unfinished_does_not_run_into_the_next_ones_line()
    {
        using (var log = new LogFile(File()))
        {
            log.CopyFrom(new MemoryStream("half"u8.ToArray()));
            log.Write("next\n"u8);
        }
        Assert.Equal(["half", "next"], LogReader.Lines(File()));
    }

    [Fact]
    public void Who_looks_on_gets_whole_lines()
    {
        var seen = new List<string>();
        using var log = new LogFile(File(), echo: seen.Add);
        log.Write("on"u8);
        log.Write("e\ntw"u8);
        log.Write("o\n"u8);
        Assert.Equal(["one", "two"], seen);
    }

    [Fact]
    public void Logs_are_merged_by_time_and_a_line_without_one_stays_behind_its_predecessor()
    {
        var merged = LogReader.Merge([
            LogReader.Parse("daemon", Untimed([Line(1, "daemon", "a"), Line(4, "daemon", "d")])),
            LogReader.Parse("temporal", Untimed(["time=2026-01-19T09:00:02.5+01:00 level=WARN msg=b", "  no time", "{\"level\":\"info\",\"ts\":\"2026-01-19T08:00:03Z\",\"msg\":\"c\"}"])),
        ]).ToList();
        Assert.Equal(["daemon", "temporal", "temporal", "temporal", "daemon"], merged.Select(l => l.Component));
        Assert.Equal(["INFO", "WARN", null, "INFO", "INFO"], merged.Select(l => l.Level));
        Assert.Equal(["a", "d"], merged.Where(l => l.Component == "daemon").Select(l => l.Message));
    }

    [Fact]
    public void Lines_of_one_instant_keep_the_order_of_their_file()
    {
        var merged = LogReader.Merge([LogReader.Parse("a", Untimed([Line(1, "a", "1"), Line(1, "a", "2")])), LogReader.Parse("b", Untimed([Line(1, "b", "3")]))]);
        Assert.Equal(["1", "2", "3"], merged.Select(l => l.Message));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(5000)]
    [InlineData(100000)]
    public void The_tail_reaches_back_over_older_files(int count)
    {
        using (var written = new LogFile(File(), limit: 100_000))
        {
            for (var i = 0; i < 30_000; i++) written.Write(Encoding.UTF8.GetBytes($"line {i:00000}\n"));
        }
        var all = LogReader.Lines(File()).ToList();
        using var log = LogSnapshot.Take(File());
        Assert.Equal(all.TakeLast(count), log.Tail(count).Select(line => line.Raw));
    }

    [Fact]
    public void Following_goes_on_across_turn_overs()
    {
        using var log = new LogFile(File(), limit: 200);
        log.Write(Encoding.UTF8.GetBytes(Line(0, "agent-runner", "before") + "\n"));
        using var before = LogSnapshot.Take(File());
        using var followed = new FollowedLog("agent-runner", File(), before);
        var seen = new List<string>();
        for (var i = 1; i < 30; i++)
        {
            log.Write(Encoding.UTF8.GetBytes(Line(i, "agent-runner", $"{i}") + "\n"));
            // Now and then more than one file turns over between two looks.
            if (i % 7 == 0) seen.AddRange(followed.ReadNew().Select(l => l.Message));
        }
        seen.AddRange(followed.ReadNew().Select(l => l.Message));
        Assert.Equal(Enumerable.Range(1, 29).Select(i => i.ToString(CultureInfo.InvariantCulture)), seen);
    }

    [Fact]
    public void Following_tells_files_apart_that_all_begin_alike()
    {
        if (!OperatingSystem.IsLinux()) return;
        using var log = new LogFile(File(), limit: 200);
        using var followed = new FollowedLog("temporal", File());
        var seen = 0;
        for (var i = 1; i <= 300; i++)
        {
            log.Write("again and again\n"u8);
            if (i % 20 == 0) seen += followed.ReadNew().Count;
        }
        Assert.Equal(300, seen);
    }

    [Fact]
    public void Following_waits_for_the_rest_of_a_line()
    {
        using var log = new LogFile(File());
        using var followed = new FollowedLog("agent-runner", File());
        log.Write("ha"u8);
        Assert.Empty(followed.ReadNew());
        log.Write("lf\n"u8);
        Assert.Equal("half", Assert.Single(followed.ReadNew()).Raw);
    }

    [Fact]
    public void A_log_that_comes_to_be_later_is_followed_from_its_beginning()
    {
        using var followed = new FollowedLog("agent-runner", File());
        Assert.Empty(followed.ReadNew());
        using var log = new LogFile(File());
        log.Write("first\n"u8);
        Assert.Equal("first", Assert.Single(followed.ReadNew()).Raw);
    }
}
