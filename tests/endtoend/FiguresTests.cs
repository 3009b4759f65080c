using Stigmer.EndToEnd.Harness;

namespace Stigmer.EndToEnd;

public class FiguresTests
{
    [Fact]
    public void The_executable_is_one_file_of_at_most_34_megabytes()
    {
        Assert.SkipWhen(File.Exists(Path.ChangeExtension(Running.Executable, "dll")), "needs the native executable");
        Assert.InRange(new FileInfo(Running.Executable).Length, 1, 34_000_000);
    }
}
