using System.Globalization;
using Stigmer.Rpc.V1;

namespace Stigmer.Agents.Llm;

/// <summary>
/// The results of tools in whose place the model reads a short note, since the window was full. Once a result is left out it
/// stays so, which makes what a model was sent a function of the transcript.
/// </summary>
sealed class Shortened
{
    readonly HashSet<(int Turn, int Step, int Slot)> places = [];

    /// <summary>What earlier answers of the transcript name.</summary>
    public static Shortened Of(IReadOnlyList<TranscriptEntry> transcript)
    {
        var shortened = new Shortened();
        foreach (var entry in transcript)
        {
            if (entry.Answer is null) continue;
            foreach (var place in entry.Answer.Shortened) shortened.Add((place.Turn, place.Step, place.Slot));
        }
        return shortened;
    }

    /// <summary>Whether a note stands in the place of this result.</summary>
    public bool Holds((int Turn, int Step, int Slot) place) => places.Contains(place);

    /// <summary>Leaves one more out; false where it was already.</summary>
    public bool Add((int Turn, int Step, int Slot) place) => places.Add(place);

    /// <summary>What the model reads in place of a result.</summary>
    public static string NoteOf(ToolCall call, ToolResult result) => string.Create(
        CultureInfo.InvariantCulture,
        $"[The result of {call.Name} stood here ({result.Text.Length} characters{(result.Ok ? "" : ", an error")}). It was left out, since the conversation had grown too long for the model's window. If you need it, call the tool again, for a smaller part where that is possible.]");
}
