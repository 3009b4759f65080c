using Stigmer.Config;

namespace Stigmer.Tests.Config;

public sealed class PrivateFileTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("stigmer-private-").FullName;

    string File1 => Path.Combine(folder, "file");

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void A_file_is_replaced_whole_and_stays_private()
    {
        PrivateFile.Replace(File1, "old"u8);
        PrivateFile.Replace(File1, "new"u8);
        Assert.Equal("new", File.ReadAllText(File1));
        Assert.Equal([File1], Directory.GetFiles(folder));
        if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(File1));
    }

    [Fact]
    public void Of_many_that_come_at_once_one_gives_the_file_its_content()
    {
        for (var round = 0; round < 50; round++)
        {
            File.Delete(File1);
            using var gate = new Barrier(8);
            var won = new bool[8];
            var threads = Enumerable.Range(0, 8).Select(n => new Thread(() =>
            {
                var beside = $"{File1}.{n}";
                File.WriteAllText(beside, $"{n}");
                gate.SignalAndWait();
                won[n] = PrivateFile.MoveIfAbsent(beside, File1);
            })).ToArray();
            foreach (var thread in threads) thread.Start();
            foreach (var thread in threads) thread.Join();
            var winner = Assert.Single(Enumerable.Range(0, 8), n => won[n]);
            Assert.Equal($"{winner}", File.ReadAllText(File1));
            Assert.Equal([File1], Directory.GetFiles(folder));
        }
    }
}
