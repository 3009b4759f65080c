using Stigmer.Runtime.Temporal;

namespace Stigmer.Tests.Runtime.Temporal;

public class ChecksumsTests
{
    static readonly string A = new('a', 64);
    static readonly string B = new('b', 64);

    [Theory]
    [InlineData("  ", "\n")]
    [InlineData(" *", "\n")]
    [InlineData("\t", "\r\n")]
    [InlineData("  ./", "\n")]
    public void The_files_line_is_found(string between, string newline) =>
        Assert.Equal(A, Checksums.Find($"# comment{newline}{B}{between}other{newline}{A}{between}file{newline}", "file", "here"));

    [Fact]
    public void A_byte_order_mark_is_no_part_of_the_first_hash() => Assert.Equal(A, Checksums.Find($"\uFEFF{A}  file\r\n", "file", "here"));

    [Fact]
    public void Capitals_are_the_same_hash() => Assert.Equal(A, Checksums.Find($"{A.ToUpperInvariant()}  file\n{A}  file", "file", "here"));

    [Theory]
    [InlineData("")]
    [InlineData("<html>file</html>")]
    [InlineData("aaaa  file")]
    [InlineData("{A}  file.sig")]
    [InlineData("{A}  sub/file")]
    [InlineData("{A}x  file")]
    public void A_list_without_the_file_verifies_nothing(string list)
    {
        var failure = Assert.Throws<Failure>(() => Checksums.Find(list.Replace("{A}", A, StringComparison.Ordinal), "file", "http://m/checksums.txt"));
        Assert.Equal("file cannot be verified by http://m/checksums.txt", failure.What);
        Assert.Contains("no SHA-256", failure.Why, StringComparison.Ordinal);
    }

    [Fact]
    public void A_list_with_two_hashes_verifies_nothing() =>
        Assert.Contains("different", Assert.Throws<Failure>(() => Checksums.Find($"{A}  file\n{B}  file\n", "file", "here")).Why, StringComparison.Ordinal);
}
