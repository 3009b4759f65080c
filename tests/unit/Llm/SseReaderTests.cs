using System.Text;
using CsCheck;
using Stigmer.Agents.Llm;

namespace Stigmer.Tests.Llm;

public class SseReaderTests
{
    const string Stream = "\uFEFF: a comment\nevent: first\ndata: one\ndata:two\ndata\n\nevent: without data\n\nid: 7\nretry: 10\ndata:  ünï😀\n\n: ping\n\n\ndata: {\"last\":1}";

    static readonly SseEvent[] Events = [new("first", "one\ntwo\n"), new("", " ünï😀"), new("", "{\"last\":1}")];

    [Theory]
    [InlineData("\n")]
    [InlineData("\r\n")]
    [InlineData("\r")]
    public void Events_are_the_same_wherever_packets_end_and_whatever_ends_a_line(string newline)
    {
        var bytes = Encoding.UTF8.GetBytes(Stream.ReplaceLineEndings(newline));
        Gen.Int[0, bytes.Length].Array[0, 12].Sample(cuts => Assert.Equal(Events, Read(bytes, cuts)), iter: 200);
        Assert.Equal(Events, Read(bytes, [.. Enumerable.Range(0, bytes.Length)]));
    }

    [Fact]
    public void A_megabyte_of_data_is_one_event()
    {
        var text = new string('x', 1_000_000);
        Assert.Equal(text, Assert.Single(Read(Encoding.UTF8.GetBytes($"data: {text}\n\n"), [])).Data);
    }

    static List<SseEvent> Read(byte[] bytes, int[] cuts)
    {
        var reader = new SseReader(new Torn(bytes, cuts));
        var events = new List<SseEvent>();
        while (reader.Next(CancellationToken.None).AsTask().GetAwaiter().GetResult() is { } next) events.Add(next);
        return events;
    }

    /// <summary>A stream whose reads end at certain places.</summary>
    sealed class Torn(byte[] all, int[] cuts) : MemoryStream(all)
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            var at = (int)Position;
            var next = cuts.Where(cut => cut > at).DefaultIfEmpty((int)Length).Min();
            return base.ReadAsync(buffer[..Math.Min(buffer.Length, next - at)], cancellationToken);
        }
    }
}
