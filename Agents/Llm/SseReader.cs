using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Stigmer.Agents.Llm;

/// <summary>One event of a stream of server-sent events.</summary>
/// <param name="Name">The field <c>event</c>; empty where there was none.</param>
/// <param name="Data">The lines of <c>data</c>, joined by line feeds.</param>
readonly record struct SseEvent(string Name, string Data)
{
    /// <summary>The member <c>type</c> of data that is a JSON object; null for any other.</summary>
    public string? TypeOfData()
    {
        try
        {
            using var document = JsonDocument.Parse(Data);
            return document.RootElement.ValueKind == JsonValueKind.Object && document.RootElement.TryGetProperty("type", out var type) && type.ValueKind == JsonValueKind.String
                ? type.GetString()
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}

/// <summary>
/// Reads server-sent events as https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream says, but
/// that an event whose data came and whose empty line did not is given out at the end of the stream: what is torn within the
/// data is not JSON, which whoever reads it finds out.
/// </summary>
/// <param name="stream">What is read; not closed.</param>
/// <param name="arrived">Called whenever bytes have come, comments included.</param>
sealed class SseReader(Stream stream, Action? arrived = null)
{
    /// <summary>The most data that one event may have, in bytes.</summary>
    const int MaxData = 64 * 1024 * 1024;

    readonly LineReader lines = new(stream, arrived);
    bool begun;

    /// <summary>The last id that an event had, with which the stream can be taken up again; null: none.</summary>
    public string? LastEventId { get; private set; }

    /// <summary>How long the server asks to wait before the stream is taken up again; null: it has not said.</summary>
    public TimeSpan? Retry { get; private set; }

    /// <summary>The next event that has data; null at the end of the stream.</summary>
    /// <exception cref="InvalidDataException">A line or an event is longer than 64 MB.</exception>
    public async ValueTask<SseEvent?> Next(CancellationToken cancel)
    {
        var name = "";
        StringBuilder? data = null;
        while (await lines.Next(cancel).ConfigureAwait(false) is { } next)
        {
            var line = next.Span;
            if (!begun)
            {
                begun = true;
                if (line.StartsWith("\uFEFF"u8)) line = line[3..];
            }
            if (line.IsEmpty)
            {
                if (data is not null) return new SseEvent(name, data.ToString());
                name = "";
                continue;
            }
            var colon = line.IndexOf((byte)':');
            // A comment.
            if (colon == 0) continue;
            var field = colon < 0 ? line : line[..colon];
            var value = colon < 0 ? [] : line[(colon + 1)..];
            if (value.StartsWith(" "u8)) value = value[1..];
            if (field.SequenceEqual("event"u8))
            {
                name = Encoding.UTF8.GetString(value);
            }
            else if (field.SequenceEqual("data"u8))
            {
                if (data is null) data = new StringBuilder();
                else data.Append('\n');
                data.Append(Encoding.UTF8.GetString(value));
                if (data.Length > MaxData) throw new InvalidDataException($"an event is longer than {MaxData / 1024 / 1024} MB");
            }
            else if (field.SequenceEqual("id"u8) && !value.Contains((byte)0))
            {
                LastEventId = Encoding.UTF8.GetString(value);
            }
            else if (field.SequenceEqual("retry"u8) && uint.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var milliseconds))
            {
                Retry = TimeSpan.FromMilliseconds(milliseconds);
            }
        }
        return data is null ? null : new SseEvent(name, data.ToString());
    }
}
