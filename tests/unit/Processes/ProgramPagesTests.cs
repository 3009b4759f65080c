using System.Runtime.Versioning;
using Stigmer.Processes;

namespace Stigmer.Tests.Processes;

[SupportedOSPlatform("linux")]
public class ProgramPagesTests
{
    const string Program = "/opt/a b/stigmer";

    [Fact]
    public void Only_what_was_never_written_to_is_let_go_of() => Assert.Equal([(0x406000, 0x1201000)], Unwritten(
        Mapping("00406000-01201000", "r-xp", Program),
        Mapping("01201000-01300000", "r-xp", "/usr/lib/libc.so.6"),
        Mapping("0157a000-0157b000", "r--p", Program, anonymous: 4),
        Mapping("0157b000-01a86000", "r--p", Program, swap: 4),
        Mapping("01ae5000-024a1000", "rw-p", Program, anonymous: 360),
        Mapping("024a1000-024a2000", "r--p", "/x" + Program + " (deleted)")));

    [Fact]
    public void Where_nothing_counts_as_written_to_the_counts_are_not_believed() => Assert.Empty(Unwritten(
        Mapping("00406000-01201000", "r-xp", Program),
        Mapping("0157a000-0157b000", "r--p", Program),
        Mapping("01ae5000-024a1000", "rw-p", Program)));

    [Fact]
    public void A_kernel_that_does_not_tell_of_what_is_swapped_out_tells_too_little() => Assert.Empty(Unwritten(
        ["00406000-01201000 r-xp 00006000 fe:00 123                  " + Program, "Anonymous:             0 kB"],
        ["01ae5000-024a1000 rw-p 00006000 fe:00 123                  " + Program, "Anonymous:             8 kB"]));

    static string[] Mapping(string range, string rights, string file, int anonymous = 0, int swap = 0) =>
    [
        $"{range} {rights} 00006000 fe:00 123                  {file}", "Size:                 16 kB", $"Anonymous:  {anonymous,8} kB", "AnonHugePages:         0 kB",
        $"Swap:       {swap,8} kB", "SwapPss:               0 kB", "VmFlags: rd ex mr mw me",
    ];

    static IEnumerable<(int, int)> Unwritten(params string[][] mappings) =>
        ProgramPages.Unwritten(mappings.SelectMany(lines => lines), Program).Select(range => ((int)range.From, (int)range.To));
}
